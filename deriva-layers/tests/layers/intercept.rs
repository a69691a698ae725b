//! A layer as an outsider writes it: nothing changes but its concern, on either trait.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deriva_api::Layers;
use deriva_api::{BlobLayer, Capabilities, DagLayer, ErrorKind, OpenedStore, Result};
use deriva_layers::intercept::{Intercept, Operation};
use deriva_layers::intercept_layer;
use deriva_testkit::{FaultLayer, Fixture, blob_store_conformance, dag_store_conformance};
use deriva_testkit::{ModelStore, Operation as Call};

use crate::support::{blob, blobs, dag, faulty, model, recipe};

/// Notes which calls are made, and which of them write.
#[derive(Clone, Debug, Default)]
struct NotesCalls(Arc<Mutex<BTreeSet<(&'static str, bool)>>>);

impl NotesCalls {
    fn interceptor(&self, store: &dyn Display) -> Self {
        assert_eq!(store.to_string(), "model");
        self.clone()
    }

    fn names(&self, writes: bool) -> Vec<&'static str> {
        let calls = self.0.lock().unwrap();
        let wanted = calls.iter().filter(|(_, it)| *it == writes);
        wanted.map(|(name, _)| *name).collect()
    }
}

impl Intercept for NotesCalls {
    const NAME: &'static str = "notes-calls";

    type Attempts = ();

    async fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        self.0
            .lock()
            .unwrap()
            .insert((operation.name, operation.writes));
        call().await
    }
}

intercept_layer!(NotesCalls);

#[derive(Debug)]
struct Noted;

#[async_trait]
impl Fixture for Noted {
    async fn open(&self) -> Result<OpenedStore> {
        Ok(Layers::new().layer(NotesCalls::default()).wrap(model()))
    }

    fn persistent(&self) -> bool {
        false
    }
}

blob_store_conformance!(store, Noted);
dag_store_conformance!(graph, Noted);

#[tokio::test]
async fn calls_of_both_traits_come_through_one_method_with_their_names() {
    let layer = NotesCalls::default();
    let (blobs, dag) = (blobs(&layer, model()), dag(&layer, model()));
    let (one, made) = (blob(1, 10), recipe("f/1", &[]));
    blobs.put(std::slice::from_ref(&one)).await.unwrap();
    let mut writer = blobs.writer(None).await.unwrap();
    writer.write("bytes".into()).await.unwrap();
    writer.finish().await.unwrap();
    blobs.verify(&[one.addr()]).await.unwrap();
    blobs.get(one.addr()).await.unwrap();
    blobs.remove(&[one.addr()]).await.unwrap();
    dag.insert(std::slice::from_ref(&made)).await.unwrap();
    dag.outputs(&[made.addr()]).await.unwrap();
    assert_eq!(layer.names(false), ["get", "outputs", "verify"]);
    let writes = ["finish", "insert", "put", "remove", "write", "writer"];
    assert_eq!(layer.names(true), writes);
}

/// What is left out of an `Intercept` changes nothing: what the store can do, and errors.
#[tokio::test]
async fn what_a_layer_does_not_say_is_the_stores() {
    let layer = NotesCalls::default();
    let capabilities =
        |opened: OpenedStore| -> Capabilities { opened.blobs.unwrap().capabilities() };
    let wrapped = Layers::new().layer(layer.clone()).wrap(model());
    assert_eq!(wrapped.to_string(), "notes-calls(model)");
    assert_eq!(
        format!("{:?}", capabilities(wrapped).durability),
        format!("{:?}", capabilities(model()).durability)
    );
    let faults = FaultLayer::new();
    faults
        .faults()
        .fail_nth(Call::BlobGet, 1, ErrorKind::Unavailable);
    let store = faulty(&faults, ModelStore::new());
    let noted = NotesCalls::default();
    // A store by another name, which this layer does not look at when it is put around by hand.
    let store = deriva_layers::intercept::Intercepted::new(noted, store.blobs.unwrap());
    let store: &dyn deriva_api::BlobStore = &store;
    let error = store.get(blob(1, 1).addr()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(store.get(blob(1, 1).addr()).await.unwrap().is_none());
}

/// Both layers are made of one type.
#[test]
fn a_type_with_an_interceptor_is_a_layer_of_both_kinds() {
    fn both(_: &(impl BlobLayer + DagLayer)) {}
    both(&NotesCalls::default());
}
