//! What a store is worth when something goes wrong: its process killed, its files damaged, its system
//! calls watched.
//!
//! Everything is done to a child process (this command, with a hidden verb), so that a crash, an abort
//! in C++ or a hang of a store is an observation and not the end of the test.
//!
//! | file | subject |
//! |---|---|
//! | `item` | what is written: items that are found from a number |
//! | `writer` | the child that writes until it is killed |
//! | `crash`, `oracle` | kills it, and compares what is there with what it had acknowledged |
//! | `collect` | the child that collects until it is killed, and what it leaves |
//! | `damage` | damages files |
//! | `reader`, `child` | the child that reads everything, and how it is run |
//! | `trace`, `durability` | which system calls an acknowledgement waited for, and what that proves |
//! | `upkeep` | the child that invalidates, scrubs or materializes until it is killed |
//! | `verb` | the command line |

mod child;
mod collect;
mod crash;
mod damage;
mod durability;
mod item;
mod oracle;
mod reader;
mod trace;
mod upkeep;
mod verb;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use deriva_api::{BlobStore, DagStore, Error, Result, StoreUri};

pub use child::{fill, read_all};
pub use collect::{CollectReport, KilledCollections};
pub use crash::{Crash, CrashReport};
pub use damage::{Damage, DamageReport};
pub use durability::{Proved, Waits, prove, waits};
pub use upkeep::{Upkeep, UpkeepArgs};
pub use verb::Verb;

/// An option that makes the larger blobs of the proofs files of their own, in stores that have both.
pub(crate) const THRESHOLD: &str = "blob_threshold=8192";

/// What was found broken, in words.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(format!("{error:?}"))
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The URI of the store named `store` in `folder`. A name is a scheme with options and no path:
/// `redb?durability=buffered`, or `redb:?durability=buffered`.
///
/// # Errors
/// `Invalid` when the name is no URI.
pub fn uri_in(store: &str, folder: &Path) -> Result<String> {
    let named: StoreUri = match store.split_once('?') {
        _ if store.contains(':') => store.parse()?,
        Some((scheme, options)) => format!("{scheme}:?{options}").parse()?,
        None => format!("{store}:").parse()?,
    };
    if named.scheme() == "memory" {
        return Ok(named.to_string());
    }
    let path = folder.join("store");
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
    Ok(format!("{}:{}{query}", named.scheme(), path.display()))
}

/// An open store; some have no DAG.
struct Stores {
    blobs: Arc<dyn BlobStore>,
    dag: Option<Arc<dyn DagStore>>,
}

impl Stores {
    async fn open(uri: &str) -> Result<Self> {
        let opened = crate::open(uri).await?;
        let blobs = opened.blobs.ok_or_else(|| {
            let message = "a store that is proved must hold blobs";
            Error::new(deriva_api::ErrorKind::Unsupported, message)
        })?;
        Ok(Self {
            blobs,
            dag: opened.dag,
        })
    }

    async fn flush(&self) -> Result<()> {
        self.blobs.flush().await?;
        match &self.dag {
            Some(dag) => dag.flush().await,
            None => Ok(()),
        }
    }
}
