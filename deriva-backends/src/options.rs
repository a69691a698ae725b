//! Options that several stores take, and how they are read from a URI.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
use bytesize::ByteSize;
use deriva_api::{Error, ErrorKind, Result, StoreUri};

/// When a store acknowledges a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After it is on the disk: it survives the loss of power. The default.
    #[default]
    Sync,
    /// Before it is on the disk: `flush` makes everything acknowledged so far durable. What a crash
    /// before that loses is said by each store.
    Buffered,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sync => "sync",
            Self::Buffered => "buffered",
        })
    }
}

impl FromStr for Durability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "sync" => Ok(Self::Sync),
            "buffered" => Ok(Self::Buffered),
            _ => Err(
                Error::new(ErrorKind::Invalid, "durability is `sync` or `buffered`")
                    .with("given", text)
                    .hint("`sync` waits for the disk, `buffered` does not"),
            ),
        }
    }
}

/// The option `durability`, where it is given.
pub(crate) fn durability(uri: &StoreUri) -> Result<Option<Durability>> {
    let given = uri.option("durability").map(str::parse);
    given
        .transpose()
        .map_err(|error: Error| error.with("uri", uri))
}

/// An option in bytes (`65536`, `64KiB`, `1 MB`), where it is given.
#[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
pub(crate) fn bytes(uri: &StoreUri, key: &str) -> Result<Option<u64>> {
    let expected = "a size is a number of bytes with an optional unit, like 64KiB";
    let size = uri.read_option::<ByteSize>(key, expected)?;
    Ok(size.map(|size| size.as_u64()))
}

/// The URI of a store, as it prints itself.
pub(crate) fn uri(scheme: &str, path: &Path, durability: Durability) -> Result<StoreUri> {
    let uri = StoreUri::new(scheme, &path.to_string_lossy())?;
    match durability {
        Durability::Sync => Ok(uri),
        Durability::Buffered => uri.with_option("durability", durability),
    }
}

/// The path, which must be there.
pub(crate) fn path(uri: &StoreUri) -> Result<PathBuf> {
    if uri.path().is_empty() {
        let hint = format!("write `{0}:PATH`, like `{0}:./data`", uri.scheme());
        return Err(uri
            .invalid("this store is kept in a folder, and none is named")
            .hint(hint));
    }
    Ok(PathBuf::from(uri.path()))
}

/// Fails with `Conflict` when this process has the store open with other settings.
pub(crate) fn check_shared(path: &Path, same: bool) -> Result<()> {
    if same {
        return Ok(());
    }
    let message = "this process has the store open with other settings";
    Err(Error::new(ErrorKind::Conflict, message)
        .with("path", path.display())
        .hint("use the same settings everywhere, or close the store first"))
}
