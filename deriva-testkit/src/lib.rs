//! What those need who write stores, layers and executors for deriva, to show that theirs keep the
//! contracts of [`deriva_api`].
//!
//! A fixture opens the store, and one line makes a named test of every promise:
//!
//! ```
//! use deriva_api::{OpenedStore, Result, async_trait};
//! use deriva_testkit::{Fixture, ModelStore, blob_store_conformance};
//! use std::sync::Arc;
//!
//! #[derive(Debug)]
//! struct Mine;
//!
//! #[async_trait]
//! impl Fixture for Mine {
//!     async fn open(&self) -> Result<OpenedStore> {
//!         let store = Arc::new(ModelStore::new()); // yours
//!         Ok(OpenedStore { blobs: Some(store.clone()), dag: Some(store) })
//!     }
//!     fn persistent(&self) -> bool {
//!         false
//!     }
//! }
//!
//! blob_store_conformance!(mine, Mine);
//! # let report = deriva_testkit::Suite::new()
//! #     .subject(deriva_testkit::Subject::Blobs)
//! #     .cases(&["the_empty_blob_is_a_blob"])
//! #     .unwrap()
//! #     .run(|| Mine);
//! # assert!(report.held(), "{report}");
//! ```
//!
//! A test fails where a promise is broken, and says which. Where a store declares that it does not have a
//! capability, the test checks that its calls answer so. [`Fixture::crash`] and [`Fixture::folder`] open
//! the cases for killed processes and for damage on disk.
//!
//! | to | use |
//! |---|---|
//! | run every promise as tests | [`blob_store_conformance`], [`dag_store_conformance`], [`executor_conformance`], [`materializer_conformance`] |
//! | the same as a program | [`Suite`], [`Report`] |
//! | prove what only other processes show: kills, damage, losses of power | [`store_proofs`], [`proof`], [`power`] |
//! | compare a store with the model, call by call | [`operations`], [`ModelStore`] |
//! | know what a materialization should have given | [`reference`](mod@reference) |
//! | have graphs and functions to work on | [`Workload`], [`random`], [`functions`] |
//! | make a store fail, hang or lose answers, or count its calls | [`FaultLayer`], [`CountingLayer`] |
//! | hold time still | [`ManualClock`] |
//! | let tasks go first that would not, the same ones for the same seed | [`YieldLayer`] |
//!
//! Left out: a lock that another process holds, and memory in use. A store's own tests show these.

mod apart;
mod case;
mod cases;
mod clock;
mod counting;
mod differing;
mod faults;
mod fixture;
pub mod functions;
mod hook;
mod linear;
#[doc(hidden)]
pub mod macros;
mod materializer;
mod model;
pub mod operations;
pub mod power;
pub mod proof;
pub mod random;
pub mod reference;
mod report;
mod splitmix;
mod suite;
mod trial;
mod workload;
mod yielding;

pub use deriva_api::{Materialized, Materializer, Request};

pub use case::{Case, Level, Subject};
pub use clock::ManualClock;
pub use counting::{CountingLayer, Counts};
pub use faults::{Damage, FaultLayer, Faults};
pub use fixture::{ExecutorFixture, Fixture};
pub use hook::Operation;
pub use materializer::{MaterializerFixture, Setup};
pub use model::{ModelFixture, ModelStore};
pub use report::{CaseReport, Outcome, Report};
pub use splitmix::SplitMix64;
pub use suite::Suite;
pub use workload::Workload;
pub use yielding::{YieldLayer, give_way};
