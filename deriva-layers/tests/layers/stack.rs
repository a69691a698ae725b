//! Stacks print themselves, in order, and are built by name.

use deriva_api::Layers;
use deriva_api::{BlobLayer, DagLayer, ErrorKind};
use deriva_layers::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer};

use crate::support::model;

#[test]
fn the_first_layer_is_the_outermost() {
    let layers = Layers::new()
        .layer(RetryLayer::new())
        .blob_layer(LimitLayer::new(1))
        .dag_layer(ReadOnlyLayer::new())
        .layer(TieredLayer::new(model()));
    let store = layers.wrap(model());
    let (blobs, dag) = (store.blobs.unwrap(), store.dag.unwrap());
    assert_eq!(
        blobs.to_string(),
        "retry(limit(tiered(fast=model, slow=model), calls=1))"
    );
    assert_eq!(
        dag.to_string(),
        "retry(read-only(tiered(fast=model, slow=model)))"
    );
}

#[test]
fn stacks_are_built_by_name() {
    let printed = |names: &str| {
        let layers = deriva_layers::named(names, &model()).unwrap();
        let store = layers.wrap(model());
        (
            store.blobs.unwrap().to_string(),
            store.dag.unwrap().to_string(),
        )
    };
    for (names, expected) in [
        ("none", "model"),
        ("retry, timeout", "retry(timeout(model))"),
        ("limit,read-only", "limit(read-only(model))"),
        (
            "all",
            "retry(timeout(limit(tiered(fast=model, slow=model))))",
        ),
    ] {
        assert_eq!(printed(names), (expected.to_owned(), expected.to_owned()));
    }
    for name in deriva_layers::NAMES {
        printed(name);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let error = deriva_layers::named("retry,trolley", &model()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.context("layer"), Some("trolley"));
    for name in deriva_layers::NAMES {
        assert!(error.advice().unwrap().contains(name));
    }
}

#[test]
fn no_layers_are_no_store() {
    let store = model().blobs.unwrap();
    let same = BlobLayer::wrap(&Layers::new(), store.clone());
    assert!(std::sync::Arc::ptr_eq(&store, &same));
    let dag = model().dag.unwrap();
    let same = DagLayer::wrap(&Layers::new(), dag.clone());
    assert!(std::sync::Arc::ptr_eq(&dag, &same));
}
