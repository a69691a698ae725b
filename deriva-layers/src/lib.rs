//! Layers: stores that wrap a store and add one concern.
//!
//! | layer | what it adds | prints as, and is named by the URI |
//! |---|---|---|
//! | [`RetryLayer`] | calls with a transient failure are made again | `retry(sled:./data)` |
//! | [`TimeoutLayer`] | calls that take too long fail | `timeout(sled:./data)` |
//! | [`LimitLayer`] | at most N calls at once | `limit(sled:./data)` |
//! | [`ReadOnlyLayer`] | writes are refused | `read-only(sled:./data)` |
//! | [`TraceLayer`] | a span of `tracing` for each call | as the store itself |
//! | [`TieredLayer`] | copies in a fast store of what a slow one holds | `tiered(fast=memory:, slow=sled:./data)` |
//!
//! Settings that are not the default are printed, too: `retry(sled:./data, attempts=3)`. [`register`] lets a
//! registry open such URIs. A layer of one's own is an [`intercept::Intercept`] of thirty lines.
//!
//! Each wraps blob stores and DAG stores alike. [`deriva_api::Layers`] is a stack of them.

pub mod intercept;
mod limit;
mod named;
mod read_only;
mod retry;
mod tiered;
mod timeout;
mod trace;
mod uri;

#[doc(hidden)]
pub use deriva_api as api;
pub use limit::LimitLayer;
pub use named::{NAMES, named};
pub use read_only::ReadOnlyLayer;
pub use retry::{Retries, RetryLayer};
pub use tiered::{TieredLayer, Traffic};
pub use timeout::TimeoutLayer;
pub use trace::{TraceLayer, trace_each};
pub use uri::register;
