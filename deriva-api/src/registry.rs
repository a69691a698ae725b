//! Which store schemes are known, as a value.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{BlobStore, DagStore, Error, ErrorKind, Result, StoreUri};

/// What a URI opened: a blob store, a DAG store, or both in one.
#[derive(Clone, Debug)]
pub struct OpenedStore {
    /// The blob store, where the scheme has one.
    pub blobs: Option<Arc<dyn BlobStore>>,
    /// The DAG store, where the scheme has one.
    pub dag: Option<Arc<dyn DagStore>>,
}

/// Opens the stores of one scheme.
#[async_trait]
pub trait StoreFactory: Debug + Send + Sync + 'static {
    /// The scheme: `sled`.
    fn scheme(&self) -> &str;

    /// One line about the stores, for lists.
    fn description(&self) -> &str;

    /// Opens the store that `uri` names, creating it where it is not there.
    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore>;
}

/// The store schemes that a program knows. A value, not a global: every builder has its own, and an
/// application adds its own schemes to it.
#[derive(Clone, Debug, Default)]
pub struct StoreRegistry {
    factories: BTreeMap<String, Arc<dyn StoreFactory>>,
    absent: BTreeMap<&'static str, &'static str>,
}

impl StoreRegistry {
    /// A registry that knows no scheme.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scheme.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the scheme is taken.
    pub fn register(&mut self, factory: Arc<dyn StoreFactory>) -> Result<()> {
        let scheme = factory.scheme().to_owned();
        if self.factories.contains_key(&scheme) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "this store scheme is registered already",
            )
            .with("scheme", scheme));
        }
        self.factories.insert(scheme, factory);
        Ok(())
    }

    /// Notes that `scheme` exists but needs the crate feature `feature`, which is not compiled in.
    pub fn note_absent(&mut self, scheme: &'static str, feature: &'static str) {
        self.absent.insert(scheme, feature);
    }

    /// The known schemes with their descriptions, by name.
    pub fn schemes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.factories
            .values()
            .map(|factory| (factory.scheme(), factory.description()))
    }

    /// Opens the store that `uri` names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown scheme, listing the known ones;
    /// [`ErrorKind::Unsupported`] for one that is not compiled in, naming the feature; and what the
    /// store itself says.
    pub async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        if let Some(factory) = self.factories.get(uri.scheme()) {
            return factory
                .open(uri)
                .await
                .map_err(|error| error.during("open").with("store", uri));
        }
        if let Some(feature) = self.absent.get(uri.scheme()) {
            return Err(
                Error::new(ErrorKind::Unsupported, "this store was not compiled in")
                    .with("uri", uri)
                    .hint(format!("build with the crate feature `{feature}`")),
            );
        }
        let known: Vec<&str> = self.factories.keys().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => "no schemes are registered".to_owned(),
            _ => format!("known schemes: {}", known.join(", ")),
        };
        Err(uri
            .invalid("unknown store scheme")
            .with("scheme", uri.scheme())
            .hint(hint))
    }
}
