//! Which store schemes are known, as a value.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{BlobStore, DagStore, Error, ErrorKind, Result, StoreUri};

/// What a URI opened: a blob store, a DAG store, or both in one.
#[derive(Clone, Debug)]
pub struct OpenedStore {
    /// The blob store, where the scheme has one.
    pub blobs: Option<Arc<dyn BlobStore>>,
    /// The DAG store, where the scheme has one.
    pub dag: Option<Arc<dyn DagStore>>,
}

impl OpenedStore {
    /// A store of blobs alone.
    #[must_use]
    pub fn of_blobs(blobs: &Arc<dyn BlobStore>) -> Self {
        Self {
            blobs: Some(Arc::clone(blobs)),
            dag: None,
        }
    }

    /// A store of the graph alone.
    #[must_use]
    pub fn of_dag(dag: &Arc<dyn DagStore>) -> Self {
        Self {
            blobs: None,
            dag: Some(Arc::clone(dag)),
        }
    }
}

/// Prints as the URI that opens the same again: that of the stores, where both print alike, or
/// `split(blobs=.., dag=..)`. A part that is missing is left out.
impl fmt::Display for OpenedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blobs = self.blobs.as_ref().map(ToString::to_string);
        let dag = self.dag.as_ref().map(ToString::to_string);
        match (blobs, dag) {
            (Some(blobs), Some(dag)) if blobs != dag => {
                write!(f, "split(blobs={blobs}, dag={dag})")
            }
            (Some(one), _) | (None, Some(one)) => f.write_str(&one),
            (None, None) => f.write_str("no store"),
        }
    }
}

/// Opens the stores of one scheme.
#[async_trait]
pub trait StoreFactory: Debug + Send + Sync + 'static {
    /// The scheme: `sled`.
    fn scheme(&self) -> &str;

    /// One line about the stores, for lists.
    fn description(&self) -> &str;

    /// Looks at path and options, as [`StoreFactory::open`] would, and makes nothing. Of several stores that are put
    /// together none is opened before each has been looked at. Default: all is well.
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the URI.
    fn check(&self, uri: &StoreUri) -> Result<()> {
        let _ = uri;
        Ok(())
    }

    /// Opens the store that `uri` names, creating it where it is not there.
    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore>;
}

/// Puts stores together: what a URI like `retry(sled:./data, attempts=3)` names by `retry`.
///
/// What it makes prints itself so that the text, as a URI, gives the same again.
pub trait StackFactory: Debug + Send + Sync + 'static {
    /// The name: `retry`.
    fn name(&self) -> &str;

    /// One line about what it makes, for lists.
    fn description(&self) -> &str;

    /// The names of the stores that it takes, in order. Default: one without a name.
    fn stores(&self) -> &[&str] {
        &[""]
    }

    /// Reads the options, and says how the stores are put together once they are open.
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the options.
    fn prepare(&self, uri: &StoreUri) -> Result<Box<PutTogether>>;
}

/// Puts stores together that are open, in the order of [`StackFactory::stores`].
pub type PutTogether = dyn FnOnce(Vec<OpenedStore>) -> Result<OpenedStore> + Send;

/// The store schemes, and the stacks, that a program knows. A value, not a global: every builder has its own, and an
/// application adds its own to it.
#[derive(Clone, Debug, Default)]
pub struct StoreRegistry {
    factories: BTreeMap<String, Arc<dyn StoreFactory>>,
    stacks: BTreeMap<String, Arc<dyn StackFactory>>,
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
            let message = "this store scheme is registered already";
            return Err(Error::new(ErrorKind::Conflict, message).with("scheme", scheme));
        }
        self.factories.insert(scheme, factory);
        Ok(())
    }

    /// Adds a way to put stores together.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the name is taken.
    pub fn register_stack(&mut self, factory: Arc<dyn StackFactory>) -> Result<()> {
        let name = factory.name().to_owned();
        if self.stacks.contains_key(&name) {
            let message = "a stack of this name is registered already";
            return Err(Error::new(ErrorKind::Conflict, message).with("name", name));
        }
        self.stacks.insert(name, factory);
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

    /// The known stacks with their descriptions, by name.
    pub fn stacks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stacks
            .values()
            .map(|factory| (factory.name(), factory.description()))
    }

    /// Looks at all that `uri` says, and opens and makes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown scheme or stack, listing the known ones, for stores that a stack does
    /// not take, and for what a factory finds wrong; [`ErrorKind::Unsupported`] for a store that is not compiled
    /// in, naming the feature.
    pub fn check(&self, uri: &StoreUri) -> Result<()> {
        if !uri.is_stack() {
            let checked = self.factory(uri)?.check(uri);
            return checked.map_err(|error| error.during("open"));
        }
        let factory = self.stack(uri)?;
        if !uri
            .stores()
            .map(|(name, _)| name)
            .eq(factory.stores().iter().copied())
        {
            return Err(uri
                .invalid("these are not the stores that this stack is made of")
                .hint(form(factory)));
        }
        drop(factory.prepare(uri)?);
        uri.stores().try_for_each(|(_, store)| self.check(store))
    }

    /// Opens the store that `uri` names; of a stack all its stores, once all that the URI says has been looked at.
    ///
    /// # Errors
    /// Those of [`StoreRegistry::check`], and what the store itself says.
    pub async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        self.open_wrapped(uri, &|_, store| store).await
    }

    /// The same, with something around each store that is opened, and around what a stack makes of those. `wrap` is given
    /// the place of each: its scheme or the name of the stack; within a stack that names its stores, the name, such as
    /// `fast`, and what lies deeper begins with it: `slow.sled`.
    ///
    /// # Errors
    /// As [`StoreRegistry::open`].
    pub async fn open_wrapped(
        &self,
        uri: &StoreUri,
        wrap: &(dyn Fn(&str, OpenedStore) -> OpenedStore + Sync),
    ) -> Result<OpenedStore> {
        self.check(uri)?;
        self.open_checked(uri, "", uri.scheme().to_owned(), wrap)
            .await
    }

    /// `within` is the place of the last store with a name around this one.
    fn open_checked<'a>(
        &'a self,
        uri: &'a StoreUri,
        within: &'a str,
        place: String,
        wrap: &'a (dyn Fn(&str, OpenedStore) -> OpenedStore + Sync),
    ) -> BoxFuture<'a, Result<OpenedStore>> {
        Box::pin(async move {
            if !uri.is_stack() {
                let opened = self.factory(uri)?.open(uri).await;
                let opened = opened.map_err(|error| error.during("open").with("store", uri))?;
                return Ok(wrap(&place, opened));
            }
            let put_together = self.stack(uri)?.prepare(uri)?;
            let mut stores = Vec::with_capacity(uri.stores().len());
            for (name, store) in uri.stores() {
                let below = |name: &str| match within {
                    "" => name.to_owned(),
                    within => format!("{within}.{name}"),
                };
                let opened = match name {
                    "" => {
                        self.open_checked(store, within, below(store.scheme()), wrap)
                            .await
                    }
                    name => {
                        let place = below(name);
                        let within = place.clone();
                        self.open_checked(store, &within, place, wrap).await
                    }
                };
                stores.push(opened?);
            }
            let opened = put_together(stores);
            let opened = opened.map_err(|error| error.during("open").with("store", uri))?;
            Ok(wrap(&place, opened))
        })
    }

    fn factory(&self, uri: &StoreUri) -> Result<&dyn StoreFactory> {
        let scheme = uri.scheme();
        if let Some(factory) = self.factories.get(scheme) {
            return Ok(&**factory);
        }
        if let Some(feature) = self.absent.get(scheme) {
            let message = "this store was not compiled in";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with("uri", uri)
                .hint(format!("build with the crate feature `{feature}`")));
        }
        let unknown = uri.invalid("unknown store scheme").with("scheme", scheme);
        Err(unknown.hint(match self.stacks.get(scheme) {
            Some(stack) => form(&**stack),
            None => known("schemes", self.factories.keys()),
        }))
    }

    fn stack(&self, uri: &StoreUri) -> Result<&dyn StackFactory> {
        let name = uri.scheme();
        if let Some(factory) = self.stacks.get(name) {
            return Ok(&**factory);
        }
        let unknown = uri.invalid("unknown stack of stores").with("stack", name);
        Err(unknown.hint(match self.factories.contains_key(name) {
            true => format!("`{name}` is a store: write `{name}:PATH`"),
            false => known("stacks", self.stacks.keys()),
        }))
    }
}

/// How a stack is written.
fn form(factory: &dyn StackFactory) -> String {
    let stores = factory.stores().iter().map(|name| match *name {
        "" => "STORE".to_owned(),
        _ => format!("{name}=STORE"),
    });
    let stores: Vec<String> = stores.collect();
    format!("write `{}({})`", factory.name(), stores.join(", "))
}

fn known<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    match names.as_slice() {
        [] => format!("no {what} are registered"),
        _ => format!("known {what}: {}", names.join(", ")),
    }
}
