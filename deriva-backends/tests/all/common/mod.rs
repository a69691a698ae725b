//! The stores that every behaviour is checked on.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod raw;

use std::sync::Arc;

use deriva_api::{Blob, BlobStore, CAddr, DagStore, OpenedStore, Output, Params, Recipe, Record};
use futures::TryStreamExt;
use tempfile::TempDir;

/// A store that can be closed and opened again.
pub(crate) struct Store {
    pub(crate) dir: TempDir,
    uri: String,
    opened: Option<OpenedStore>,
}

impl Store {
    /// Opens a new store; `PATH` in the URI stands for a folder of its own.
    pub(crate) async fn open(uri: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let uri = uri.replace("PATH", &dir.path().join("store").display().to_string());
        let opened = Some(open(&uri).await.unwrap());
        Self { dir, uri, opened }
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn blobs(&self) -> Arc<dyn BlobStore> {
        self.opened.as_ref().unwrap().blobs.clone().unwrap()
    }

    pub(crate) fn dag(&self) -> Arc<dyn DagStore> {
        self.opened.as_ref().unwrap().dag.clone().unwrap()
    }

    pub(crate) fn close(&mut self) {
        self.opened = None;
    }

    /// Closes and opens again, where the store outlives that.
    pub(crate) async fn reopen(&mut self) {
        if self.uri != "memory:" {
            self.close();
            self.opened = Some(open(&self.uri).await.unwrap());
        }
    }
}

pub(crate) async fn open(uri: &str) -> deriva_api::Result<OpenedStore> {
    deriva_backends::registry().open(&uri.parse()?).await
}

/// Bytes that look random and depend on `seed` alone.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(next).collect()
}

pub(crate) fn blob(len: usize, seed: u64) -> Blob {
    Blob::new(bytes(len, seed))
}

pub(crate) fn leaf(n: u64) -> CAddr {
    CAddr::of_blob(&n.to_le_bytes())
}

pub(crate) fn recipe(name: &str, inputs: &[CAddr]) -> Recipe {
    Recipe::new(&name.parse().unwrap(), inputs, &Params::new()).unwrap()
}

pub(crate) fn output(text: &str) -> Output {
    let stat = Blob::new(text.to_owned()).stat();
    Output {
        addr: stat.addr,
        len: stat.len,
        cost: std::time::Duration::from_micros(7),
    }
}

pub(crate) fn record(addr: CAddr, output: Output) -> Record {
    Record {
        addr,
        resolved: None,
        output,
    }
}

pub(crate) async fn dependents(dag: &Arc<dyn DagStore>, addr: CAddr) -> Vec<CAddr> {
    dag.dependents(addr, None).try_collect().await.unwrap()
}

/// What the runner calls a test of a module, to start it again: `test_path(module_path!(), "name")`.
pub(crate) fn test_path(module: &str, test: &str) -> String {
    let (_binary, module) = module.split_once("::").unwrap();
    format!("{module}::{test}")
}
