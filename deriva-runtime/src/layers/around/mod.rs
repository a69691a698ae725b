//! What most layers have in common: they forward every call and do something around it.
//!
//! [`Layered`] forwards both traits, written once; a layer only says, as an [`Around`], what happens
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
pub(super) trait Around: Debug + Send + Sync + 'static {
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
pub(super) struct Layered<A, S: ?Sized> {
    around: Arc<A>,
    inner: Arc<S>,
}

impl<A: Around, S: ?Sized + Send + Sync> Layered<A, S> {
    pub(super) fn new(around: A, inner: Arc<S>) -> Self {
        Self {
            around: Arc::new(around),
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
            match self.around.attempt(operation, &call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.around.again(&mut attempts, error).await?,
            }
        }
    }

    /// Streams items; after a failure the stream is opened again behind the last one.
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
                    match self.around.attempt(operation, || items.try_next()).await {
                        Ok(None) => return Ok(None),
                        Ok(Some(item)) => {
                            after = Some(cursor(&item));
                            let rest = (Some(items), after, A::Attempts::default(), open);
                            return Ok(Some((item, rest)));
                        }
                        Err(error) => {
                            self.around.again(&mut attempts, error).await?;
                            items = open(after.clone());
                        }
                    }
                }
            },
        )
        .boxed()
    }
}

impl<A: Around, S: ?Sized + Display> Display for Layered<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}{})", A::NAME, self.inner, self.around.settings())
    }
}

impl<A: Around, S: ?Sized + Debug> Debug for Layered<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layered")
            .field(&self.around)
            .field(&&*self.inner)
            .finish()
    }
}

/// Makes a layer of a type that has `fn around(&self, store: &dyn Display) -> impl Around`.
macro_rules! around_layer {
    ($layer:ty) => {
        impl deriva_api::BlobLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn deriva_api::BlobStore>,
            ) -> std::sync::Arc<dyn deriva_api::BlobStore> {
                let around = self.around(&inner);
                std::sync::Arc::new(crate::layers::around::Layered::new(around, inner))
            }
        }

        impl deriva_api::DagLayer for $layer {
            fn wrap(
                &self,
                inner: std::sync::Arc<dyn deriva_api::DagStore>,
            ) -> std::sync::Arc<dyn deriva_api::DagStore> {
                let around = self.around(&inner);
                std::sync::Arc::new(crate::layers::around::Layered::new(around, inner))
            }
        }
    };
}
pub(super) use around_layer;
