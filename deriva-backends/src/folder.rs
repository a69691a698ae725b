//! The folder of a persistent store: whose it is, who holds it, and that it is there after a crash.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deriva_api::{Error, ErrorKind, Result};

/// Names the store's form; empty while the store is being created. A folder without it is nobody's,
/// or somebody else's.
///
/// A form is the scheme, or the scheme, `-` and what tells it from other forms that its files have
/// had: a version of deriva that does not know the form must refuse the folder before it looks at
/// them.
const MARKER: &str = "deriva-store";
/// Locked while a process has the store open.
const LOCK: &str = "lock";

/// A store's folder, held against other processes until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
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
        Ok(_) => check_owner(path, forms)?,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(io)?;
        }
        Err(other) => return Err(io(other)),
    }
    path.canonicalize().map_err(io)
}

impl Folder {
    /// Locks a prepared folder, and marks it as a store that is being created where it is none yet.
    pub(crate) fn hold(path: &Path, forms: &[&str]) -> Result<Self> {
        let io = |source| at(path, Error::io(source));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path)),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // Checked again: somebody may have made a store here before the lock was ours.
        check_owner(path, forms)?;
        let marker = path.join(MARKER);
        if !marker.exists() {
            write_durably(&marker, "").map_err(io)?;
            sync_folder(path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Whether the store was created to the end: what it holds must be there.
    pub(crate) fn is_complete(&self) -> Result<bool> {
        let found = fs::metadata(self.path.join(MARKER));
        let found = found.map_err(|source| at(&self.path, Error::io(source)))?;
        Ok(found.len() > 0)
    }

    /// Notes that the store is created to the end, once what lies in the folder is durable there.
    pub(crate) fn complete(&self, form: &str) -> Result<()> {
        if self.is_complete()? {
            return Ok(());
        }
        sync_folder(&self.path)?;
        let written = write_durably(&self.path.join(MARKER), &format!("{form}\n"));
        written.map_err(|source| at(&self.path, Error::io(source)))
    }
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Creates a folder and those above it that are not there, each durable in the one above.
fn create(path: &Path) -> io::Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let created: Vec<&Path> = path.ancestors().take_while(missing).collect();
    fs::create_dir_all(path)?;
    for folder in created {
        if let Some(above) = folder.canonicalize()?.parent() {
            File::open(above)?.sync_all()?;
        }
    }
    Ok(())
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| at(path, Error::io(source)))
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

fn check_owner(path: &Path, forms: &[&str]) -> Result<()> {
    let io = |source| at(path, Error::io(source));
    let marker = fs::read(path.join(MARKER));
    match marker.map(|found| String::from_utf8_lossy(&found).into_owned()) {
        // Empty: an opening was cut off while it created the store.
        Ok(found) if found.trim().is_empty() || forms.contains(&found.trim()) => Ok(()),
        Ok(found) if !is_form(found.trim()) => {
            let message = "the file `deriva-store` that names the kind of store is damaged";
            let (scheme, newest) = (scheme(forms[0]), forms[0]);
            let hint = format!("if it is a `{scheme}` store, write `{newest}` to that file");
            Err(at(path, Error::new(ErrorKind::Corrupt, message)).hint(hint))
        }
        Ok(found)
            if forms
                .iter()
                .any(|form| scheme(form) == scheme(found.trim())) =>
        {
            let message = "this store was written by a newer deriva";
            Err(at(path, Error::new(ErrorKind::Unsupported, message))
                .with("found", found.trim())
                .with("known", forms.join(", "))
                .hint("open it with the newer version, or choose another path"))
        }
        Ok(found) => {
            let error = Error::new(
                ErrorKind::Invalid,
                "this folder holds another kind of store",
            );
            let hint = format!("open it as `{}:{}`", scheme(found.trim()), path.display());
            Err(at(path, error).with("found", found.trim()).hint(hint))
        }
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(path).map_err(io)? {
                if entry.map_err(io)?.file_name() != LOCK {
                    let error = Error::new(
                        ErrorKind::Invalid,
                        "this folder is not empty and not a store",
                    );
                    return Err(at(path, error).hint("choose an empty folder or a new path"));
                }
            }
            Ok(())
        }
        Err(other) => Err(io(other)),
    }
}

fn scheme(form: &str) -> &str {
    form.split_once('-').map_or(form, |(scheme, _)| scheme)
}

fn is_form(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
