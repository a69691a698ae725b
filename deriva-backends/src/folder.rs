//! The folder of a persistent store: whose it is, who holds it, and that it is there after a crash.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use deriva_api::{Error, ErrorKind, Result};

use crate::reading::{self, Unwritable};
use crate::unopened;

/// Names the store's form; empty while the store is being created. A folder without it is nobody's,
/// or somebody else's.
///
/// A form is the scheme, or the scheme, `-` and what tells it from other forms that its files have
/// had: a version of deriva that does not know the form must refuse the folder before it looks at
/// them.
///
/// It is replaced in one step. Earlier versions of deriva wrote in place, so that a loss of power during
/// the first opening could leave zeros, or a part of the form: see [`Mark::Torn`].
const MARKER: &str = "deriva-store";
/// What the marker is written as, before it gets its name.
const NEW_MARKER: &str = "deriva-store.new";
/// Locked while a process has the store open.
const LOCK: &str = "lock";

/// A store's folder, held against other processes until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    complete: AtomicBool,
    unwritable: Option<Unwritable>,
    /// `None` where nobody could write one.
    _lock: Option<File>,
}

/// Creates the folder where it is not there, checks that it is empty or holds a store in one of the
/// `forms` of a scheme, and answers with its canonical path.
pub(crate) fn prepare(path: &Path, forms: &[&str]) -> Result<PathBuf> {
    let io = |source| at(path, Error::io(source));
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let error = Error::new(
                ErrorKind::Invalid,
                "a store is a folder, and this is a file",
            );
            return Err(at(path, error).hint("choose another path"));
        }
        Ok(_) => drop(check_owner(path, forms)?),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            unopened::refuse_home(path)?;
            create(path)?;
        }
        Err(other) => return Err(io(other)),
    }
    path.canonicalize().map_err(io)
}

impl Folder {
    /// Locks a prepared folder, and marks it as a store that is being created where it is none yet. One that
    /// may only be read is held for reading: see [`Folder::unwritable`].
    pub(crate) fn hold(path: &Path, forms: &[&str]) -> Result<Self> {
        let io = |source| at(path, Error::io(source));
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let lock = match options.open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) => match Unwritable::of(&error) {
                Some(why) => return Self::hold_to_read(path, forms, why),
                None => return Err(io(error).with("file", LOCK)),
            },
        };
        taken(path, lock.try_lock())?;
        // Checked again: somebody may have made a store here before the lock was ours.
        let mark = check_owner(path, forms)?;
        let folder = Self {
            path: path.to_owned(),
            complete: AtomicBool::new(mark == Mark::Complete),
            unwritable: None,
            _lock: Some(lock),
        };
        // Whoever was here before may have ended with the names made, and not durable.
        match mark {
            Mark::Complete => sync_folder(path)?,
            Mark::Begun | Mark::Torn => sync_name(path)?,
            Mark::Missing => {
                sync_name(path)?;
                folder.mark("")?;
            }
        }
        Ok(folder)
    }

    /// The same, where it may not be written: those who may are kept out, others who read are not. Nothing is
    /// changed.
    fn hold_to_read(path: &Path, forms: &[&str], why: Unwritable) -> Result<Self> {
        let lock = match File::open(path.join(LOCK)) {
            Ok(lock) => {
                taken(path, lock.try_lock_shared())?;
                Some(lock)
            }
            // Whoever writes begins with it, so on such a medium nobody does.
            Err(missing)
                if missing.kind() == io::ErrorKind::NotFound && why == Unwritable::Medium =>
            {
                None
            }
            Err(error) => {
                let missing = "its file `lock`, which keeps others from writing, cannot be read";
                return Err(reading::refused(path, why, missing).caused_by(error));
            }
        };
        if check_owner(path, forms)? != Mark::Complete {
            let missing = "no store was created here to the end";
            return Err(reading::refused(path, why, missing));
        }
        Ok(Self {
            path: path.to_owned(),
            complete: AtomicBool::new(true),
            unwritable: Some(why),
            _lock: lock,
        })
    }

    /// Why nothing may be changed below the folder, if so. Then the store was created to the end.
    pub(crate) fn unwritable(&self) -> Option<Unwritable> {
        self.unwritable
    }

    /// Fails with `Unsupported` where nothing may be changed.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.unwritable.map_or(Ok(()), |why| why.refuse(&self.path))
    }

    /// Whether the store was created to the end: what it holds must be there.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Notes that the store is created to the end, once what lies in the folder is durable there.
    pub(crate) fn complete(&self, form: &str) -> Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        sync_folder(&self.path)?;
        self.mark(&format!("{form}\n"))?;
        self.complete.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the marker: durably, and whole or not at all.
    fn mark(&self, text: &str) -> Result<()> {
        let new = self.path.join(NEW_MARKER);
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, self.path.join(MARKER))
        });
        written.map_err(|source| at(&self.path, Error::io(source)))?;
        sync_folder(&self.path)
    }
}

/// Creates a folder and those above it that are not there, each durable in the one above before
/// anything is made in it. So of those that are there the lowest alone may have been left without, by an
/// opening that was cut off.
fn create(path: &Path) -> Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let created: Vec<&Path> = path.ancestors().take_while(missing).collect();
    let lowest = path.ancestors().nth(created.len());
    if let Some(lowest) = lowest.filter(|lowest| !lowest.as_os_str().is_empty()) {
        sync_name(lowest)?;
    }
    for folder in created.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(path, Error::io(error)));
            }
            _ => sync_name(folder)?,
        }
    }
    Ok(())
}

/// Makes the name of a folder durable in the one above.
pub(crate) fn sync_name(path: &Path) -> Result<()> {
    let io = |source| at(path, Error::io(source));
    let path = path.canonicalize().map_err(io)?;
    let Some(above) = path.parent() else {
        return Ok(());
    };
    match File::open(above).and_then(|above| above.sync_all()) {
        // Who may not read that folder, or finds it on a file system that syncs none, can still have all
        // of this one synced.
        Err(error) if cannot_be_asked(&error) => {
            let folder = File::open(&path).map_err(io)?;
            rustix::fs::syncfs(&folder).map_err(|source| io(source.into()))
        }
        synced => synced.map_err(|source| at(above, Error::io(source))),
    }
}

fn cannot_be_asked(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| at(path, Error::io(source)))
}

/// What came of an attempt to lock.
fn taken(path: &Path, attempt: Result<(), TryLockError>) -> Result<()> {
    match attempt {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(locked(path)),
        Err(TryLockError::Error(source)) => Err(at(path, Error::io(source)).with("file", LOCK)),
    }
}

/// The error of a store that another process has open.
pub(crate) fn locked(path: &Path) -> Error {
    let error = Error::new(ErrorKind::Locked, "another process has this store open");
    at(path, error).hint("close the store in the other process, or choose another path")
}

/// Adds the path.
pub(crate) fn at(path: &Path, error: Error) -> Error {
    error.with("path", path.display())
}

/// What the marker says of a folder that may hold a store of these forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The folder is empty.
    Missing,
    /// An opening was cut off while it created the store.
    Begun,
    /// The same, by a version that wrote the marker in place; or the marker of a store that was created to
    /// the end is damaged. What is in the folder is of this scheme and no other.
    Torn,
    Complete,
}

fn check_owner(path: &Path, forms: &[&str]) -> Result<Mark> {
    let io = |source| at(path, Error::io(source));
    let found = match fs::read(path.join(MARKER)) {
        Ok(found) => found,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            for name in names(path)? {
                if name != LOCK && name != NEW_MARKER {
                    let error = Error::new(
                        ErrorKind::Invalid,
                        "this folder is not empty and not a store",
                    );
                    return Err(at(path, error).hint("choose an empty folder or a new path"));
                }
            }
            return Ok(Mark::Missing);
        }
        Err(other) => return Err(io(other)),
    };
    let found = String::from_utf8_lossy(&found);
    let form = found.trim();
    if form.is_empty() {
        return Ok(Mark::Begun);
    }
    if forms.contains(&form) {
        return Ok(Mark::Complete);
    }
    if is_torn(form, forms)
        && names(path)?
            .iter()
            .all(|name| is_of(name, scheme(forms[0])))
    {
        return Ok(Mark::Torn);
    }
    if !is_form(form) {
        let message = "the file `deriva-store` that names the kind of store is damaged";
        let (scheme, newest) = (scheme(forms[0]), forms[0]);
        let hint = format!("if it is a `{scheme}` store, write `{newest}` to that file");
        return Err(at(path, Error::new(ErrorKind::Corrupt, message)).hint(hint));
    }
    if forms.iter().any(|known| scheme(known) == scheme(form)) {
        let message = "this store was written by a newer deriva";
        return Err(at(path, Error::new(ErrorKind::Unsupported, message))
            .with("found", form)
            .with("known", forms.join(", "))
            .hint("open it with the newer version, or choose another path"));
    }
    let error = Error::new(
        ErrorKind::Invalid,
        "this folder holds another kind of store",
    );
    let hint = format!("open it as `{}:{}`", scheme(form), path.display());
    Err(at(path, error).with("found", form).hint(hint))
}

fn names(path: &Path) -> Result<Vec<String>> {
    let io = |source| at(path, Error::io(source));
    let entries = fs::read_dir(path).map_err(io)?;
    let name = |entry: io::Result<fs::DirEntry>| {
        let name = entry.map_err(io)?.file_name();
        Ok(name.to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// Whether a loss of power may have left this of a marker: zeros, or the beginning of a form and zeros.
fn is_torn(found: &str, forms: &[&str]) -> bool {
    let begin = found.trim_end_matches('\0');
    forms.iter().any(|form| form.starts_with(begin))
}

/// Whether a store of this scheme may have an entry of this name in its folder.
fn is_of(name: &str, scheme: &str) -> bool {
    match name {
        LOCK | MARKER | NEW_MARKER => true,
        _ if scheme == crate::SCHEME_FILES => {
            matches!(name, "tmp" | "usage" | "unsynced")
                || name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit())
        }
        _ => name == scheme || matches!(name, "files" | "commits"),
    }
}

fn scheme(form: &str) -> &str {
    form.split_once('-').map_or(form, |(scheme, _)| scheme)
}

fn is_form(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
