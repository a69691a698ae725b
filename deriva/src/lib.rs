#![doc = include_str!("../README.md")]

pub use deriva_api::{
    AddrPrefix, Blob, BlobStat, ByteRange, Bytes, CAddr, Clock, Determinism, Error, ErrorKind,
    FunctionId, Materializer, Node, OnViolation, Output, Params, Recipe, Request, Result,
    SystemClock, Value,
};
pub use deriva_runtime::{
    BlobReader, Cutoff, Deriva, DerivaBuilder, Materialize, Materialized, RecipeBuilder, Shown,
    StoreResults,
};

/// For our own benches and tests: what the runtime hides.
#[doc(hidden)]
pub use deriva_runtime as runtime;

/// What most programs need: `use deriva::prelude::*`.
pub mod prelude {
    pub use crate::DerivaExt;
    pub use deriva_api::{
        AddrPrefix, Arity, Blob, BlobStat, BlobStore, BlobStoreExt, ByteRange, Bytes, CAddr,
        CallContext, Clock, ComputeFunction, DagStore, DagStoreExt, Determinism, Error, ErrorKind,
        Event, Executed, Executor, FnFunction, FunctionId, FunctionRegistry, OnViolation, Operand,
        Operands, ParamDoc, Params, Recipe, Result, Step, SystemClock, Value, Weight, async_trait,
    };
    pub use deriva_layers::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};
    pub use deriva_runtime::{
        CollectPolicy, Cutoff, Deriva, DerivaBuilder, PoolExecutor, StoreResults, Timeline,
    };
}

/// Stores: what they promise, how they are named by URI, and those that come with deriva.
pub mod stores {
    pub use deriva_api::{
        BlobCheck, BlobStore, BlobStoreExt, BlobUsage, BlobWriter, Capabilities, CommitCounters,
        Counter, DagStore, DagStoreExt, DagUsage, DiskRoom, Divergence, DurabilityClass, Evidence,
        OpenedStore, PutTogether, Record, RetryCounters, SharedDistribution, StackFactory,
        StoreCounters, StoreFactory, StoreIdentity, StoreRegistry, StoreUri, TierCounters, Walk,
    };
    pub use deriva_backends::{Durability, check_threads, files, memory};
    pub use deriva_runtime::StoreSource;

    #[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
    pub use deriva_backends::ReadPolicy;
    #[cfg(feature = "redb")]
    pub use deriva_backends::redb;
    #[cfg(feature = "rocksdb")]
    pub use deriva_backends::rocksdb;
    #[cfg(feature = "sled")]
    pub use deriva_backends::sled;

    /// A registry that knows every store scheme that was compiled in, and every way to put stores together:
    /// `sled:./data`, `split(blobs=files:./media, dag=redb:./graph)`, `retry(sled:./data, attempts=3)`.
    #[must_use]
    pub fn builtin() -> StoreRegistry {
        let mut registry = deriva_backends::registry();
        // The names are distinct, so none is refused.
        deriva_layers::register(&mut registry).ok();
        #[cfg(feature = "client")]
        deriva_client::register(&mut registry).ok();
        #[cfg(not(feature = "client"))]
        for scheme in ["deriva", "derivas"] {
            registry.note_absent(scheme, "client");
        }
        registry
    }
}

/// Layers: stores around stores, those that come with deriva and what others are made from.
pub mod layers {
    pub use deriva_api::{BlobLayer, DagLayer, ExecutorLayer, Layers};
    pub use deriva_layers::{
        LimitLayer, NAMES, ReadOnlyLayer, Retries, RetryLayer, TieredLayer, TimeoutLayer,
        TraceLayer, Traffic, intercept, intercept_layer, named, register, trace_each,
    };
}

/// Functions: their contract, functions from closures, and those that come with deriva.
pub mod functions {
    pub use deriva_api::{
        Arity, Body, CallContext, ComputeFunction, FnFunction, FunctionDoc, FunctionRegistry,
        ParamDoc, Progress, Weight, Within,
    };
    pub use deriva_functions::builtin;
}

/// Executors: where heavy functions run.
pub mod executors {
    pub use deriva_api::{Executed, Executor, Operand, Operands, Perturb, Step};
    pub use deriva_runtime::{InlineExecutor, PoolExecutor};
}

/// What is told while something runs, and what was done.
pub mod events {
    pub use deriva_api::{
        AuditEvent, CollectEvent, Distribution, Event, FunctionWork, Observer, Planned, Reason,
        Reuse, ScrubEvent, Summary, Work,
    };
    pub use deriva_runtime::{Instance, Instrument, Timeline};
}

/// The memory cache.
pub mod cache {
    pub use deriva_runtime::cache::{BlobCache, CacheStats, Pinned};
}

/// Determinism: which computations are checked, and what is known of functions that are not what they promise.
pub mod determinism {
    pub use deriva_api::{
        Answer, AuditEvent, Audited, Determinism, Difference, FoundBy, LedgerEntry, OnViolation,
        Skipped, Violation, is_sampled,
    };
    pub use deriva_runtime::{
        Audit, Bisect, BisectProgress, Bisected, Culprit, FunctionChecks, Suspect, Verification,
    };
}

/// Upkeep and questions: collect, scrub, invalidate, lease; explain, why, diff, status.
pub mod admin {
    pub use deriva_api::{
        Collected, Finding, FindingKind, Invalidated, NeededBy, ScrubCursor, Scrubbed,
    };
    pub use deriva_runtime::{
        Basis, Collect, CollectPolicy, CutoffDecision, Diff, Difference, DifferenceKind, Estimate,
        ExplainedNode, Explanation, Forecast, ForecastBytes, FunctionForecast, Graph, GraphEdge,
        GraphNode, GraphWalk, Invalidate, Lease, NodeState, Passed, Scrub, Snapshot, Status, Why,
    };
}

/// Tracing: the names, levels and fields of the spans and lines that are told to `tracing`.
pub mod spans {
    pub use deriva_runtime::spans::{EVENTS, EventDoc, SPANS, SpanDoc, TARGET};
}

/// Metrics: what an instance and each of its stores do, for Prometheus; and what metrics cannot say, for `deriva top`.
#[cfg(feature = "metrics")]
pub mod metrics {
    pub use deriva_metrics::{
        ActiveRequest, Activity, ActivityReport, Buckets, Family, Incident, Kind, Metrics,
        Registry, SECTIONS, Section, Served, ServedCall, families, prometheus,
    };
}

/// A deriva elsewhere: a client with the calls of the handle, which is a store and a [`Materializer`], too.
///
/// With the feature `client`, which is not on by default: it builds gRPC. Then [`stores::builtin`] knows the schemes `deriva` and
/// `derivas`: `builder().store("deriva://HOST:PORT")` computes here over the store of a server there.
#[cfg(feature = "client")]
pub mod client {
    pub use deriva_client::{
        Audit, BlobReader, Client, ClientBuilder, ClientFactory, Collect, GraphWalk, Invalidate,
        Lease, Materialize, Scrub, register,
    };
}

/// OpenTelemetry: spans and metrics for a collector, by OTLP, and the W3C trace context of those who call and are called.
///
/// With the feature `otel`, which is not on by default: it builds gRPC.
///
/// ```no_run
/// # use tracing_subscriber::prelude::*;
/// # async fn example(addr: deriva::CAddr, traceparent: &str) -> deriva::Result<()> {
/// use deriva::otel::{Otel, TraceContext};
/// use deriva::prelude::*;
///
/// // To http://localhost:4317, unless the environment says otherwise.
/// let otel = Otel::builder().service_name("previews").build()?;
/// tracing_subscriber::registry().with(otel.layer()).init();
/// let deriva = Deriva::builder().store("sled:./data").build().await?;
/// if let Some(metrics) = deriva.metrics() {
///     otel.push_metrics(metrics);
/// }
///
/// // The request is a part of the trace of who called.
/// let caller = TraceContext::from_headers(traceparent, None)?;
/// caller.scope(deriva.get(addr)).await?;
///
/// // Before the program ends: sends what waits.
/// otel.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "otel")]
pub mod otel {
    pub use deriva_otel::{Otel, OtelBuilder, TraceContext, end_span};
}

/// What authors of stores, layers and executors need beside the contracts.
pub mod authors {
    pub use deriva_api::authors::{
        check_expected, pages, still_needed, unknown_recipe, until_damage,
    };
    pub use deriva_api::{
        AddrTable, BlobBuilder, BlobHasher, BoxStream, BuildAddrHasher, async_trait, canonical,
        nearest, verify_by_reading,
    };
}

/// A builder that knows every store scheme and every function that come with deriva.
///
/// Each call of a store is a span of `tracing` to who wants these: see [`layers::TraceLayer`].
///
/// With the feature `metrics`, which is on by default, it counts what the instance and its stores do: see
/// [`DerivaExt::metrics`].
pub fn builder() -> DerivaBuilder {
    let builder = DerivaBuilder::new()
        .stores(stores::builtin())
        .functions(functions::builtin())
        .around_each_store(deriva_layers::trace_each);
    #[cfg(feature = "metrics")]
    if let Ok(metrics) = deriva_metrics::Metrics::new() {
        return builder.instrument(std::sync::Arc::new(metrics));
    }
    builder
}

/// Gives [`Deriva`] its `builder()`. The runtime knows no backend, so this crate, which knows both,
/// adds it; the [`prelude`] brings it into scope.
pub trait DerivaExt {
    /// Begins to put a [`Deriva`] together; the same as [`builder`].
    fn builder() -> DerivaBuilder {
        builder()
    }

    /// What it and its stores did, for Prometheus; `None` where it was built
    /// [without](DerivaBuilder::without_instrument), or with another instrument.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use deriva::metrics::{Metrics, Registry};
    /// use deriva::prelude::*;
    ///
    /// // In a registry of one's own, which may hold other metrics.
    /// let registry = Registry::new();
    /// let metrics = Arc::new(Metrics::in_registry(registry.clone())?);
    /// let deriva = Deriva::builder().store("memory:").instrument(metrics).build().await?;
    /// let leaf = deriva.put("hello").await?;
    /// deriva.get(leaf).await?;
    /// assert!(!registry.gather().is_empty());
    ///
    /// // Or in the one that each instance has.
    /// let deriva = Deriva::builder().store("memory:").build().await?;
    /// if let Some(metrics) = deriva.metrics() {
    ///     println!("{}", metrics.exposition(&deriva).await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "metrics")]
    fn metrics(&self) -> Option<&deriva_metrics::Metrics>;
}

impl DerivaExt for Deriva {
    #[cfg(feature = "metrics")]
    fn metrics(&self) -> Option<&deriva_metrics::Metrics> {
        self.instrument()
    }
}

/// Compiles the example of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct RepositoryReadme;

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/collect.md")]
struct Collect;

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/invalidate-and-scrub.md")]
struct InvalidateAndScrub;

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/write-a-function.md")]
struct WriteAFunction;

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/determinism.md")]
struct GuideDeterminism;

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/why.md")]
struct GuideWhy;

/// Compiles the examples of the guide.
#[cfg(all(doctest, feature = "metrics"))]
#[doc = include_str!("../../docs/guide/observe.md")]
struct Observe;

/// Compiles the example of the reference page.
#[cfg(doctest)]
#[doc = include_str!("../../docs/reference/layers.md")]
struct ReferenceLayers;

/// Compiles the example of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/write-a-layer.md")]
struct WriteALayer;
