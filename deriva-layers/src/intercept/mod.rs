//! What most layers have in common: they forward every call and do something around it.
//!
//! [`Intercepted`] forwards both traits, written once; a layer only says, as an [`Intercept`], what happens
//! around each attempt of a call, and whether a failed one is made again. Both are generic, so a
//! layer costs one boxed future per call, that of the trait itself.

mod blobs;
mod dag;

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use deriva_api::{BoxStream, Capabilities, Error, Result};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};

/// A call of a store's contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// The method's name.
    pub(super) name: &'static str,
    /// Whether it changes what is stored.
    pub(super) writes: bool,
}

impl Operation {
    const fn reads(name: &'static str) -> Self {
        Self {
            name,
            writes: false,
        }
    }

    const fn writes(name: &'static str) -> Self {
        Self { name, writes: true }
    }
}

/// What a layer does around the calls of a store.
pub(super) trait Intercept: Debug + Send + Sync + 'static {
    /// The layer's name, for `Display`.
    const NAME: &'static str;

    /// What is remembered from one attempt of a call to the next.
    type Attempts: Default + Send;

    /// Settings that are not the default, for `Display`.
    fn settings(&self) -> &str {
        ""
    }

    /// What the store behind the layer can do, given what `inner` can.
    fn capabilities(&self, inner: Capabilities) -> Capabilities;

    /// Makes one attempt. The items of a stream and the pieces of a writer are attempts too.
    fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        F: Future<Output = Result<T>> + Send;

    /// After a failed attempt: returns when the next should be made, or with the error that the caller
    /// is to see. Not asked where a call cannot be repeated (what a writer was fed is gone).
    fn again(
        &self,
        attempts: &mut Self::Attempts,
        error: Error,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// A store with something around its calls.
pub(super) struct Intercepted<A, S: ?Sized> {
    interceptor: Arc<A>,
    inner: Arc<S>,
}

impl<A: Intercept, S: ?Sized + Send + Sync> Intercepted<A, S> {
    pub(super) fn new(interceptor: A, inner: Arc<S>) -> Self {
        Self {
            interceptor: Arc::new(interceptor),
            inner,
        }
    }

    async fn call<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let mut attempts = A::Attempts::default();
        loop {
            match self.interceptor.attempt(operation, &call).await {
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
                let mut items: BoxStream<'a, Result<T>> =
                    items.unwrap_or_else(|| open(after.clone()));
                loop {
                    match self
                        .interceptor
                        .attempt(operation, || items.try_next())
                        .await
                    {
                        Ok(None) => return Ok(None),
                        Ok(Some(item)) => {
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

impl<A: Intercept, S: ?Sized + Display> Display for Intercepted<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Makes a layer of a type that has `fn interceptor(&self, store: &dyn Display) -> impl Intercept`.
macro_rules! intercept_layer {
    ($layer:ty) => {
        impl deriva_api::BlobLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn deriva_api::BlobStore>,
            ) -> std::sync::Arc<dyn deriva_api::BlobStore> {
                let interceptor = self.interceptor(&inner);
                std::sync::Arc::new(crate::intercept::Intercepted::new(interceptor, inner))
            }
        }

        impl deriva_api::DagLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn deriva_api::DagStore>,
            ) -> std::sync::Arc<dyn deriva_api::DagStore> {
                let interceptor = self.interceptor(&inner);
                std::sync::Arc::new(crate::intercept::Intercepted::new(interceptor, inner))
            }
        }
    };
}
pub(super) use intercept_layer;
