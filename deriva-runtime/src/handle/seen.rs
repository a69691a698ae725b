//! How a builder shows an instrument its stores.

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

/// A store with layers around it, and the instrument around these. What no layer is around stays as it is.
pub(super) fn layered(
    instrument: Option<&dyn Instrument>,
    layers: &Layers,
    store: OpenedStore,
) -> OpenedStore {
    let mut made = Vec::new();
    let opened = layers.wrap_each(store.clone(), |layer| made.push(layer));
    let Some(instrument) = instrument else {
        return opened;
    };
    for layer in made {
        for (place, store) in places(&without(layer, &opened)) {
            instrument.inside(&place, &store);
        }
    }
    let seen = seen(Some(instrument), without(opened, &store));
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

/// A store with the instrument around it.
pub(super) fn seen(instrument: Option<&dyn Instrument>, store: OpenedStore) -> OpenedStore {
    let Some(instrument) = instrument else {
        return store;
    };
    let mut seen = OpenedStore {
        blobs: None,
        dag: None,
    };
    for (place, part) in places(&store) {
        let part = instrument.wrap(&place, part);
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
