//! Random sequences of calls give the answers of the model, and leave its state, on every store: with both
//! halves in one, and with the DAG in one store and the blobs in another.

use std::fmt::Debug;
use std::path::PathBuf;

use async_trait::async_trait;
use conformance::UriFixture;
use deriva_api::{Error, ErrorKind, OpenedStore, Result};
use deriva_testkit::{Fixture, operations};
use futures::executor::block_on;
use proptest::prelude::*;

/// A DAG store and a blob store, each on its own.
#[derive(Debug)]
struct Split {
    dag: UriFixture,
    blobs: UriFixture,
}

#[async_trait]
impl Fixture for Split {
    async fn open(&self) -> Result<OpenedStore> {
        Ok(OpenedStore {
            blobs: self.blobs.open().await?.blobs,
            dag: self.dag.open().await?.dag,
        })
    }

    fn persistent(&self) -> bool {
        self.dag.persistent() && self.blobs.persistent()
    }

    async fn crash(&self) -> Result<()> {
        if !self.persistent() {
            let message = "one half is in memory";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.dag.crash().await?;
        self.blobs.crash().await
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }
}

fn split(dag: &str, blobs: &str) -> Split {
    Split {
        dag: UriFixture::new(dag, ""),
        blobs: UriFixture::new(blobs, ""),
    }
}

/// One test for each fixture, with this number of sequences.
macro_rules! agrees {
    ($($name:ident, $cases:literal, $fixture:expr;)+) => {
        $(proptest! {
            #![proptest_config(ProptestConfig {
                cases: $cases,
                failure_persistence: None,
                ..ProptestConfig::default()
            })]

            #[test]
            fn $name(actions in operations::actions(50)) {
                let agreed = block_on(operations::agree(&$fixture, &actions));
                agreed.map_err(|error| TestCaseError::fail(error.to_string()))?;
            }
        })+
    };
}

agrees! {
    memory, 300, UriFixture::new("memory", "");
    files, 40, UriFixture::new("files", "");
    files_buffered, 60, UriFixture::new("files", "?durability=buffered");
    sled, 20, UriFixture::new("sled", "");
    sled_buffered, 30, UriFixture::new("sled", "?durability=buffered&blob_threshold=100");
    redb, 20, UriFixture::new("redb", "");
    redb_buffered, 30, UriFixture::new("redb", "?durability=buffered&blob_threshold=100");
    redb_and_files, 20, split("redb", "files");
    sled_and_files, 20, split("sled", "files");
    memory_and_files, 40, split("memory", "files");
    sled_and_memory, 20, split("sled", "memory");
}
