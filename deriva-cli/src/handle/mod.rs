//! What a verb works on: a deriva in this process, or one at a server. Both have the same calls, by the same names; `requests.rs` has
//! those with options.

mod functions;
mod requests;

use std::sync::Arc;

use deriva::admin::{Diff, Explanation, NodeState, Status, Why};
use deriva::client::Client;
use deriva::determinism::{LedgerEntry, Suspect};
use deriva::functions::FunctionRegistry;
use deriva::stores::{BlobStore, DagStore};
use deriva::{
    AddrPrefix, Blob, BlobReader, BlobStat, Bytes, CAddr, Deriva, FunctionId, Recipe, Result, Shown,
};
use tokio::io::AsyncRead;

pub(crate) use requests::Materialize;

/// A deriva, wherever it is.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    /// In this process.
    Here(Deriva),
    /// At a server.
    There {
        client: Client,
        /// Whether something is written by more than one call.
        writes: bool,
    },
}

/// Calls that are made the same way here and there.
macro_rules! calls {
    ($(fn $call:ident($($arg:ident: $of:ty),*) -> $answer:ty;)+) => {
        impl Handle {
            $(pub(crate) async fn $call(&self, $($arg: $of),*) -> Result<$answer> {
                match self {
                    Self::Here(deriva) => deriva.$call($($arg),*).await,
                    Self::There { client, .. } => client.$call($($arg),*).await,
                }
            })+
        }
    };
}

calls! {
    fn put_missing(blobs: &[Blob]) -> ();
    fn put_reader(reader: impl AsyncRead + Unpin + Send) -> BlobStat;
    fn verify_blobs(addrs: &[CAddr]) -> Vec<bool>;
    fn insert(recipes: &[Recipe]) -> Vec<CAddr>;
    fn find(prefix: &AddrPrefix) -> CAddr;
    fn show(addr: CAddr) -> Shown;
    fn states(addrs: &[CAddr]) -> Vec<NodeState>;
    fn set_root(name: &str, addr: CAddr) -> ();
    fn remove_root(name: &str) -> bool;
    fn roots() -> Vec<(String, CAddr)>;
    fn explain(addr: CAddr) -> Explanation;
    fn diff_up_to(before: CAddr, after: CAddr, limit: usize) -> Diff;
    fn why(addr: CAddr, previous: Option<CAddr>) -> Why;
    fn status() -> Status;
    fn ledger() -> Vec<LedgerEntry>;
    fn release(recipe: CAddr) -> ();
    fn release_function(function: &FunctionId) -> u64;
    fn state_digest() -> CAddr;
}

impl Handle {
    /// Makes the bytes of an address available, and opens them for reading piece by piece.
    pub(crate) async fn open(&self, addr: CAddr) -> Result<Reader> {
        Ok(match self {
            Self::Here(deriva) => Reader::Here(deriva.open(addr).await?),
            Self::There { client, .. } => Reader::There(Box::new(client.open(addr).await?)),
        })
    }

    /// The functions that have entries in the ledger which were not released.
    pub(crate) async fn suspects(&self) -> Result<Vec<Suspect>> {
        match self {
            Self::Here(deriva) => Ok(deriva.suspects()),
            Self::There { client, .. } => client.suspects().await,
        }
    }

    /// The functions that can be applied. Those that are known only there cannot be called here.
    pub(crate) async fn functions(&self) -> Result<FunctionRegistry> {
        match self {
            Self::Here(deriva) => Ok(deriva.functions().clone()),
            Self::There { client, .. } => functions::told(client.functions().await?),
        }
    }

    /// Makes what was written as durable as it can be. What only looked has nothing to do here: nor may everybody ask a server for it.
    pub(crate) async fn flush(&self) -> Result<()> {
        match self {
            Self::Here(deriva) => deriva.flush().await,
            Self::There { client, writes } => match writes {
                true => client.flush().await,
                false => Ok(()),
            },
        }
    }

    pub(crate) fn blobs(&self) -> Arc<dyn BlobStore> {
        match self {
            Self::Here(deriva) => Arc::clone(deriva.blobs()),
            Self::There { client, .. } => client.blobs(),
        }
    }

    pub(crate) fn dag(&self) -> Arc<dyn DagStore> {
        match self {
            Self::Here(deriva) => Arc::clone(deriva.dag()),
            Self::There { client, .. } => client.dag(),
        }
    }
}

/// Reads the bytes of an address piece by piece.
#[derive(Debug)]
pub(crate) enum Reader {
    Here(BlobReader),
    There(Box<deriva::client::BlobReader>),
}

impl Reader {
    /// Address and length of the bytes.
    pub(crate) fn stat(&self) -> BlobStat {
        match self {
            Self::Here(reader) => reader.stat(),
            Self::There(reader) => reader.stat(),
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Here(reader) => reader.next_chunk().await,
            Self::There(reader) => reader.next_chunk().await,
        }
    }
}
