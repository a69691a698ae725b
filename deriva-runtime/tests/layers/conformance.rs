//! Every case of the testkit, through each layer and through all of them.

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result};
use deriva_runtime::layers::Layers;
use deriva_testkit::{Fixture, blob_store_conformance, dag_store_conformance};

use crate::support::model;

/// A new store inside the named layers.
#[derive(Debug)]
struct Layered(&'static str);

#[async_trait]
impl Fixture for Layered {
    async fn open(&self) -> Result<OpenedStore> {
        Ok(Layers::named(self.0, &model())?.wrap(model()))
    }

    fn persistent(&self) -> bool {
        false
    }
}

mod retry {
    use super::*;
    blob_store_conformance!(store, Layered("retry"));
    dag_store_conformance!(graph, Layered("retry"));
}

mod timeout {
    use super::*;
    blob_store_conformance!(store, Layered("timeout"));
    dag_store_conformance!(graph, Layered("timeout"));
}

mod limit {
    use super::*;
    blob_store_conformance!(store, Layered("limit"));
    dag_store_conformance!(graph, Layered("limit"));
}

mod tiered {
    use super::*;
    blob_store_conformance!(store, Layered("tiered"));
    dag_store_conformance!(graph, Layered("tiered"));
}

mod all {
    use super::*;
    blob_store_conformance!(store, Layered("all"));
    dag_store_conformance!(graph, Layered("all"));
}
