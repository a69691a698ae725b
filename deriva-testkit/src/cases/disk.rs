//! Damage to the files of a closed store.

use std::fs;
use std::path::{Path, PathBuf};

use deriva_api::{Error, Result};

/// The files of a store as they were when it was closed.
pub(super) struct Disk {
    folder: PathBuf,
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
}

/// Something that happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// A bit of the byte at this place is flipped.
    Flip(usize),
    /// The file ends before this byte.
    Truncate(usize),
    /// 4 KiB from here on are zero.
    Zero(usize),
    /// The file is gone.
    Delete,
}

impl Disk {
    /// Reads the files below `folder`, by path.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut disk = Self {
            folder: folder.to_owned(),
            files: Vec::new(),
        };
        disk.add(folder).map_err(Error::io)?;
        disk.files.sort();
        Ok(disk)
    }

    fn add(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add(&path)?;
            } else {
                let bytes = fs::read(&path)?;
                self.files.push((path, bytes));
            }
        }
        Ok(())
    }

    /// Where these bytes lie: each file and place.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let in_file = |(number, (_, file)): (usize, &(PathBuf, Vec<u8>))| {
            let places = memchr::memmem::find_iter(file, bytes);
            places.map(|at| (number, at)).collect::<Vec<_>>()
        };
        self.files.iter().enumerate().flat_map(in_file).collect()
    }

    /// Puts all files back as they were, but for the harm to one.
    pub(super) fn harm(&self, number: usize, harm: Harm) -> Result<()> {
        self.restore(number, harm).map_err(Error::io)
    }

    fn restore(&self, harmed: usize, harm: Harm) -> std::io::Result<()> {
        fs::remove_dir_all(&self.folder)?;
        for (number, (path, bytes)) in self.files.iter().enumerate() {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut bytes = bytes.clone();
            match harm {
                _ if number != harmed => {}
                Harm::Delete => continue,
                Harm::Flip(at) => bytes[at] ^= 1 << (at % 8),
                Harm::Truncate(len) => bytes.truncate(len),
                Harm::Zero(at) => {
                    let end = bytes.len().min(at + 4096);
                    bytes[at..end].fill(0);
                }
            }
            fs::write(path, bytes)?;
        }
        Ok(())
    }
}
