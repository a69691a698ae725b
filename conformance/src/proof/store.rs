//! Stores by URI, and the command as the process that opens them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreUri};
use deriva_backends::failpoints;
use deriva_testkit::proof::{Program, Provable, Prover, dying};

/// An option that makes the larger blobs of the proofs files of their own, in stores that have both.
const THRESHOLD: &str = "blob_threshold=8192";

/// The verb that opens a store for a proof.
pub(super) const VERB: &str = "__proof";

/// A store that is named as in [`uri_in`], or by a URI with its path.
#[derive(Clone, Debug)]
pub(super) struct UriStore(pub(super) String);

/// Proofs about the store named `store`, as in [`uri_in`], by processes of the `conformance` command.
#[must_use]
pub fn prover(program: impl Into<PathBuf>, store: &str) -> Prover {
    let program = Program::new(program).arg(VERB).arg(store);
    Prover::new(UriStore(store.to_owned()), program)
}

#[async_trait]
impl Provable for UriStore {
    fn name(&self) -> String {
        self.0.clone()
    }

    async fn open(&self, folder: &Path) -> Result<OpenedStore> {
        crate::open(&uri_at(&self.0, folder)?).await
    }

    fn makes_folder(&self) -> bool {
        true
    }

    fn failpoints(&self) -> &'static [&'static str] {
        failpoints::ALL
    }

    fn arm(&self, name: &str, then: Box<dyn Fn() + Send + Sync>) {
        fail::cfg_callback(name, then).ok();
    }

    /// RocksDB's log of events, which is for people; the note of what is durable, which may be behind.
    fn dispensable(&self) -> &'static [&'static str] {
        &["rocksdb/LOG", "commits"]
    }

    fn checks_lengths(&self) -> bool {
        !self.0.starts_with("files")
    }
}

/// Ends the process, as if killed, when it has passed the failpoint `passes` times and comes there again.
pub(super) fn die_at(name: &str, passes: u64) {
    fail::cfg_callback(name, dying(passes)).ok();
}

/// The URI of the store named `store` in `folder`. A name is a scheme with options and no path:
/// `redb?durability=buffered`, or `redb:?durability=buffered`.
///
/// # Errors
/// `Invalid` when the name is no URI.
pub fn uri_in(store: &str, folder: &Path) -> Result<String> {
    uri_at(store, &folder.join("store"))
}

/// The same with its path. A name with a path of its own stays as it is.
fn uri_at(store: &str, place: &Path) -> Result<String> {
    let named: StoreUri = match store.split_once('?') {
        _ if store.contains(':') => store.parse()?,
        Some((scheme, options)) => format!("{scheme}:?{options}").parse()?,
        None => format!("{store}:").parse()?,
    };
    if named.scheme() == "memory" || !named.path().is_empty() {
        return Ok(named.to_string());
    }
    let mut options: Vec<String> = Vec::new();
    options.extend(named.options().map(|(key, value)| format!("{key}={value}")));
    let threshold = named.option("blob_threshold").is_some();
    if !threshold && named.scheme() != "files" {
        options.push(THRESHOLD.to_owned());
    }
    let query = match options.is_empty() {
        true => String::new(),
        false => format!("?{}", options.join("&")),
    };
    Ok(format!("{}:{}{query}", named.scheme(), place.display()))
}
