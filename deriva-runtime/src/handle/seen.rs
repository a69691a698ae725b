//! What a builder puts around its stores, and how it shows them to an instrument.

use std::fmt::{self, Debug};
use std::sync::Arc;

use deriva_api::{Layers, OpenedStore};

use super::instrument::{Instance, Instrument};
use crate::shared::Deriva;

/// An instrument that was begun; it is abandoned where that does not come to its end.
pub(super) struct Begun(Option<Arc<dyn Instrument>>);

impl Begun {
    pub(super) fn new(instrument: Option<&Arc<dyn Instrument>>) -> Self {
        Self(instrument.cloned())
    }

    pub(super) fn instrument(&self) -> Option<Arc<dyn Instrument>> {
        self.0.clone()
    }

    pub(super) fn built(mut self, deriva: &Deriva) {
        if let Some(instrument) = self.0.take() {
            instrument.built(Instance::of(deriva));
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(instrument) = &self.0 {
            instrument.abandoned();
        }
    }
}

/// What makes of a store in a place one with something around it.
pub(super) struct Wrap(pub(super) Box<Wrapping>);

type Wrapping = dyn Fn(&str, OpenedStore) -> OpenedStore + Send + Sync;

impl Debug for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("around each store")
    }
}

/// What stands around each store: the instrument outside of all else.
pub(super) struct Around<'a> {
    pub(super) wraps: &'a [Wrap],
    pub(super) instrument: Option<&'a dyn Instrument>,
}

impl Around<'_> {
    pub(super) fn wrap(&self, place: &str, store: OpenedStore) -> OpenedStore {
        let wraps = self.wraps.iter();
        let store = wraps.fold(store, |store, Wrap(wrap)| wrap(place, store));
        match self.instrument {
            Some(instrument) => instrument.wrap(place, store),
            None => store,
        }
    }
}

/// A store with layers around it, and around these what stands around each. What no layer is around stays as it is.
pub(super) fn layered(around: &Around<'_>, layers: &Layers, store: OpenedStore) -> OpenedStore {
    let mut made = Vec::new();
    let opened = layers.wrap_each(store.clone(), |layer| made.push(layer));
    if let Some(instrument) = around.instrument {
        for layer in made {
            for (place, store) in places(&without(layer, &opened)) {
                instrument.inside(&place, &store);
            }
        }
    }
    let seen = seen(around, without(opened, &store));
    OpenedStore {
        blobs: seen.blobs.or(store.blobs),
        dag: seen.dag.or(store.dag),
    }
}

/// The halves of one that are not those of another.
fn without(one: OpenedStore, other: &OpenedStore) -> OpenedStore {
    fn is<S: ?Sized>(one: &Arc<S>, other: Option<&Arc<S>>) -> bool {
        other.is_some_and(|other| Arc::ptr_eq(one, other))
    }
    OpenedStore {
        blobs: one.blobs.filter(|blobs| !is(blobs, other.blobs.as_ref())),
        dag: one.dag.filter(|dag| !is(dag, other.dag.as_ref())),
    }
}

/// A store with all around it that stands around each.
pub(super) fn seen(around: &Around<'_>, store: OpenedStore) -> OpenedStore {
    let mut seen = OpenedStore {
        blobs: None,
        dag: None,
    };
    for (place, part) in places(&store) {
        let part = around.wrap(&place, part);
        seen.blobs = seen.blobs.or(part.blobs);
        seen.dag = seen.dag.or(part.dag);
    }
    seen
}

/// The parts of a store, each known by the first word that it prints as; one where both halves print alike.
fn places(store: &OpenedStore) -> Vec<(String, OpenedStore)> {
    let word = |prints: String| {
        let end = prints.find([':', '(']).unwrap_or(prints.len());
        prints[..end].to_owned()
    };
    let of_blobs = store.blobs.as_ref().map(|blobs| word(blobs.to_string()));
    let of_dag = store.dag.as_ref().map(|dag| word(dag.to_string()));
    match (of_blobs, of_dag) {
        (Some(blobs), Some(dag)) if blobs != dag => {
            let parts = [
                store.blobs.as_ref().map(OpenedStore::of_blobs),
                store.dag.as_ref().map(OpenedStore::of_dag),
            ];
            let parts = parts.into_iter().flatten();
            [blobs, dag].into_iter().zip(parts).collect()
        }
        (Some(one), _) | (None, Some(one)) => vec![(one, store.clone())],
        (None, None) => Vec::new(),
    }
}
