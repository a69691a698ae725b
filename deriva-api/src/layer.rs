//! Layers: stores that wrap a store, and executors that wrap an executor.

use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::{BlobStore, DagStore, Executor, OpenedStore};

/// Wraps a blob store in another one that adds a single concern.
///
/// A layer forwards every call (deny `clippy::missing_trait_methods` on its `impl`), changes nothing
/// that a caller can observe beyond its concern, and prints as `name(inner)`.
pub trait BlobLayer: Send + Sync {
    /// Wraps `inner`.
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore>;
}

/// Wraps a DAG store in another one; see [`BlobLayer`].
pub trait DagLayer: Send + Sync {
    /// Wraps `inner`.
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore>;
}

/// Wraps an executor in another one that adds a single concern: it answers from a cache, runs a step twice and
/// compares, runs some functions on another machine.
///
/// # What implementers promise
/// What `wrap` returns is an executor and keeps the whole contract of [`Executor`]. Where it hands a step on:
/// - `operands` is that of `inner`, unless the layer brings inputs and outputs from one form into the other.
/// - `width` is that of `inner`, or what the layer keeps busy itself; at least 1.
/// - `supports` is that of `inner`, but for what the layer refuses, or runs itself, by intent. It answers the same every
///   time: a layer that meets a failure reports the failure and goes on supporting the function.
/// - The step goes on whole. [`Step::deadline`](crate::Step::deadline) is the time that is left then, and
///   [`Step::context`](crate::Step::context) is the same one, since the scheduler gives the call up through it.
/// - A layer that remembers or shares outputs computes a [fresh](crate::Step::fresh) step anew, each one for itself, and
///   says of all others truly whether they were [reused](crate::Executed::reused). It knows a step by its function, its
///   params and its inputs, and remembers no failure.
/// - When its future is dropped, it drops that of `inner`: nothing goes on in a task of its own that the layer does not
///   end.
/// - It prints as `name(inner)`.
///
/// # What callers may assume
/// - The executor that comes out can stand wherever `inner` could, also inside another layer.
/// - `wrap` may be called any number of times, for one executor each.
///
/// Functions and closures from executor to executor are layers:
///
/// ```
/// use std::fmt;
/// use std::sync::Arc;
///
/// use deriva_api::{Executed, Executor, FunctionId, Layers, Operands, Result, Step, async_trait};
///
/// /// Tells what is run.
/// #[derive(Debug)]
/// struct Told(Arc<dyn Executor>);
///
/// impl Told {
///     fn around(inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
///         Arc::new(Self(inner))
///     }
/// }
///
/// impl fmt::Display for Told {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "told({})", self.0)
///     }
/// }
///
/// #[async_trait]
/// impl Executor for Told {
///     fn supports(&self, function: &FunctionId) -> bool {
///         self.0.supports(function)
///     }
///
///     fn operands(&self) -> Operands {
///         self.0.operands()
///     }
///
///     fn width(&self) -> usize {
///         self.0.width()
///     }
///
///     async fn execute(&self, step: Step) -> Result<Executed> {
///         eprintln!("{} by {}", step.addr, step.recipe.function());
///         self.0.execute(step).await
///     }
/// }
///
/// let layers = Layers::new().executor_layer(Told::around);
/// # drop(layers);
/// ```
pub trait ExecutorLayer: Send + Sync {
    /// Wraps `inner`.
    fn wrap(&self, inner: Arc<dyn Executor>) -> Arc<dyn Executor>;
}

impl<F> BlobLayer for F
where
    F: Fn(Arc<dyn BlobStore>) -> Arc<dyn BlobStore> + Send + Sync,
{
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        self(inner)
    }
}

impl<F> DagLayer for F
where
    F: Fn(Arc<dyn DagStore>) -> Arc<dyn DagStore> + Send + Sync,
{
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        self(inner)
    }
}

impl<F> ExecutorLayer for F
where
    F: Fn(Arc<dyn Executor>) -> Arc<dyn Executor> + Send + Sync,
{
    fn wrap(&self, inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        self(inner)
    }
}

/// A stack of layers for both kinds of store and for executors; the first added is the outermost. It is a layer itself.
#[derive(Clone, Default)]
pub struct Layers {
    stores: Vec<StoreLayer>,
    executors: Vec<Arc<dyn ExecutorLayer>>,
}

/// A layer for blob stores, for DAG stores, or for both.
#[derive(Clone)]
struct StoreLayer {
    blobs: Option<Arc<dyn BlobLayer>>,
    dag: Option<Arc<dyn DagLayer>>,
}

impl Layers {
    /// No layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer for both kinds of store, inside those added before.
    #[must_use]
    pub fn layer(self, layer: impl BlobLayer + DagLayer + 'static) -> Self {
        let layer = Arc::new(layer);
        self.with(StoreLayer {
            blobs: Some(Arc::clone(&layer) as Arc<dyn BlobLayer>),
            dag: Some(layer),
        })
    }

    /// Adds a layer for blob stores alone.
    #[must_use]
    pub fn blob_layer(self, layer: impl BlobLayer + 'static) -> Self {
        self.with(StoreLayer {
            blobs: Some(Arc::new(layer)),
            dag: None,
        })
    }

    /// Adds a layer for DAG stores alone.
    #[must_use]
    pub fn dag_layer(self, layer: impl DagLayer + 'static) -> Self {
        self.with(StoreLayer {
            blobs: None,
            dag: Some(Arc::new(layer)),
        })
    }

    fn with(mut self, layer: StoreLayer) -> Self {
        self.stores.push(layer);
        self
    }

    /// Adds a layer for executors, inside those added before.
    #[must_use]
    pub fn executor_layer(mut self, layer: impl ExecutorLayer + 'static) -> Self {
        self.executors.push(Arc::new(layer));
        self
    }

    /// Whether there is none for stores.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// Wraps what was opened.
    #[must_use]
    pub fn wrap(&self, store: OpenedStore) -> OpenedStore {
        self.wrap_each(store, |_| ())
    }

    /// The same; `each` is shown what each layer made, from the innermost to the outermost.
    #[must_use]
    pub fn wrap_each(&self, store: OpenedStore, mut each: impl FnMut(OpenedStore)) -> OpenedStore {
        let outward = self.stores.iter().rev();
        outward.fold(store, |inner, layer| {
            let blobs = layer.blobs.as_ref().zip(inner.blobs.clone());
            let dag = layer.dag.as_ref().zip(inner.dag.clone());
            let made = OpenedStore {
                blobs: blobs.map(|(layer, inner)| layer.wrap(inner)),
                dag: dag.map(|(layer, inner)| layer.wrap(inner)),
            };
            each(made.clone());
            OpenedStore {
                blobs: made.blobs.or(inner.blobs),
                dag: made.dag.or(inner.dag),
            }
        })
    }
}

impl BlobLayer for Layers {
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        let layers = self.stores.iter().rev();
        let layers = layers.filter_map(|layer| layer.blobs.as_ref());
        layers.fold(inner, |inner, layer| layer.wrap(inner))
    }
}

impl DagLayer for Layers {
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let layers = self.stores.iter().rev();
        let layers = layers.filter_map(|layer| layer.dag.as_ref());
        layers.fold(inner, |inner, layer| layer.wrap(inner))
    }
}

impl ExecutorLayer for Layers {
    fn wrap(&self, inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        let outward = self.executors.iter().rev();
        outward.fold(inner, |inner, layer| layer.wrap(inner))
    }
}

impl Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stores = self.stores.iter();
        let blobs = stores.clone().filter(|layer| layer.blobs.is_some());
        let dag = stores.filter(|layer| layer.dag.is_some());
        write!(
            f,
            "Layers({} for blobs, {} for the graph, {} for the executor)",
            blobs.count(),
            dag.count(),
            self.executors.len()
        )
    }
}
