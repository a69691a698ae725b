//! What an engine must do: order keys, apply a batch whole, and make it durable when asked.

use std::fmt::Debug;
use std::path::PathBuf;

use bytes::Bytes;
use deriva_api::{DurabilityClass, Result};

use super::disk_reserve::DiskReserve;

/// One change of a batch: the key, and the new value or `None` to delete.
pub(crate) type Write = (Vec<u8>, Option<Bytes>);

/// Where an engine has its files.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// The store was never opened to the end: the engine may create its database. Else one that is not
    /// there is lost.
    pub(crate) is_new: bool,
}

/// An ordered key-value database. All calls block; reads are short.
pub(crate) trait Engine: Debug + Send + Sync + Sized + 'static {
    /// A value as the engine hands it out, best without a copy.
    type Value: AsRef<[u8]> + Send + Sync + 'static;

    /// The forms that the engine's files have had, as the folder's marker names them: the newest first.
    const FORMS: &'static [&'static str];

    /// What a write survives that was applied and not synced.
    const APPLIED: DurabilityClass;

    /// Room on the disk that the engine must never be without.
    const RESERVE: DiskReserve;

    /// Bytes of writes that are committed together, where one write alone is not more. (An engine must
    /// apply larger batches too.)
    const MAX_COMMIT: usize = usize::MAX;

    /// Whether a file of this name in the engine's folder is never written again, so that a copy of the
    /// database may link to it.
    fn is_final(_name: &str) -> bool {
        false
    }

    /// Opens the database, or creates it where the place is new; `cache` bytes of memory, about.
    fn open(place: &Place, cache: u64) -> Result<Self>;

    /// The form of the open database. New ones have the newest.
    fn form(&self) -> &'static str {
        Self::FORMS[0]
    }

    fn get(&self, key: &[u8]) -> Result<Option<Self::Value>>;

    /// The values of keys of one table, in their order.
    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Self::Value>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Up to `limit` rows whose keys begin with `prefix`, in order, after the key `after`.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Self::Value)>>;

    /// Applies all writes or none, also when the process dies. They come sorted by key. `durable`: this
    /// batch, and all before it, survive the loss of power when it returns; in one commit where the
    /// engine can. After an error nobody knows which of the two states is stored.
    fn apply(&self, writes: &[Write], durable: bool) -> Result<()>;

    /// Makes everything applied so far survive the loss of power. Fails, once, when the engine lost
    /// some of it.
    fn sync(&self) -> Result<()>;

    /// Called when no write came for a while: prepares for a quick opening after a kill.
    fn rest(&self) -> Result<()>;

    /// Makes the files and folders that a new database consists of durable. Called once, before the
    /// first commit is acknowledged.
    fn settle(&self) -> Result<()>;
}

/// A value as bytes: short ones are copied, which is cheaper than to share them.
pub(crate) fn into_bytes<V: AsRef<[u8]> + Send + Sync + 'static>(value: V) -> Bytes {
    match value.as_ref().len() {
        0..=1024 => Bytes::copy_from_slice(value.as_ref()),
        _ => Bytes::from_owner(value),
    }
}
