//! Memory-mapped files as [`Bytes`]: the one module that may use `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a whole file for reading. The mapping lives as long as the bytes or any slice of them.
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: a mapped file must not change while it is mapped. Files of blobs are written under a
    // temporary name, renamed into place when complete and never written again; removing one unlinks
    // it, which leaves mappings intact. The folder is locked against other deriva processes, and
    // documented as not to be written to by others.
    let map = unsafe { Mmap::map(file) }?;
    Ok(Bytes::from_owner(map))
}
