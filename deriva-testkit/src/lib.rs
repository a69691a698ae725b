//! What those need who write stores, layers and executors for deriva, to show that theirs keep the
//! contracts of [`deriva_api`].
//!
//! | to | use |
//! |---|---|
//! | run every promise against a store | [`blob_store_conformance`], [`dag_store_conformance`], [`Fixture`] |
//! | the same as a program | [`Suite`], [`Report`] |
//! | know what a store should have answered | [`ModelStore`] |
//! | know what a materialization should have given | [`reference`](mod@reference) |
//! | have graphs to work on | [`Workload`], [`random`] |
//! | make a store fail, or count its calls | [`FaultLayer`], [`CountingLayer`] |
//! | hold time still | [`ManualClock`] |

mod case;
mod cases;
mod clock;
mod counting;
mod faults;
mod fixture;
mod hook;
mod linear;
#[doc(hidden)]
pub mod macros;
mod model;
pub mod operations;
pub mod random;
pub mod reference;
mod report;
mod splitmix;
mod suite;
mod trial;
mod workload;

pub use case::{Case, Level, Subject};
pub use clock::ManualClock;
pub use counting::{CountingLayer, Counts};
pub use faults::{Damage, FaultLayer, Faults};
pub use fixture::{ExecutorFixture, Fixture};
pub use hook::Operation;
pub use model::{ModelFixture, ModelStore};
pub use report::{CaseReport, Outcome, Report};
pub use splitmix::SplitMix64;
pub use suite::Suite;
pub use workload::Workload;
