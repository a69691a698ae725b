//! What those need who write stores, layers and executors for deriva, to show that theirs keep the
//! contracts of [`deriva_api`].
//!
//! | to | use |
//! |---|---|
//! | run every promise against a store | [`blob_store_conformance`], [`dag_store_conformance`], [`Fixture`] |
//! | know what a store should have answered | [`ModelStore`] |
//! | know what a materialization should have given | [`reference`](mod@reference) |
//! | have graphs to work on | [`Workload`], [`random`] |
//! | make a store fail, or count its calls | [`FaultLayer`], [`CountingLayer`] |
//! | hold time still | [`ManualClock`] |

pub mod cases;
mod clock;
mod counting;
mod faults;
mod hook;
mod model;
pub mod random;
pub mod reference;
mod splitmix;
mod workload;

pub use cases::{Case, Fixture};
pub use clock::ManualClock;
pub use counting::{CountingLayer, Counts};
pub use faults::{Damage, FaultLayer, Faults};
pub use hook::Operation;
pub use model::ModelStore;
pub use splitmix::SplitMix64;
pub use workload::Workload;
