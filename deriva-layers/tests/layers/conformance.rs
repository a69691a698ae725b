//! Every case of the testkit, through each layer and through all of them.

use async_trait::async_trait;
use deriva_api::Layers;
use deriva_api::{OpenedStore, Result};
use deriva_testkit::{Fixture, blob_store_conformance, dag_store_conformance};

use crate::support::model;

/// A new store inside the named layers.
#[derive(Debug)]
struct Layered(&'static str);

#[async_trait]
impl Fixture for Layered {
    async fn open(&self) -> Result<OpenedStore> {
        Ok(deriva_layers::named(self.0, &model())?.wrap(model()))
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

/// A fast store that can do nothing but remove and forget.
mod tiered_without_a_fast_store {
    use super::*;
    use crate::support::faulty;
    use deriva_api::ErrorKind;
    use deriva_layers::TieredLayer;
    use deriva_testkit::{FaultLayer, ModelStore, Operation};

    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl Fixture for Broken {
        async fn open(&self) -> Result<OpenedStore> {
            let faults = FaultLayer::new();
            for operation in Operation::ALL {
                faults.faults().fail_all(*operation, ErrorKind::Unavailable);
            }
            for needed in [
                Operation::BlobRemove,
                Operation::BlobFlush,
                Operation::DagForget,
            ] {
                faults
                    .faults()
                    .fail_nth(needed, u64::MAX, ErrorKind::Unavailable);
            }
            let fast = faulty(&faults, ModelStore::new());
            let layers = Layers::new().layer(TieredLayer::new(fast));
            Ok(layers.wrap(model()))
        }

        fn persistent(&self) -> bool {
            false
        }
    }

    blob_store_conformance!(store, Broken);
    dag_store_conformance!(graph, Broken);
}

mod all {
    use super::*;
    blob_store_conformance!(store, Layered("all"));
    dag_store_conformance!(graph, Layered("all"));
}
