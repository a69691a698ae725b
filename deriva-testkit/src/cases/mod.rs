//! The promises of the contracts, one named case each, for any implementation.
//!
//! A case is a function that opens stores through a [`Fixture`] and panics when a promise is broken;
//! its doc comment is the promise. One macro both defines and registers it, so that no case can be
//! left out. [`blob_store_conformance`](crate::blob_store_conformance) and
//! [`dag_store_conformance`](crate::dag_store_conformance) make a test of each.

use std::fmt::Debug;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result};
use futures::future::BoxFuture;

mod blob;
mod blob_batches;
mod dag;
mod dag_outputs;
mod dag_shapes;
mod support;

/// Opens the stores that the cases work on.
#[async_trait]
pub trait Fixture: Debug + Send + Sync {
    /// Opens the store of this fixture: empty at first, afterwards, once all handles were dropped,
    /// with what was there before if [`Fixture::persistent`].
    async fn open(&self) -> Result<OpenedStore>;

    /// Whether contents survive closing.
    fn persistent(&self) -> bool;
}

/// A promise, and how it is checked.
#[derive(Clone, Copy)]
pub struct Case {
    /// The case's name.
    pub name: &'static str,
    /// What it checks, in words.
    pub promise: &'static str,
    /// Checks it; panics when the promise is broken.
    pub run: for<'a> fn(&'a dyn Fixture) -> BoxFuture<'a, Result<()>>,
}

impl Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.promise)
    }
}

/// All cases for blob stores.
pub fn blob_store_cases() -> impl Iterator<Item = &'static Case> {
    [blob::CASES, blob_batches::CASES].into_iter().flatten()
}

/// All cases for DAG stores.
pub fn dag_store_cases() -> impl Iterator<Item = &'static Case> {
    [dag::CASES, dag_outputs::CASES, dag_shapes::CASES]
        .into_iter()
        .flatten()
}

/// Runs a case to its end on this thread.
///
/// # Panics
/// When the promise is broken, or the store answers with an error that the case did not expect.
pub fn run(case: &Case, fixture: &dyn Fixture) {
    let outcome = futures::executor::block_on((case.run)(fixture));
    assert!(
        outcome.is_ok(),
        "{}: {}: {outcome:?}",
        case.name,
        case.promise
    );
}

/// Defines cases, lists them in `CASES`, and makes a macro that turns each into a test.
macro_rules! cases {
    ($d:tt $each:ident: $($(#[doc = $promise:literal])+ async fn $name:ident($fixture:ident) $body:block)+) => {
        $(
            $(#[doc = $promise])+
            async fn $name($fixture: &dyn $crate::Fixture) -> deriva_api::Result<()> $body
        )+

        /// The cases of this file.
        pub(super) const CASES: &[$crate::Case] = &[$($crate::Case {
            name: stringify!($name),
            promise: concat!($($promise),+),
            run: |fixture| Box::pin($name(fixture)),
        }),+];

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $each {
            ($d($d item:tt)*) => { $($crate::case_test! { $name, $d($d item)* })+ };
        }
    };
}
pub(crate) use cases;

/// One case as a test.
#[doc(hidden)]
#[macro_export]
macro_rules! case_test {
    ($name:ident, $cases:ident, $fixture:expr) => {
        #[test]
        fn $name() {
            let case = $crate::cases::$cases().find(|case| case.name == stringify!($name));
            let case = case.expect("every case is registered");
            $crate::cases::run(case, &$fixture);
        }
    };
}

/// Makes a module with one test for each case for blob stores:
/// `blob_store_conformance!(my_store, MyFixture::new());`. The expression is evaluated for each test.
#[macro_export]
macro_rules! blob_store_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            mod blobs {
                #[allow(unused_imports)]
                use super::*;
                $crate::each_blob_case! { blob_store_cases, $fixture }
                $crate::each_blob_batch_case! { blob_store_cases, $fixture }
            }
        }
    };
}

/// Makes a module with one test for each case for DAG stores; see [`crate::blob_store_conformance`].
#[macro_export]
macro_rules! dag_store_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            mod dag {
                #[allow(unused_imports)]
                use super::*;
                $crate::each_dag_case! { dag_store_cases, $fixture }
                $crate::each_dag_output_case! { dag_store_cases, $fixture }
                $crate::each_dag_shape_case! { dag_store_cases, $fixture }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelStore;
    use std::sync::Arc;

    #[derive(Debug)]
    struct Model;

    #[async_trait]
    impl Fixture for Model {
        async fn open(&self) -> Result<OpenedStore> {
            let store = Arc::new(ModelStore::new());
            Ok(OpenedStore {
                blobs: Some(store.clone()),
                dag: Some(store),
            })
        }

        fn persistent(&self) -> bool {
            false
        }
    }

    #[test]
    fn the_model_keeps_every_promise() {
        blob_store_cases()
            .chain(dag_store_cases())
            .for_each(|case| run(case, &Model));
    }

    #[test]
    fn every_case_names_its_promise() {
        for case in blob_store_cases().chain(dag_store_cases()) {
            let id = case.promise.trim_start();
            assert!(
                id.starts_with(['B', 'D', 'C', 'X']) && id.len() > 20,
                "{case:?}"
            );
        }
    }
}
