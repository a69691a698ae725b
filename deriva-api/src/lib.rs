//! The contracts of deriva: what an address, a blob, a recipe, a store and an executor are.
//!
//! This crate does no I/O. Store authors implement [`BlobStore`] and [`DagStore`]; those who run
//! steps somewhere implement [`Executor`]; who offers a whole runtime, near or far, implements [`Materializer`]; callers use the traits together with their sugar,
//! [`BlobStoreExt`] and [`DagStoreExt`]. Each trait opens with its contract for both sides.
//!
//! | to learn about | read |
//! |---|---|
//! | names of bytes and of computations | [`CAddr`], [`Blob`], [`Recipe`] |
//! | the bytes that are hashed and stored | [`canonical`] |
//! | what a store promises | [`BlobStore`], [`DagStore`], [`Capabilities`] |
//! | whether stored bytes are right | [`BlobStore::verify`], [`BlobCheck`] |
//! | what a store counts of itself | [`BlobStore::counters`], [`StoreCounters`] |
//! | how a step runs | [`Executor`] |
//! | what is asked of a runtime, here or elsewhere | [`Materializer`], [`Request`] |
//! | what goes around a store or an executor | [`BlobLayer`], [`DagLayer`], [`ExecutorLayer`], [`Layers`] |
//! | what recipes apply | [`ComputeFunction`], [`FnFunction`], [`FunctionRegistry`] |
//! | what authors of stores need beside the traits | [`authors`] |
//! | which computations are run again and compared | [`Determinism`], [`Violation`] |
//! | what would be computed and why, what lies below an address | [`Explanation`], [`Why`], [`diff`], [`Graph`] |
//! | how much there is, what is under way | [`Status`], [`Snapshot`] |
//! | what upkeep takes and tells | [`CollectPolicy`], [`Collected`], [`Scrubbed`], [`Audited`], [`Invalidated`] |
//! | what went wrong and what to do next | [`Error`], [`ErrorKind`] |
//! | how a store is named in text | [`StoreUri`], [`StoreRegistry`] |

mod addr;
mod addr_table;
mod arity;
mod audited;
pub mod authors;
mod blob;
mod blob_check;
mod blob_store;
mod blob_store_ext;
mod call_context;
pub mod canonical;
mod capabilities;
mod clock;
mod collect_policy;
mod collected;
mod dag_store;
mod dag_store_ext;
mod determinism;
pub mod diff;
mod distribution;
mod error;
mod event;
mod executor;
mod explained;
mod fn_function;
mod forecast;
mod function;
mod function_doc;
mod function_registry;
mod graph;
mod invalidated;
mod layer;
mod materializer;
mod nearest;
mod needed_by;
mod node;
mod node_state;
mod observer;
mod policy;
mod range;
mod recipe;
mod registry;
mod scrub_cursor;
mod scrubbed;
mod shown;
mod snapshot;
mod status;
mod store_counters;
mod suspect;
mod uri;
mod value;
mod violation;
mod why;
mod work;

pub use addr::{AddrPrefix, BuildAddrHasher, CAddr};
pub use addr_table::AddrTable;
pub use arity::Arity;
pub use audited::{AuditEvent, Audited, Skipped};
pub use blob::{Blob, BlobBuilder, BlobHasher, BlobStat};
pub use blob_check::{BlobCheck, Evidence, verify_by_reading};
pub use blob_store::{BlobStore, BlobUsage, BlobWriter};
pub use blob_store_ext::BlobStoreExt;
pub use call_context::{CallContext, Progress};
pub use capabilities::{Capabilities, DurabilityClass, StoreIdentity};
pub use clock::{Clock, SystemClock};
pub use collect_policy::CollectPolicy;
pub use collected::{CollectEvent, Collected};
pub use dag_store::{DagStore, DagUsage};
pub use dag_store_ext::{DagStoreExt, Walk};
pub use determinism::{Determinism, OnViolation, is_sampled};
pub use distribution::{Distribution, SharedDistribution};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Reason, Reuse, Summary};
pub use executor::{Executed, Executor, Operand, Operands, Perturb, Step};
pub use explained::{ExplainedNode, Explanation};
pub use fn_function::{Body, FnFunction, Within};
pub use forecast::{Basis, CutoffDecision, Estimate, Forecast, ForecastBytes, FunctionForecast};
pub use function::{ComputeFunction, FunctionId, ParamDoc, Weight};
pub use function_doc::FunctionDoc;
pub use function_registry::FunctionRegistry;
pub use graph::{Graph, GraphEdge, GraphNode};
pub use invalidated::Invalidated;
pub use layer::{BlobLayer, DagLayer, ExecutorLayer, Layers};
pub use materializer::{Materialized, Materializer, Request};
pub use nearest::nearest;
pub use needed_by::NeededBy;
pub use node::{Divergence, Node, Output, Record};
pub use node_state::NodeState;
pub use observer::Observer;
pub use policy::{Cutoff, StoreResults};
pub use range::ByteRange;
pub use recipe::Recipe;
pub use registry::{OpenedStore, PutTogether, StackFactory, StoreFactory, StoreRegistry};
pub use scrub_cursor::ScrubCursor;
pub use scrubbed::{Finding, FindingKind, ScrubEvent, Scrubbed};
pub use shown::Shown;
pub use snapshot::{CacheStats, Snapshot};
pub use status::{FunctionChecks, Status, Verification};
pub use store_counters::{
    CommitCounters, Counter, DiskRoom, RetryCounters, StoreCounters, TierCounters,
};
pub use suspect::Suspect;
pub use uri::StoreUri;
pub use value::{Params, Value};
pub use violation::{Answer, Difference, FoundBy, LedgerEntry, Violation};
pub use why::Why;
pub use work::{FunctionWork, Planned, Work};

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use futures::stream::BoxStream;
