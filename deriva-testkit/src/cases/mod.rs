//! The promises of the contracts, one named case each, for any implementation.
//!
//! A case is a function that opens what it needs through its trial and panics, or fails, when a promise is
//! broken; its doc comment is the promise. Where a capability is not declared, it asserts that calls
//! answer so and ends with `trial.unsupported(..)`. Each file has the cases of one subject and level.

use crate::Case;

// First, as its macros are meant in all that follows.
#[macro_use]
pub(crate) mod asserting;

mod blob_batches;
mod blob_bytes;
mod blob_concurrency;
mod blob_damage;
mod blob_durability;
mod blob_faults;
mod blob_performance;
mod blob_sizes;
mod blob_verify;
mod counted;
mod dag_concurrency;
mod dag_damage;
mod dag_durability;
mod dag_faults;
mod dag_outputs;
mod dag_performance;
mod dag_recipes;
mod dag_shapes;
mod dag_sizes;
mod disk;
mod executor_concurrency;
mod executor_handing;
mod executor_steps;
mod executor_support;
mod materializer_audit;
mod materializer_cancellation;
mod materializer_collection;
mod materializer_concurrency;
mod materializer_determinism;
mod materializer_determinism_support;
mod materializer_ends;
mod materializer_failures;
mod materializer_faults;
mod materializer_joined_checks;
mod materializer_ledger;
mod materializer_options;
mod materializer_outputs;
mod materializer_requests;
mod materializer_support;
mod meeting;
mod support;
mod support_faults;

/// Registers files of cases. What is left out here does not compile: its `CASES` are unused.
macro_rules! files {
    ($d:tt $($each_subject:ident: $($file:ident as $each:ident),+;)+) => {
        /// All cases, in order.
        pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
            [$($($file::CASES),+),+].into_iter().flatten()
        }

        $(
            #[doc(hidden)]
            #[macro_export]
            macro_rules! $each_subject {
                ($d fixture:expr) => { $($crate::$each! { $d fixture })+ };
            }
        )+
    };
}

files! { $
    each_blob_store_case: blob_bytes as each_blob_bytes_case, blob_batches as each_blob_batches_case,
        blob_sizes as each_blob_sizes_case, blob_verify as each_blob_verify_case,
        blob_concurrency as each_blob_concurrency_case, blob_durability as each_blob_durability_case, blob_damage as each_blob_damage_case,
        blob_faults as each_blob_faults_case, blob_performance as each_blob_performance_case;
    each_dag_store_case: dag_recipes as each_dag_recipes_case, dag_outputs as each_dag_outputs_case,
        dag_shapes as each_dag_shapes_case, dag_sizes as each_dag_sizes_case,
        dag_concurrency as each_dag_concurrency_case, dag_durability as each_dag_durability_case,
        dag_damage as each_dag_damage_case, dag_faults as each_dag_faults_case,
        dag_performance as each_dag_performance_case;
    each_executor_case: executor_steps as each_executor_steps_case, executor_handing as each_executor_handing_case,
        executor_concurrency as each_executor_concurrency_case;
    each_materializer_case: materializer_requests as each_materializer_requests_case,
        materializer_options as each_materializer_options_case,
        materializer_outputs as each_materializer_outputs_case, materializer_failures as each_materializer_failures_case,
        materializer_determinism as each_materializer_determinism_case, materializer_ledger as each_materializer_ledger_case,
        materializer_audit as each_materializer_audit_case,
        materializer_collection as each_materializer_collection_case, materializer_concurrency as each_materializer_concurrency_case,
        materializer_joined_checks as each_materializer_joined_checks_case,
        materializer_cancellation as each_materializer_cancellation_case, materializer_ends as each_materializer_ends_case,
        materializer_faults as each_materializer_faults_case;
}
