//! A layer over both traits without their methods: it says what it does around a call, and nothing else.
//!
//! [`Intercepted`] forwards both traits, written once; a layer only says, as an [`Intercept`], what happens
//! around each attempt of a call, and whether a failed one is made again. [`intercept_layer`](crate::intercept_layer)
//! makes a layer of it. All is generic, so a layer costs one boxed future per call, that of the trait itself.
//!
//! ```
//! use std::fmt::Display;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use deriva_api::{BlobLayer, BlobStore, Result};
//! use deriva_layers::intercept::{Intercept, Operation};
//! use deriva_layers::intercept_layer;
//!
//! /// Counts the calls that change something.
//! #[derive(Clone, Debug, Default)]
//! struct CountWrites(Arc<AtomicU64>);
//!
//! impl CountWrites {
//!     fn interceptor(&self, _store: &dyn Display) -> Self {
//!         self.clone()
//!     }
//! }
//!
//! impl Intercept for CountWrites {
//!     const NAME: &'static str = "count-writes";
//!     type Attempts = ();
//!
//!     async fn attempt<T, F>(&self, operation: Operation, call: impl FnOnce() -> F + Send) -> Result<T>
//!     where
//!         T: Send,
//!         F: Future<Output = Result<T>> + Send,
//!     {
//!         self.0.fetch_add(u64::from(operation.writes), Ordering::Relaxed);
//!         call().await
//!     }
//! }
//!
//! intercept_layer!(CountWrites);
//!
//! # use deriva_api::Blob;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! let counted = CountWrites::default();
//! let store: Arc<dyn BlobStore> = Arc::new(deriva_testkit::ModelStore::new());
//! let store = BlobLayer::wrap(&counted, store);
//! assert_eq!(store.to_string(), "count-writes(model)");
//! # runtime.block_on(async {
//! let blob = Blob::new("hello");
//! store.put(std::slice::from_ref(&blob)).await?;
//! store.get(blob.addr()).await?;
//! assert_eq!(counted.0.load(Ordering::Relaxed), 1);
//! # Ok::<(), deriva_api::Error>(())
//! # }).unwrap();
//! ```

mod blobs;
mod dag;
mod operation;

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use deriva_api::{BoxStream, Capabilities, Error, Result, StoreCounters};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};

pub use operation::Operation;

/// What a layer does around the calls of a store.
///
/// # What implementers promise
/// - An attempt that is let through is made once, and what it answers is what the caller gets: nothing observable
///   changes but the layer's concern.
/// - Any number of calls at once; a future that is dropped gives its call up and leaves nothing behind.
///
/// # What implementers may assume
/// - Every call of both traits comes through [`Intercept::attempt`], but for `capabilities`, which has a method of its
///   own. Calls on one store have one `Intercept`.
/// - [`Intercept::again`] is asked only where the call can be repeated.
pub trait Intercept: Debug + Send + Sync + 'static {
    /// The layer's name, for `Display`: it prints as `NAME(inner)`.
    const NAME: &'static str;

    /// Whether `Display` shows the layer at all. One that leaves the store as it is, and is put around it unasked, does
    /// not show: what is printed opens the same store again. Default: yes.
    const IS_SHOWN: bool = true;

    /// What is remembered from one attempt of a call to the next; `()` where nothing is.
    type Attempts: Default + Send;

    /// Settings that are not the default, for `Display`, each as `, key=value`. Default: none.
    fn settings(&self) -> &str {
        ""
    }

    /// What the wrapped store can do, given what `inner` can. Default: the same.
    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }

    /// What the layer counts of itself, the same for good: see [`BlobStore::counters`](deriva_api::BlobStore::counters). Of
    /// a layer that is not shown nobody asks: the store inside answers. Default: nothing.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }

    /// Makes one attempt. The items of a stream and the pieces of a writer are attempts too.
    fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        F: Future<Output = Result<T>> + Send;

    /// An attempt ended well: how many blobs, recipes or addresses it was about, and how many bytes of blobs went through.
    /// Of a call it is called inside of the attempt; of an item of a stream, and of what goes on with a writer, after it.
    /// Default: nothing.
    fn carried(&self, operation: Operation, items: u64, bytes: u64) {
        let _ = (operation, items, bytes);
    }

    /// After a failed attempt: returns when the next should be made, or with the error that the caller
    /// is to see. Not asked where a call cannot be repeated (what a writer was fed is gone). Default: the error.
    fn again(
        &self,
        _attempts: &mut Self::Attempts,
        error: Error,
    ) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Err(error))
    }
}

/// A store with something around its calls; a blob store where `S` is one, a DAG store where it is that.
pub struct Intercepted<A, S: ?Sized> {
    interceptor: Arc<A>,
    inner: Arc<S>,
}

impl<A: Intercept, S: ?Sized + Send + Sync> Intercepted<A, S> {
    /// Puts `interceptor` around the calls of `inner`.
    pub fn new(interceptor: A, inner: Arc<S>) -> Self {
        Self {
            interceptor: Arc::new(interceptor),
            inner,
        }
    }

    async fn call<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
        carried: impl Fn(&T) -> (u64, u64) + Send + Sync,
    ) -> Result<T> {
        let mut attempts = A::Attempts::default();
        let attempt = || async {
            let answer = call().await?;
            let (items, bytes) = carried(&answer);
            self.interceptor.carried(operation, items, bytes);
            Ok(answer)
        };
        loop {
            match self.interceptor.attempt(operation, &attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.interceptor.again(&mut attempts, error).await?,
            }
        }
    }

    /// Streams items; after a failure the stream is opened again after the last one.
    fn stream<'a, T, C>(
        &'a self,
        operation: Operation,
        after: Option<C>,
        open: impl Fn(Option<C>) -> BoxStream<'a, Result<T>> + Send + Sync + 'a,
        cursor: fn(&T) -> C,
    ) -> BoxStream<'a, Result<T>>
    where
        T: Send + 'a,
        C: Clone + Send + Sync + 'a,
    {
        let begin = (None, after, A::Attempts::default(), open);
        stream::try_unfold(
            begin,
            move |(items, mut after, mut attempts, open)| async move {
                let mut operation = operation;
                let mut items: BoxStream<'a, Result<T>> = match items {
                    Some(items) => {
                        operation = operation.part();
                        items
                    }
                    None => open(after.clone()),
                };
                loop {
                    match self
                        .interceptor
                        .attempt(operation, || items.try_next())
                        .await
                    {
                        Ok(None) => return Ok(None),
                        Ok(Some(item)) => {
                            self.interceptor.carried(operation, 1, 0);
                            after = Some(cursor(&item));
                            let rest = (Some(items), after, A::Attempts::default(), open);
                            return Ok(Some((item, rest)));
                        }
                        Err(error) => {
                            self.interceptor.again(&mut attempts, error).await?;
                            items = open(after.clone());
                        }
                    }
                }
            },
        )
        .boxed()
    }
}

fn count<T>(of: &[T]) -> u64 {
    of.len() as u64
}

impl<A: Intercept, S: ?Sized + Display> Display for Intercepted<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !A::IS_SHOWN {
            return self.inner.fmt(f);
        }
        write!(
            f,
            "{}({}{})",
            A::NAME,
            self.inner,
            self.interceptor.settings()
        )
    }
}

impl<A: Intercept, S: ?Sized + Debug> Debug for Intercepted<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Intercepted")
            .field(&self.interceptor)
            .field(&&*self.inner)
            .finish()
    }
}

/// Makes a [`BlobLayer`](deriva_api::BlobLayer) and a [`DagLayer`](deriva_api::DagLayer) of a type that has
/// `fn interceptor(&self, store: &dyn Display) -> impl Intercept`, which is asked once for each store that is wrapped;
/// see [`intercept`](crate::intercept).
#[macro_export]
macro_rules! intercept_layer {
    ($layer:ty) => {
        impl $crate::api::BlobLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn $crate::api::BlobStore>,
            ) -> std::sync::Arc<dyn $crate::api::BlobStore> {
                let interceptor = self.interceptor(&inner);
                std::sync::Arc::new($crate::intercept::Intercepted::new(interceptor, inner))
            }
        }

        impl $crate::api::DagLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn $crate::api::DagStore>,
            ) -> std::sync::Arc<dyn $crate::api::DagStore> {
                let interceptor = self.interceptor(&inner);
                std::sync::Arc::new($crate::intercept::Intercepted::new(interceptor, inner))
            }
        }
    };
}
