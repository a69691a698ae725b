//! Every case for stores and for materializers, on a client of a server: over a real socket, with a store behind it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod same;
mod served;

use conformance::UriFixture;
use deriva_testkit::{blob_store_conformance, dag_store_conformance, materializer_conformance};

use served::{ServedRuntime, ServedStore};

/// A client of a server over the store of this name.
fn store(name: &str) -> ServedStore {
    ServedStore::new(UriFixture::of(name, "none"))
}

/// The runtime of a server over the store of this name, through its client.
fn there(name: &str) -> ServedRuntime {
    ServedRuntime(UriFixture::of(name, "none"))
}

/// Makes the tests of a store.
macro_rules! served {
    ($($(#[$attribute:meta])* $name:ident = $store:literal;)+) => {
        $($(#[$attribute])* mod $name {
            use super::*;
            blob_store_conformance!(blobs, store($store));
            dag_store_conformance!(graph, store($store));
            materializer_conformance!(computing_there, there($store));
        })+
    };
}

// One that is gone with its process, and one that stays: the others differ in what these cases see of them in nothing.
served! {
    memory = "memory";
    sled = "sled";
}
