//! The handle of an open store: how it opens, what it holds, and how it closes.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use deriva_api::{
    Capabilities, DurabilityClass, Error, ErrorKind, OpenedStore, Result, StoreCounters,
    StoreIdentity, StoreUri,
};
use parking_lot::Mutex;

use super::commit::KvCommitter;
use super::config::KvConfig;
use super::copied::{self, Copied};
use super::counted::Counted;
use super::disk_reserve;
use super::engine::{Engine, Place};
use super::group::GroupCommit;
use super::layout::{self, Counters};
use super::ops::{Answer, Op};
use super::read;
use super::shared::Shared;
use super::watermark::Watermark;
use crate::files::disk::Disk;
use crate::folder::{self, Folder};
use crate::handles::{Handles, Slot};
use crate::{Durability, options};

pub(crate) struct KvStore<E: Engine> {
    pub(super) core: Arc<Core<E>>,
    /// As this handle was asked for.
    uri: StoreUri,
}

/// Fields are dropped in their order: the commit thread ends, the engine closes, and last the path
/// becomes free to be opened anew.
pub(crate) struct Core<E: Engine> {
    pub(super) commit: GroupCommit<KvCommitter<E>>,
    pub(super) shared: Arc<Shared<E>>,
    pub(super) config: KvConfig,
    /// Where the database lies, if the store may only be read.
    _copy: Option<Copied>,
    folder: Folder,
    _slot: Slot<Core<E>>,
}

impl<E: Engine> KvStore<E> {
    pub(crate) async fn open(
        handles: &'static Handles<Core<E>>,
        config: KvConfig,
    ) -> Result<OpenedStore> {
        let store = blocking::unblock(move || Self::open_blocking(handles, config));
        let store = Arc::new(store.await?);
        Ok(OpenedStore {
            blobs: Some(store.clone()),
            dag: Some(store),
        })
    }

    fn open_blocking(handles: &'static Handles<Core<E>>, config: KvConfig) -> Result<Self> {
        let (given, uri) = (config.path.clone(), config.uri()?);
        let path = folder::prepare(&given, E::FORMS)?;
        let config = KvConfig {
            path: path.clone(),
            ..config
        };
        let core = handles.open(&path, |slot| {
            let folder = Folder::hold(&path, E::FORMS)?;
            failpoint!(OPEN_MARKED);
            // Every database writes when it is opened.
            let copy = match folder.unwritable() {
                Some(_) => Some(copied::copy::<E>(&path, config.limits.scheme)?),
                None => None,
            };
            let base = copy.as_ref().map_or(path.as_path(), Copied::path);
            let opened = open_engine::<E>(&folder, base, &config).and_then(|(engine, counters)| {
                let watermark = Watermark::open(base, counters.commits)?;
                Ok((engine, counters, watermark))
            });
            let (engine, counters, watermark) = opened.map_err(|error| match copy {
                Some(_) => error.with("copy_of", path.display()),
                None => error,
            })?;
            let files = path.join("files");
            let disk = match copy {
                Some(_) => Disk::open_to_read(&files, config.durability)?,
                None => Disk::open(&files, config.durability)?,
            };
            failpoint!(OPEN_FORMATTED);
            folder.complete(engine.form())?;
            let shared = Arc::new(Shared {
                engine,
                disk: Arc::new(disk),
                counters: Mutex::new(counters),
                watermark,
                folder: path.clone(),
                counted: Counted::new(E::RESERVE),
            });
            let committer = KvCommitter::new(shared.clone(), config.durability);
            Ok(Arc::new(Core {
                commit: GroupCommit::start("deriva-commit", committer)?,
                shared,
                config: config.clone(),
                _copy: copy,
                folder,
                _slot: slot,
            }))
        })?;
        options::check_shared(&given, core.config == config)?;
        Ok(Self { core, uri })
    }

    pub(super) async fn write(&self, op: Op) -> Result<Answer> {
        if !matches!(op, Op::Flush) {
            self.check_writable()?;
        }
        let answer = self.core.commit.submit(op).await;
        answer.map_err(|error| self.tell(error))
    }

    /// Also to be asked before files are staged for a write.
    pub(super) fn check_writable(&self) -> Result<()> {
        let checked = self.core.folder.check_writable();
        checked.map_err(|error| self.tell(error))
    }

    /// Reads up to `rows` rows where the policy wants it.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl FnOnce(&Shared<E>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let core = self.core.clone();
        let done = read::run(self.core.config.reads, rows, move || work(&core.shared)).await;
        done.map_err(|error| self.tell(error))
    }

    /// Does what may take long, such as reading files, where it holds nobody up.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared<E>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let core = self.core.clone();
        let done = blocking::unblock(move || work(&core.shared)).await;
        done.map_err(|error| self.tell(error))
    }

    /// Notes how much room there is on the disk, where the system says so: a disk may take its time.
    pub(super) async fn look_at_the_disk(&self) {
        let core = self.core.clone();
        blocking::unblock(move || {
            if let Ok(free) = disk_reserve::free(&core.shared.folder) {
                core.shared.counted.room.saw(free);
            }
        })
        .await;
    }

    pub(super) fn declared(&self) -> Capabilities {
        Capabilities::new(match self.core.config.durability {
            Durability::Sync => DurabilityClass::PowerLoss,
            Durability::Buffered => E::APPLIED,
        })
        .identity(StoreIdentity::of(&self.core))
        .writable(self.core.folder.unwritable().is_none())
    }

    /// What both halves tell.
    pub(super) fn told(&self) -> StoreCounters {
        let writable = self.core.folder.unwritable().is_none();
        self.core.shared.counted.counters(writable)
    }

    /// An error as callers see it.
    pub(super) fn tell(&self, error: Error) -> Error {
        self.core.shared.counted.failed(&error);
        error.with("store", self)
    }
}

impl<E: Engine> Clone for KvStore<E> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            uri: self.uri.clone(),
        }
    }
}

impl<E: Engine> fmt::Display for KvStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uri, f)
    }
}

impl<E: Engine> fmt::Debug for KvStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvStore({self})")
    }
}

/// The error of a database that was there and is not.
pub(crate) fn gone() -> Error {
    let message = "the database of this store is gone";
    Error::new(ErrorKind::Corrupt, message).hint("restore its files, or begin in another folder")
}

/// Opens the database and reads its counts.
///
/// Creating a store takes many steps, and a crash between two of them may leave a database that does not
/// open. Where the store was never opened to the end nobody was told that anything is in it, and it is begun
/// anew; not where there is any sign that something is, which a marker can only lack by damage.
fn open_engine<E: Engine>(
    folder: &Folder,
    path: &Path,
    config: &KvConfig,
) -> Result<(E, Counters)> {
    let begun = !folder.is_complete();
    let place = Place {
        folder: path.join(config.limits.scheme),
        is_new: begun && !Watermark::any(path) && !Disk::any(&path.join("files"))?,
    };
    let open = || {
        let engine = E::open(&place, config.cache)?;
        failpoint!(OPEN_ENGINE);
        let counters = load(&engine, place.is_new);
        let counters = counters.map_err(|error| folder::at(path, error))?;
        Ok((engine, counters))
    };
    match open() {
        Err(error) if place.is_new && is_unusable(&error) => {
            match std::fs::remove_dir_all(&place.folder) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(folder::at(&place.folder, Error::io(source)))
                }
                _ => open(),
            }
        }
        Err(error) if begun => Err(error.hint(
            "its creation seems cut short, yet something was stored: restore the folder from a copy, \
             or begin in another one",
        )),
        opened => opened,
    }
}

/// Whether an error may be that of a database whose creation was cut short.
fn is_unusable(error: &Error) -> bool {
    use ErrorKind::{Corrupt, Internal, NotFound, Unsupported};
    matches!(error.kind(), Corrupt | Internal | NotFound | Unsupported)
}

/// Reads the counts of a store, or begins a new one. Takes as long for many rows as for few.
fn load<E: Engine>(engine: &E, is_new: bool) -> Result<Counters> {
    let Some(format) = engine.get(layout::FORMAT_KEY)? else {
        if !is_new {
            return Err(gone());
        }
        if !engine.scan(b"", None, 1)?.is_empty() {
            let message = "this database was not written by deriva: it names no format";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let counters = Counters::default();
        let row = layout::encode_counters(&counters);
        let counts = (layout::COUNTERS_KEY.to_vec(), Some(row));
        engine.settle()?;
        engine.apply(&[counts, layout::format_row()], true)?;
        return Ok(counters);
    };
    let format = format.as_ref().try_into().map(u32::from_le_bytes);
    let older = match format {
        Ok(layout::FORMAT) => false,
        Ok(layout::FORMAT_1) => true,
        Ok(newer) if newer > layout::FORMAT => {
            let message = "this store was written by a newer deriva";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with("format", newer)
                .with("known_format", layout::FORMAT)
                .hint("open it with the newer version, or choose another path"));
        }
        _ => return Err(layout::damaged(layout::FORMAT_KEY)),
    };
    let counters = counters(engine)?;
    if older {
        // Before it is written on: an older deriva must not open what it would misread.
        engine.apply(&[layout::format_row()], true)?;
    }
    Ok(counters)
}

/// The counts as they are stored.
pub(super) fn counters<E: Engine>(engine: &E) -> Result<Counters> {
    let row = engine.get(layout::COUNTERS_KEY)?;
    let row = row.ok_or_else(|| layout::damaged(layout::COUNTERS_KEY))?;
    layout::decode_counters(row.as_ref())
}
