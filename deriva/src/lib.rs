#![doc = include_str!("../README.md")]

pub use deriva_api as api;
pub use deriva_backends as backends;
pub use deriva_functions as functions;
pub use deriva_layers as layers;
pub use deriva_runtime as runtime;

pub use deriva_api::*;
pub use deriva_runtime::*;

/// What most programs need: `use deriva::prelude::*`.
pub mod prelude {
    pub use crate::DerivaExt;
    pub use deriva_api::{
        AddrPrefix, Arity, Blob, BlobStat, BlobStore, BlobStoreExt, ByteRange, Bytes, CAddr,
        CallContext, Clock, ComputeFunction, DagStore, DagStoreExt, Error, ErrorKind, Event,
        Executed, Executor, FnFunction, FunctionId, FunctionRegistry, Operand, Operands, ParamDoc,
        Params, Recipe, Result, Step, SystemClock, Value, Weight, async_trait,
    };
    pub use deriva_layers::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};
    pub use deriva_runtime::{
        CollectPolicy, Cutoff, Deriva, DerivaBuilder, PoolExecutor, StoreResults, Timeline,
    };
}

/// A registry that knows every store scheme that was compiled in, and every way to put stores together:
/// `sled:./data`, `split(blobs=files:./media, dag=redb:./graph)`, `retry(sled:./data, attempts=3)`.
pub fn stores() -> StoreRegistry {
    let mut registry = deriva_backends::registry();
    // The names are distinct, so none is refused.
    layers::register(&mut registry).ok();
    registry
}

/// A builder that knows every store scheme and every function that come with deriva.
pub fn builder() -> DerivaBuilder {
    DerivaBuilder::new()
        .stores(stores())
        .functions(functions::builtin())
}

/// Gives [`Deriva`] its `builder()`. The runtime knows no backend, so this crate, which knows both,
/// adds it; the [`prelude`] brings it into scope.
pub trait DerivaExt {
    /// Begins to put a [`Deriva`] together; the same as [`builder`].
    fn builder() -> DerivaBuilder {
        builder()
    }
}

impl DerivaExt for Deriva {}

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
#[doc = include_str!("../../docs/guide/why.md")]
struct GuideWhy;

/// Compiles the example of the reference page.
#[cfg(doctest)]
#[doc = include_str!("../../docs/reference/layers.md")]
struct ReferenceLayers;

/// Compiles the example of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/write-a-layer.md")]
struct WriteALayer;
