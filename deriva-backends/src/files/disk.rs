//! Blobs as files below one folder: where they lie, and how one gets there whole or not at all.
//!
//! `ab/abcd…` holds the bytes of the blob `abcd…` and nothing else. A blob is written to `tmp/`, made
//! durable, renamed into place, and its folder is made durable. This module blocks; it knows neither
//! locks between processes nor counts, which are the matter of the store that uses it. What became of
//! blobs that were not made durable is the subject of [`doubt`](super::doubt), and which were read and found right
//! that of [`checked`](super::checked).

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use deriva_api::{
    Blob, BlobCheck, BlobHasher, BlobStat, ByteRange, CAddr, Error, ErrorKind, Evidence, Result,
};
use tempfile::{Builder, NamedTempFile, TempPath};

use super::checked::{Checked, Identity};
use super::doubt::Doubt;
use super::map;
use crate::Durability;
use crate::folder::{at, sync_folder, sync_name};

const TMP: &str = "tmp";
/// Files up to this length are read into memory, longer ones mapped: below it a copy costs less than
/// the page faults.
const MAP_ABOVE: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// Held open: the system tells a file system's lost writes to whoever has had it open since. `None` where
    /// nothing is written.
    folder: Option<File>,
    durability: Durability,
    pub(super) checked: Checked,
    doubt: Doubt,
}

/// A complete file under a temporary name; dropping it deletes the file.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) stat: BlobStat,
    path: TempPath,
    /// Its bytes are durable, if this opening's blobs are.
    is_synced: bool,
}

/// A file that is being written under a temporary name.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    hasher: BlobHasher,
}

impl Disk {
    /// Opens the folder, creates what is missing, and sweeps files that a crash left half written.
    pub(crate) fn open(root: &Path, durability: Durability) -> Result<Self> {
        let tmp = root.join(TMP);
        let io = |source| at(root, Error::io(source));
        let is_new = !root.exists();
        fs::create_dir_all(&tmp).map_err(io)?;
        if is_new {
            sync_name(root)?;
        }
        for entry in fs::read_dir(&tmp).map_err(io)? {
            fs::remove_file(entry.map_err(io)?.path()).map_err(io)?;
        }
        sync_folder(root)?;
        Ok(Self {
            root: root.to_owned(),
            folder: Some(File::open(root).map_err(io)?),
            durability,
            checked: Checked::new(),
            doubt: Doubt::open(root)?,
        })
    }

    /// Opens the folder, which need not be there, to read what is in it. Nothing else may be asked for.
    pub(crate) fn open_to_read(root: &Path, durability: Durability) -> Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            folder: None,
            durability,
            checked: Checked::new(),
            doubt: Doubt::open(root)?,
        })
    }

    /// Whether there is any blob below a folder, which need not be there.
    #[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
    pub(crate) fn any(root: &Path) -> Result<bool> {
        let io = |source| at(root, Error::io(source));
        let Some(shards) = present(fs::read_dir(root)).map_err(io)? else {
            return Ok(false);
        };
        for shard in shards {
            let shard = shard.map_err(io)?;
            if shard.file_name() == TMP || !shard.file_type().map_err(io)?.is_dir() {
                continue;
            }
            if fs::read_dir(shard.path()).map_err(io)?.next().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn draft(&self) -> Result<Draft> {
        // As any file that is created, and as those of a database: the umask takes away what it should.
        let file = Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(self.root.join(TMP));
        failpoint!(FILE_DRAFTED);
        Ok(Draft {
            file: file.map_err(|source| at(&self.root, Error::io(source)))?,
            hasher: BlobHasher::new(),
        })
    }

    pub(crate) fn stage(&self, blob: &Blob) -> Result<Staged> {
        let mut draft = self.draft()?;
        draft.write_unhashed(blob.bytes())?;
        self.complete(draft, blob.stat(), true)
    }

    /// Completes a file that was written piece by piece. Where the blob is there already, this copy of it will most
    /// likely be dropped: it is made durable only if it is placed after all.
    pub(crate) fn finish(&self, draft: Draft) -> Result<Staged> {
        let stat = draft.hasher.finish();
        let there = self.holds(stat)?;
        self.complete(draft, stat, !there)
    }

    /// Whether a blob is there to be called stored: its file is as long as it should be and, where an earlier
    /// opening left that in doubt, has its bytes, which are durable now if this opening's are. May read the whole
    /// of it.
    pub(crate) fn holds(&self, blob: BlobStat) -> Result<bool> {
        if self.vouches(blob)? {
            return Ok(true);
        }
        let Some((mut file, metadata)) = self.open_file(&blob.addr)? else {
            return Ok(false);
        };
        let identity = Identity::of(&metadata);
        if metadata.len() != blob.len || !self.is_right(blob.addr, &mut file, identity)? {
            return Ok(false);
        }
        let io = |source| at(&self.path(&blob.addr), Error::io(source));
        self.sync(&file).map_err(io)?;
        self.sync_shards([blob.addr].into_iter())?;
        self.doubt.settled(blob.addr, identity);
        Ok(true)
    }

    /// Looks at the bytes of a blob, unless this opening did and the file is unchanged. May read the whole of it, in
    /// pieces.
    pub(crate) fn verify(&self, addr: CAddr) -> Result<BlobCheck> {
        let Some(metadata) = self.metadata(&addr)? else {
            return Ok(BlobCheck::Absent);
        };
        if self.checked.has(addr, Identity::of(&metadata)) {
            return Ok(BlobCheck::Right(Evidence::Remembered));
        }
        let Some((mut file, metadata)) = self.open_file(&addr)? else {
            return Ok(BlobCheck::Absent);
        };
        match self.is_right(addr, &mut file, Identity::of(&metadata))? {
            true => Ok(BlobCheck::Right(Evidence::Read)),
            false => Ok(BlobCheck::Damaged),
        }
    }

    /// Whether a file has the bytes of its blob.
    fn is_right(&self, addr: CAddr, file: &mut File, identity: Identity) -> Result<bool> {
        match self.examine(addr, file, identity) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
            examined => examined.map(|()| true),
        }
    }

    /// Fails with `Corrupt` unless a file has the bytes of its blob. Reads them all, unless this opening did and the
    /// file is unchanged.
    fn examine(&self, addr: CAddr, file: &mut File, identity: Identity) -> Result<()> {
        if self.checked.has(addr, identity) {
            return Ok(());
        }
        let checked = self.checked.check(addr, file, identity);
        checked.map_err(|error| at(&self.path(&addr), error))
    }

    /// The same, without a look at the bytes: a blob that nobody has looked at yet is not vouched for.
    pub(crate) fn vouches(&self, blob: BlobStat) -> Result<bool> {
        let found = self.metadata(&blob.addr)?;
        Ok(found.is_some_and(|found| {
            found.len() == blob.len && self.doubt.none_of(&blob.addr, || Identity::of(&found))
        }))
    }

    /// Moves a staged file into place, over what is there. Durable after [`Disk::sync_shards`].
    pub(crate) fn place(&self, staged: Staged) -> Result<()> {
        let addr = staged.stat.addr;
        if self.durability == Durability::Buffered {
            self.doubt.begin(&self.root)?;
        }
        let target = self.path(&staged.stat.addr);
        if !staged.is_synced {
            let io = |source| at(&staged.path, Error::io(source));
            let file = File::open(&staged.path).map_err(io)?;
            self.sync(&file).map_err(io)?;
        }
        let placed = match staged.path.persist(&target) {
            Err(missing) if missing.error.kind() == io::ErrorKind::NotFound => {
                let shard = self.shard(&staged.stat.addr);
                let made = fs::create_dir(&shard);
                failpoint!(FILE_SHARD);
                match made {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(at(&shard, Error::io(error)));
                    }
                    _ => sync_folder(&self.root)?,
                }
                missing.path.persist(&target)
            }
            done => done,
        };
        placed.map_err(|error| at(&target, Error::io(error.error)))?;
        failpoint!(FILE_PLACED);
        if self.doubt.any()
            && let Some(found) = self.metadata(&addr)?
        {
            self.doubt.settled(addr, Identity::of(&found));
        }
        Ok(())
    }

    /// Makes the places of these blobs durable: one sync for each folder, however many blobs.
    pub(crate) fn sync_shards(&self, addrs: impl Iterator<Item = CAddr>) -> Result<()> {
        if self.durability == Durability::Buffered {
            return Ok(());
        }
        let shards: BTreeSet<PathBuf> = addrs.map(|addr| self.shard(&addr)).collect();
        // A shard that was never made holds nothing to sync.
        shards
            .iter()
            .filter(|shard| shard.exists())
            .try_for_each(|shard| sync_folder(shard))
    }

    /// Makes everything written so far durable, whatever the durability.
    pub(crate) fn sync_all(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let synced = rustix::fs::syncfs(folder);
        synced.map_err(|source| at(&self.root, Error::io(source.into())))
    }

    pub(crate) fn len(&self, addr: &CAddr) -> Result<Option<u64>> {
        Ok(self.metadata(addr)?.map(|metadata| metadata.len()))
    }

    /// Reads and checks a blob.
    pub(crate) fn read(&self, addr: CAddr) -> Result<Option<Blob>> {
        let Some((mut file, metadata)) = self.open_file(&addr)? else {
            return Ok(None);
        };
        let io = |source| at(&self.path(&addr), Error::io(source));
        let bytes = if metadata.len() <= MAP_ABOVE {
            let mut bytes = Vec::with_capacity(metadata.len() as usize);
            file.read_to_end(&mut bytes).map_err(io)?;
            bytes.into()
        } else {
            map::map(&file).map_err(io)?
        };
        match Blob::verify(addr, bytes) {
            Ok(blob) => Ok(Some(blob)),
            Err(error) => {
                self.checked.forget(addr);
                Err(at(&self.path(&addr), error))
            }
        }
    }

    /// Reads a part of a blob. The whole of it is checked first, in pieces, unless it was before and
    /// has not changed since.
    pub(crate) fn read_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let Some((mut file, metadata)) = self.open_file(&addr)? else {
            return Ok(None);
        };
        let io = |source| at(&self.path(&addr), Error::io(source));
        let identity = Identity::of(&metadata);
        self.examine(addr, &mut file, identity)?;
        let within = range.within(metadata.len());
        let mut bytes = vec![0; (within.end - within.start) as usize];
        file.read_exact_at(&mut bytes, within.start).map_err(io)?;
        Ok(Some(bytes.into()))
    }

    /// Deletes the file; answers with its length where there was one.
    pub(crate) fn remove(&self, addr: &CAddr) -> Result<Option<u64>> {
        let path = self.path(addr);
        let Some(len) = self.len(addr)? else {
            return Ok(None);
        };
        if self.durability == Durability::Buffered {
            self.doubt.begin(&self.root)?;
        }
        self.checked.forget(*addr);
        let removed = present(fs::remove_file(&path));
        removed.map_err(|source| at(&path, Error::io(source)))?;
        failpoint!(FILE_REMOVED);
        Ok(Some(len))
    }

    /// The blobs of the first folder that has any after `after`, in order; empty at the end.
    pub(crate) fn list(&self, after: Option<CAddr>) -> Result<Vec<BlobStat>> {
        let first = after.map_or(0, |addr| addr.as_bytes()[0]);
        for shard in first..=u8::MAX {
            let folder = self.root.join(format!("{shard:02x}"));
            let io = |source| at(&folder, Error::io(source));
            let Some(entries) = present(fs::read_dir(&folder)).map_err(io)? else {
                continue;
            };
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry.map_err(io)?;
                let name = entry.file_name();
                let Some(addr) = name.to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                if Some(addr) > after
                    && let Some(metadata) = present(entry.metadata()).map_err(io)?
                {
                    let len = metadata.len();
                    found.push(BlobStat { addr, len });
                }
            }
            if !found.is_empty() {
                found.sort_unstable_by_key(|stat| stat.addr);
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn complete(&self, draft: Draft, stat: BlobStat, is_synced: bool) -> Result<Staged> {
        failpoint!(FILE_WRITTEN);
        if is_synced {
            let synced = self.sync(draft.file.as_file());
            synced.map_err(|source| at(&self.root, Error::io(source)))?;
        }
        failpoint!(FILE_STAGED);
        Ok(Staged {
            stat,
            path: draft.file.into_temp_path(),
            is_synced,
        })
    }

    /// Makes a file's bytes durable, where acknowledged blobs are.
    fn sync(&self, file: &File) -> io::Result<()> {
        match self.durability {
            Durability::Sync => file.sync_data(),
            Durability::Buffered => Ok(()),
        }
    }

    fn metadata(&self, addr: &CAddr) -> Result<Option<Metadata>> {
        let path = self.path(addr);
        present(fs::metadata(&path)).map_err(|source| at(&path, Error::io(source)))
    }

    fn open_file(&self, addr: &CAddr) -> Result<Option<(File, Metadata)>> {
        let path = self.path(addr);
        let io = |source| at(&path, Error::io(source));
        let Some(file) = present(File::open(&path)).map_err(io)? else {
            return Ok(None);
        };
        let metadata = file.metadata().map_err(io)?;
        Ok(Some((file, metadata)))
    }

    fn shard(&self, addr: &CAddr) -> PathBuf {
        self.root.join(format!("{:02x}", addr.as_bytes()[0]))
    }

    fn path(&self, addr: &CAddr) -> PathBuf {
        self.shard(addr).join(addr.to_string())
    }
}

impl Drop for Disk {
    /// At a clean close nothing is left in doubt.
    fn drop(&mut self) {
        if self.doubt.is_of_this_opening() && self.sync_all().is_ok() {
            self.doubt.end(&self.root);
        }
    }
}

impl Draft {
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.hasher.update(chunk);
        self.write_unhashed(chunk)
    }

    fn write_unhashed(&mut self, chunk: &[u8]) -> Result<()> {
        let written = self.file.as_file_mut().write_all(chunk);
        written.map_err(|source| at(self.file.path(), Error::io(source)))
    }
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}
