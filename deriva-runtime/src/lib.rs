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
//! | stores that retry, time out, copy to a faster store | [`layers`] |
//! | what stays in memory | [`cache`] |
//! | where functions run | [`executor`] |
//! | the functions that come with deriva | [`functions`] |
//!
//! The runtime knows no store but through the traits of `deriva-api`; the facade crate `deriva` brings
//! both together.

mod builder;
pub mod cache;
mod call;
mod deriva;
mod digest;
mod event;
pub mod executor;
mod explain;
mod flights;
pub mod functions;
mod inner;
pub mod layers;
mod plan;
mod reader;
mod recipe_builder;
mod request;
mod run;
mod survey;

pub use builder::{DerivaBuilder, StoreSource};
pub use cache::{CacheStats, Pinned};
pub use deriva::{Deriva, Shown, Status};
pub use event::{Event, Materialized, Reuse, Summary};
pub use executor::{InlineExecutor, PoolExecutor};
pub use explain::{ExplainedNode, Explanation, NodeState};
pub use functions::FunctionRegistry;
pub use reader::BlobReader;
pub use recipe_builder::RecipeBuilder;
pub use request::{Cutoff, Materialize, StoreResults};
