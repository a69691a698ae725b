//! Which stores are checked, and how they are named.
//!
//! A store is named by its scheme, with options where that matters: `sled`, `sled?durability=buffered`.
//! Two names joined by `+` are a split store: `redb+files` keeps its graph in redb and its blobs in
//! files. `mutant:NAME` is a store that is broken on purpose ([`crate::mutants`]).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use deriva_api::{Error, ErrorKind, OpenedStore, Result, StoreUri};
use deriva_testkit::Fixture;

use crate::mutants::{self, Mutant};
use crate::stacks::Stack;
use crate::{UriFixture, did_you_mean};

/// Every store that the suite holds to its promises: each scheme, durable and buffered, with nearly all
/// blobs in files of their own and with as few as may be, and split stores. Those of schemes that were
/// not compiled in are among them.
pub const EVERY: &[&str] = &[
    "memory",
    "files",
    "files?durability=buffered",
    "sled",
    "sled?durability=buffered",
    "sled?durability=buffered&blob_threshold=64",
    "redb",
    "redb?durability=buffered",
    "redb?durability=buffered&blob_threshold=64",
    "redb?durability=buffered&blob_threshold=1MiB",
    "rocksdb",
    "rocksdb?durability=buffered",
    "rocksdb?durability=buffered&blob_threshold=64",
    "rocksdb?durability=buffered&blob_threshold=1MiB",
    "redb+files",
    "sled+memory",
    "memory+files?durability=buffered",
];

/// A store as it was named.
#[derive(Clone, Debug)]
pub struct Store {
    text: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// The DAG's URI, then that of the blobs; one for both where the store is not split.
    Uris(Vec<StoreUri>),
    Mutant(&'static Mutant),
}

impl Store {
    /// The stores of every scheme that was compiled in, without options.
    #[must_use]
    pub fn compiled_in() -> Vec<Self> {
        let names = schemes().into_iter();
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// [`EVERY`] store whose schemes were compiled in.
    #[must_use]
    pub fn every() -> Vec<Self> {
        let names = EVERY.iter();
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// The URIs without their paths: of the DAG, then of the blobs, or one for both; none of a mutant.
    #[must_use]
    pub fn uris(&self) -> &[StoreUri] {
        match &self.what {
            What::Uris(uris) => uris,
            What::Mutant(_) => &[],
        }
    }

    /// The same as text, with the paths that they have in `folder`.
    #[must_use]
    pub fn uris_in(&self, folder: &Path) -> Vec<String> {
        let split = self.uris().len() > 1;
        let uris = self.uris().iter().zip(["dag", "blobs"]);
        uris.map(|(uri, half)| {
            let path = match (uri.scheme(), split) {
                ("memory", _) => PathBuf::new(),
                (_, false) => folder.to_owned(),
                (_, true) => folder.join(half),
            };
            let text = uri.to_string();
            let (name, options) = text.split_at(text.find('?').unwrap_or(text.len()));
            format!("{name}{}{options}", path.display())
        })
        .collect()
    }

    /// Whether contents survive closing; of a split store, those of both halves.
    #[must_use]
    pub fn persistent(&self) -> bool {
        self.uris().iter().all(|uri| uri.scheme() != "memory")
    }

    /// Opens it in `folder`.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn open(&self, folder: &Path) -> Result<OpenedStore> {
        match self.uris_in(folder).as_slice() {
            [dag, blobs] => crate::open(&format!("split(blobs={blobs}, dag={dag})")).await,
            [both] => crate::open(both).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "a mutant has no URI")),
        }
    }

    /// A fixture of it under a stack of layers, its folder in `place`.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn fixture(&self, stack: Stack, place: &Path) -> Arc<dyn Fixture> {
        match self.what {
            What::Mutant(mutant) => mutant.fixture(),
            What::Uris(_) => Arc::new(UriFixture::within(self, stack, place)),
        }
    }
}

impl FromStr for Store {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let what = match text.strip_prefix("mutant:") {
            Some(name) => What::Mutant(mutant(name)?),
            None => What::Uris(text.split('+').map(uri).collect::<Result<_>>()?),
        };
        match &what {
            What::Uris(uris) if uris.len() > 2 => {
                let error = Error::new(ErrorKind::Invalid, "a split store has two halves");
                let hint = "write it like `redb+files`: the graph in redb, the blobs in files";
                Err(error.with("given", text).hint(hint))
            }
            _ => Ok(Self {
                text: text.to_owned(),
                what,
            }),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn mutant(name: &str) -> Result<&'static Mutant> {
    let mut stores = mutants::all().iter().filter(|mutant| mutant.is_store());
    stores
        .clone()
        .find(|mutant| mutant.name == name)
        .ok_or_else(|| {
            let near = did_you_mean(name, stores.by_ref().map(|mutant| mutant.name));
            Error::new(ErrorKind::Invalid, "no mutant store has this name")
                .with("given", name)
                .hint(format!("{near}`mutants` lists all of them"))
        })
}

/// A scheme and perhaps options. The colon of a URI may stand between them.
fn uri(text: &str) -> Result<StoreUri> {
    let text = text.trim();
    let (name, rest) = text.split_at(text.find([':', '?']).unwrap_or(text.len()));
    let invalid = |message| Error::new(ErrorKind::Invalid, message).with("given", text);
    let known = schemes().join(", ");
    if !schemes().iter().any(|known| known == name) {
        return Err(match FEATURES.contains(&name) {
            true => Error::new(ErrorKind::Unsupported, "this store was not compiled in")
                .with("given", text)
                .hint(format!(
                    "build with the crate feature `{name}`; compiled in: {known}"
                )),
            false => invalid("there is no such store").hint(format!(
                "{}the stores are: {known}; `redb+files` has its graph in redb and its blobs in files",
                did_you_mean(name, schemes().iter().map(String::as_str))
            )),
        });
    }
    let uri: StoreUri = format!("{name}:{}", rest.trim_start_matches(':')).parse()?;
    match uri.path() {
        "" => Ok(uri),
        _ => Err(invalid("a store to be checked has no path").hint(
            "each case makes its own in the folder for temporary files; set TMPDIR to choose another",
        )),
    }
}

/// Schemes that are features of their crate, named alike.
const FEATURES: [&str; 3] = ["sled", "redb", "rocksdb"];

/// The schemes that were compiled in.
fn schemes() -> Vec<String> {
    let registry = deriva_backends::registry();
    let schemes = registry.schemes();
    schemes.map(|(name, _)| name.to_owned()).collect()
}
