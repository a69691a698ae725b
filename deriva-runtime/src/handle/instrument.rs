//! What sees an instance from within.

use std::fmt::{self, Debug};
use std::sync::Arc;

use deriva_api::{Clock, Observer, OpenedStore, Result, Snapshot};

use crate::shared::{Deriva, Inner};

/// Sees an instance from within: hears what it does, stands around each of its stores, and reads what it holds. Metrics
/// are one.
///
/// # What implementers promise
/// - What `wrap` returns is a store that keeps the whole contract, as that of a [`BlobLayer`](deriva_api::BlobLayer) does.
/// - As an [`Observer`], see there.
///
/// # What callers may assume
/// - It is for one instance: [`Instrument::begin`] is called once, before all else, and refuses a second one, unless the
///   first was [abandoned](Instrument::abandoned).
/// - Each store is wrapped when it is open, those of which it is made before it is; then `built` is called.
pub trait Instrument: Observer + Debug {
    /// An instance is about to be built, with this clock.
    ///
    /// # Errors
    /// `Conflict` where this is another's already. The builder answers with it.
    fn begin(&self, clock: Arc<dyn Clock>) -> Result<()>;

    /// Wraps a store that was opened. `place` says which: the scheme or the name of a stack, and within a stack the name
    /// that it has there, such as `fast`.
    fn wrap(&self, place: &str, store: OpenedStore) -> OpenedStore;

    /// A layer of the builder was put around a store, and others lie around that: `wrap` is asked for what comes out of all
    /// of them. What the layer [counts of itself](deriva_api::BlobStore::counters) can be taken here. Default: nothing is
    /// done.
    fn inside(&self, place: &str, store: &OpenedStore) {
        let _ = (place, store);
    }

    /// The instance is built.
    fn built(&self, instance: Instance);

    /// The instance that was begun is not built, as something failed, or nobody waits for it any more. It may be begun anew,
    /// as if nothing had been. Default: nothing is done, and it stays begun.
    fn abandoned(&self) {}
}

/// An instance as an [`Instrument`] keeps it: it does not keep it alive.
#[derive(Clone)]
pub struct Instance(std::sync::Weak<Inner>);

impl Instance {
    pub(crate) fn of(deriva: &Deriva) -> Self {
        Self(Arc::downgrade(&deriva.inner))
    }

    /// What it has under way and holds; `None` once nobody has its handle any more.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.handle().map(|deriva| deriva.snapshot())
    }

    /// Its handle, while somebody has it.
    #[must_use]
    pub fn handle(&self) -> Option<Deriva> {
        let inner = self.0.upgrade()?;
        Some(Deriva { inner })
    }
}

impl Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instance")
    }
}

impl Deriva {
    /// The [instrument](crate::DerivaBuilder::instrument) that it was built with, where it is a `T`.
    #[must_use]
    pub fn instrument<T: Instrument>(&self) -> Option<&T> {
        self.inner.instrument.as_deref()?.downcast_ref()
    }
}
