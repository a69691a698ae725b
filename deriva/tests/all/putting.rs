//! Whoever puts a blob whose copy in the store is damaged repairs it, through whatever door.

use std::fmt;
use std::sync::Arc;

use crate::common::{Stores, recipe};
use deriva::SystemClock;
use deriva::authors::async_trait;
use deriva::executors::{Executed, Executor, InlineExecutor, Operand, Operands, Step};
use deriva::prelude::*;
use deriva::stores::{OpenedStore, StoreUri};
use deriva_testkit::{CountingLayer, ModelStore, Operation};

/// Long enough for a file of its own.
const LONG: usize = 20_000;

/// A store on disk with a damaged blob.
struct Damaged {
    stores: Stores,
    store: OpenedStore,
    bytes: Vec<u8>,
    addr: CAddr,
}

impl Damaged {
    async fn new(scheme: &'static str) -> Self {
        let stores = Stores::new(scheme);
        let uri: StoreUri = stores.uri().parse().unwrap();
        let store = deriva::stores::builtin().open(&uri).await.unwrap();
        let bytes = b"SOME BYTES ".repeat(LONG / 10);
        let addr = CAddr::of_blob(&bytes);
        let damaged = Self {
            stores,
            store,
            bytes,
            addr,
        };
        damaged.blobs().put(&[damaged.blob()]).await.unwrap();
        damaged.damage();
        damaged
    }

    fn damage(&self) {
        let name = self.addr.to_string();
        let files = self.stores.folder.path().join("store").join("files");
        let file = files.join(&name[..2]).join(name);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[LONG / 2] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
    }

    fn blobs(&self) -> &Arc<dyn BlobStore> {
        self.store.blobs.as_ref().unwrap()
    }

    fn blob(&self) -> Blob {
        Blob::new(self.bytes.clone())
    }

    fn builder(&self) -> DerivaBuilder {
        let builder = Deriva::builder().blobs(Arc::clone(self.blobs()));
        let builder = builder.dag(Arc::clone(self.store.dag.as_ref().unwrap()));
        builder.cache_bytes(0)
    }

    async fn is_whole(&self) -> bool {
        match self.blobs().get(self.addr).await {
            Ok(blob) => blob.is_some(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                false
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Put,
    PutMany,
    PutMissing,
    PutReader,
    /// A recipe makes the same bytes, and they are written as its output.
    Result,
    /// They are written for an executor that reads its inputs from the store.
    Operand,
}

const DOORS: [Door; 6] = [
    Door::Put,
    Door::PutMany,
    Door::PutMissing,
    Door::PutReader,
    Door::Result,
    Door::Operand,
];

impl Door {
    async fn pass(self, damaged: &Damaged, builder: DerivaBuilder) -> Result<()> {
        let functions = Arc::new(deriva::functions::builtin());
        let clock = Arc::new(SystemClock::new());
        let inline = InlineExecutor::new(functions, clock);
        let builder = match self {
            Self::Operand => builder
                .store_results(StoreResults::None)
                .executor(Arc::new(Reads(inline, Arc::clone(damaged.blobs())))),
            _ => builder,
        };
        let deriva = builder.build().await?;
        let lower = damaged.bytes.to_ascii_lowercase();
        match self {
            Self::Put => assert_eq!(deriva.put(damaged.bytes.clone()).await?, damaged.addr),
            Self::PutMany => {
                deriva
                    .put_many(&[Blob::new("other"), damaged.blob()])
                    .await?
            }
            Self::PutMissing => {
                deriva
                    .put_missing(&[Blob::new("other"), damaged.blob()])
                    .await?;
                let other = Blob::new("other").addr();
                assert!(damaged.blobs().has_blob(other).await?);
            }
            Self::PutReader => {
                let stat = deriva.put_reader(&damaged.bytes[..]).await?;
                assert_eq!(stat, damaged.blob().stat());
            }
            Self::Result => {
                let leaf = deriva.put(lower).await?;
                let upper = recipe(&deriva, "text.upper", &[leaf]).await;
                let done = deriva.materialize(upper).await?;
                assert_eq!(done.results[0].as_ref().unwrap().addr, damaged.addr);
            }
            Self::Operand => {
                let leaf = deriva.put(lower).await?;
                let upper = recipe(&deriva, "text.upper", &[leaf]).await;
                let zip = recipe(&deriva, "compress.gzip", &[upper]).await;
                deriva.materialize(zip).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_door_replaces_a_damaged_copy() {
    let mut shut = Vec::new();
    for scheme in ["sled", "redb"] {
        for door in DOORS {
            let damaged = Damaged::new(scheme).await;
            assert!(!damaged.is_whole().await);
            door.pass(&damaged, damaged.builder()).await.unwrap();
            shut.extend((!damaged.is_whole().await).then_some((scheme, door)));
        }
    }
    assert_eq!(shut, []);
}

/// A whole copy in front hides the damage from every read.
#[tokio::test]
async fn a_whole_copy_in_front_keeps_no_door_shut() {
    let mut shut = Vec::new();
    for door in [
        Door::Put,
        Door::PutMany,
        Door::PutMissing,
        Door::PutReader,
        Door::Result,
    ] {
        let damaged = Damaged::new("sled").await;
        let memory: StoreUri = "memory:".parse().unwrap();
        let fast = deriva::stores::builtin().open(&memory).await.unwrap();
        let copies = Arc::clone(fast.blobs.as_ref().unwrap());
        copies.put(&[damaged.blob()]).await.unwrap();
        let builder = damaged.builder().blob_layer(TieredLayer::new(fast));
        door.pass(&damaged, builder).await.unwrap();
        shut.extend((!damaged.is_whole().await).then_some(door));
        assert!(copies.get(damaged.addr).await.unwrap().is_some());
    }
    assert_eq!(shut, []);
}

/// What is there is not written again, and what went is.
#[tokio::test]
async fn what_is_missing_is_put_and_nothing_else() {
    let (model, counting) = (ModelStore::new(), CountingLayer::new());
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
        (Arc::new(model.clone()), Arc::new(model));
    let builder = Deriva::builder().blobs(blobs).dag(dag);
    let deriva = builder.blob_layer(counting.clone()).build().await.unwrap();
    let calls = || {
        let counts = counting.counts();
        [Operation::BlobVerify, Operation::BlobPut].map(|operation| counts.of(operation))
    };
    let all: Vec<Blob> = (0..5u8).map(|n| Blob::new(vec![n; 9])).collect();
    deriva.put_missing(&all[..3]).await.unwrap();
    assert_eq!(calls(), [1, 1]);
    deriva.put_missing(&all[..3]).await.unwrap();
    assert_eq!(calls(), [2, 1]);
    deriva.blobs().remove(&[all[1].addr()]).await.unwrap();
    deriva.put_missing(&all).await.unwrap();
    assert_eq!(calls(), [3, 2]);
    let addrs: Vec<CAddr> = all.iter().map(Blob::addr).collect();
    assert_eq!(deriva.verify_blobs(&addrs).await.unwrap(), [true; 5]);
    deriva.put_missing(&[]).await.unwrap();
    assert_eq!(calls(), [4, 2], "for nothing the store is not asked");
}

/// Runs steps in place, and reads their inputs from the store.
#[derive(Debug)]
struct Reads(InlineExecutor, Arc<dyn BlobStore>);

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reads")
    }
}

#[async_trait]
impl Executor for Reads {
    fn supports(&self, function: &FunctionId) -> bool {
        self.0.supports(function)
    }

    fn operands(&self) -> Operands {
        Operands::Stored
    }

    fn width(&self) -> usize {
        1
    }

    async fn execute(&self, mut step: Step) -> Result<Executed> {
        for input in &mut step.inputs {
            if let Operand::Stored(stat) = input {
                let blob = self.1.get(stat.addr).await?;
                *input = Operand::Held(blob.expect("it was handed over"));
            }
        }
        self.0.execute(step).await
    }
}
