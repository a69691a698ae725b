//! The runtime of deriva: it makes the bytes of an address available.
//!
//! A request is planned breadth-first over the DAG store ([`Deriva::explain`] shows the plan without
//! running it), run by one task that owns all of its state, and written behind in batches. Nothing
//! is recursive over the graph, and no task or thread is made per node.
//!
//! | to learn about | read |
//! |---|---|
//! | the handle and its calls | [`Deriva`], [`DerivaBuilder`] |
//! | options of a request, what comes of it | [`Materialize`], [`Materialized`], [`Event`] |
//! | what is taken when nothing needs it any more | [`Collect`], [`CollectPolicy`], [`Lease`] |
//! | what stays in memory | [`cache`] |
//! | where functions run | [`executor`] |
//! | in what order, and how long a graph would take | [`schedule`] |
//!
//! The runtime knows no store but through the traits of `deriva-api`; the facade crate `deriva` brings
//! both together.

mod able;
mod address_index;
mod builder;
pub mod cache;
mod carried;
mod claimant;
mod collect;
mod costs;
mod deriva;
mod diff;
mod digest;
mod event;
pub mod executor;
mod explain;
mod flights;
mod forecast;
mod forget;
mod gate;
mod in_use;
mod inner;
#[cfg(test)]
mod interleavings;
mod invalidate;
mod invalidations;
mod invoke;
mod leases;
mod lookup;
mod memory;
mod needed_by;
mod nesting;
mod open_stores;
mod plan;
#[doc(hidden)]
pub mod planted;
mod policy;
mod putting;
mod reader;
mod recipe_builder;
mod request;
mod run;
pub mod schedule;
mod scrub;
mod settings;
mod slots;
mod stages;
mod sync;
mod timeline;
mod unreachable_since;
mod why;

pub use builder::{DerivaBuilder, StoreSource};
pub use cache::{CacheStats, Pinned};
pub use collect::{Collect, CollectEvent, CollectPolicy, Collected};
pub use costs::{Basis, CutoffDecision, Estimate};
pub use deriva::{Deriva, Shown, Status};
pub use diff::{Diff, Difference, DifferenceKind, Passed};
pub use event::{Event, Materialized, Reuse, Summary};
pub use executor::{InlineExecutor, PoolExecutor};
pub use explain::{ExplainedNode, Explanation, NodeState};
pub use forecast::{Forecast, ForecastBytes, FunctionForecast};
#[doc(hidden)]
pub use in_use::InUse;
pub use invalidate::{Invalidate, Invalidated};
pub use leases::Lease;
pub use needed_by::NeededBy;
pub use policy::{Cutoff, StoreResults};
pub use reader::BlobReader;
pub use recipe_builder::RecipeBuilder;
pub use request::Materialize;
pub use scrub::{Finding, FindingKind, Scrub, ScrubCursor, ScrubEvent, Scrubbed};
pub use timeline::Timeline;
pub use why::{Reason, Standing, Why};
