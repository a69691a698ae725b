//! The runtime of deriva: it makes the bytes of an address available.
//!
//! A request is planned breadth-first over the DAG store ([`Deriva::explain`] shows the plan without
//! running it), run by one task that owns all of its state, and written behind in batches. Nothing
//! is recursive over the graph, and no task or thread is made per node.
//!
//! | to learn about | read |
//! |---|---|
//! | the handle and its calls | [`Deriva`], [`DerivaBuilder`] |
//! | options of a request, what comes of it | [`Materialize`], [`Materialized`], [`deriva_api::Event`] |
//! | the same without knowing this crate | [`deriva_api::Materializer`], which [`Deriva`] is |
//! | what is taken when nothing needs it any more | [`Collect`], [`CollectPolicy`], [`Lease`] |
//! | which computations are checked, and what was found | [`DerivaBuilder::determinism`], [`Audit`], [`Bisect`] |
//! | what stays in memory | [`cache`] |
//! | where functions run | [`PoolExecutor`], [`InlineExecutor`] |
//!
//! The runtime knows no store but through the traits of `deriva-api`; the facade crate `deriva` brings
//! both together.

pub mod cache;
mod collect;
mod determinism;
mod execute;
mod explain;
mod handle;
#[cfg(test)]
mod interleavings;
mod invalidate;
mod materialize;
#[doc(hidden)]
pub mod planted;
#[doc(hidden)]
pub mod schedule;
mod scrub;
mod shared;
mod timeline;

pub use deriva_api::diff::{Diff, Difference, DifferenceKind, Passed};
pub use deriva_api::{
    Basis, CollectPolicy, Cutoff, CutoffDecision, Estimate, ExplainedNode, Explanation, Forecast,
    ForecastBytes, FunctionChecks, FunctionForecast, Graph, GraphEdge, GraphNode, Materialized,
    NodeState, Shown, Snapshot, Status, StoreResults, Suspect, Verification, Why,
};

pub use collect::Collect;
pub use determinism::audit::Audit;
pub use determinism::bisect::{Bisect, BisectProgress, Bisected, Culprit};
pub use execute::{InlineExecutor, PoolExecutor};
pub use explain::graph::GraphWalk;
pub use handle::builder::{DerivaBuilder, StoreSource};
#[doc(hidden)]
pub use handle::in_use::InUse;
pub use handle::instrument::{Instance, Instrument};
pub use handle::reader::BlobReader;
pub use handle::recipe_builder::RecipeBuilder;
pub use invalidate::Invalidate;
pub use materialize::Materialize;
pub use scrub::Scrub;
pub use shared::Deriva;
pub use shared::leases::Lease;
pub use shared::spans;
pub use timeline::Timeline;
