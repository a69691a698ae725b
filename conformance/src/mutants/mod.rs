//! Stores, layers, executors and materializers that are broken in one way each, so that the suite is tested, too.
//!
//! A mutant that no case catches shows a hole in the suite. `list.rs` declares the mutants and the case that
//! must catch each. `store.rs` with its parts, `layer.rs`, `executor.rs`, `executor_layer.rs` and `materializer/` keep
//! every promise until a break is switched on.

mod blobs;
mod dag;
mod disk;
mod executor;
mod executor_layer;
mod fixture;
mod layer;
mod list;
mod materializer;
mod outputs;
mod recipes;
mod store;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use deriva_testkit::{Fixture, Level, Report, Suite};

use fixture::{LayerFixture, RememberingFixture, StoreFixture, ThreadsFixture};
use list::{Break, MUTANTS};
use materializer::SmallFixture;

/// Something that breaks one promise.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The mutant's name; no other has it.
    pub name: &'static str,
    /// What is broken, in a sentence.
    pub breaks: &'static str,
    /// The case that must catch it.
    pub caught_by: &'static str,
    /// What the mutant is.
    pub kind: Kind,
    how: Break,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A blob and DAG store.
    Store,
    /// A layer over both.
    Layer,
    /// An executor.
    Executor,
    /// A layer around an executor that is whole.
    ExecutorLayer,
    /// A materializer over a store that is whole.
    Materializer,
}

/// All mutants.
#[must_use]
pub fn all() -> &'static [Mutant] {
    MUTANTS
}

impl Mutant {
    /// The cases that fail for this mutant: of all cases but those that measure, or of the one that is
    /// declared alone. A case that does not end in half a minute has failed, too.
    ///
    /// # Panics
    /// When the declared case does not exist, or no folder can be made.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "a declared case that does not exist is a mistake here"
    )]
    pub fn caught(&self, all_cases: bool) -> Vec<&'static str> {
        let suite = suite().time_limit(Duration::from_secs(30));
        let suite = match all_cases {
            true => suite,
            false => suite
                .cases(&[self.caught_by])
                .expect("the declared case exists"),
        };
        let report = run(&suite, self.kind, Some(self.how));
        report.failed().map(|failed| failed.case.name).collect()
    }

    /// Whether it is a store, or a layer over one.
    #[must_use]
    pub fn is_store(&self) -> bool {
        matches!(self.kind, Kind::Store | Kind::Layer)
    }

    /// The mutant as a store for the cases; of what is no store, the store without a break.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "the suite takes no fixture that cannot be made"
    )]
    pub fn fixture(&self) -> Arc<dyn Fixture> {
        let store = |how| StoreFixture::new(how).expect("a temporary folder");
        match self.kind {
            Kind::Store => Arc::new(store(Some(self.how))),
            Kind::Layer => Arc::new(LayerFixture {
                store: store(None),
                broken: Some(self.how),
            }),
            Kind::Executor | Kind::ExecutorLayer | Kind::Materializer => Arc::new(store(None)),
        }
    }
}

/// All cases on what a kind of mutants is made of, without any break.
///
/// # Panics
/// When no folder can be made.
#[must_use]
pub fn unbroken(kind: Kind) -> Report {
    run(&suite(), kind, None)
}

/// The cases that some mutant must be caught by: all but those that measure.
#[must_use]
pub fn suite() -> Suite {
    Suite::new().levels(&[
        Level::Core,
        Level::Concurrency,
        Level::Durability,
        Level::Faults,
    ])
}

#[allow(
    clippy::expect_used,
    reason = "the suite takes no fixture that cannot be made"
)]
fn run(suite: &Suite, kind: Kind, how: Option<Break>) -> Report {
    let store = |how| StoreFixture::new(how).expect("a temporary folder");
    match kind {
        Kind::Store => suite.run(move || store(how)),
        Kind::Layer => suite.run(move || LayerFixture {
            store: store(None),
            broken: how,
        }),
        Kind::Executor => suite.run_executor(move || ThreadsFixture(how)),
        Kind::ExecutorLayer => suite.run_executor(move || RememberingFixture(how)),
        Kind::Materializer => suite.run_materializer(move || SmallFixture::new(store(None), how)),
    }
}
