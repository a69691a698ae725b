//! Files into blobs and back, in bounded memory.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deriva::authors::BlobHasher;
use deriva::events::Timeline;
use deriva::{Blob, BlobStat, Bytes, CAddr, Clock, Error, ErrorKind, Result, SystemClock};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::handle::{Handle, Reader};

/// Files up to this length are read whole and stored in batches; longer ones are streamed.
const WHOLE: u64 = 4 << 20;
/// A batch is full at this many bytes or files.
const BATCH_BYTES: u64 = 16 << 20;
const BATCH_FILES: usize = 1024;
const CHUNK: usize = 1 << 20;
/// Large files that are stored at a time.
const AT_ONCE: usize = 4;
/// How often a large file is stored that meets a connection which breaks, and how long after the first time; then twice as long.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// What temporary files begin with; six letters and digits follow.
const TEMPORARY: &str = ".deriva-";

/// What was read from disk: addresses are known, bytes are still held.
enum Loaded {
    Whole(Blob),
    Large(PathBuf, BlobStat),
}

impl Loaded {
    fn stat(&self) -> BlobStat {
        match self {
            Self::Whole(blob) => blob.stat(),
            Self::Large(_, stat) => *stat,
        }
    }
}

/// Stores files and tells each one's address and length, in order. Reading and hashing go ahead while
/// a batch is being stored; what the store has already is not written again. With `handle` absent
/// nothing is stored.
///
/// # Errors
/// A file that cannot be read, naming it, and what the store says.
pub(crate) async fn put_files(
    handle: Option<&Handle>,
    paths: Vec<PathBuf>,
    mut stored: impl FnMut(&[BlobStat]) + Send,
) -> Result<Vec<BlobStat>> {
    let mut stats = Vec::with_capacity(paths.len());
    put_each(handle, paths, |batch| {
        let found = batch.into_iter().collect::<Result<Vec<_>>>()?;
        stored(&found);
        stats.extend(found);
        Ok::<(), Error>(())
    })
    .await?;
    Ok(stats)
}

/// As `put_files`, but a file that cannot be read takes no other with it: `told` hears of every file, in order and
/// in batches, and ends the work with an error of its own.
///
/// # Errors
/// What the store says, and what `told` does.
pub(crate) async fn put_each<E: From<Error>>(
    handle: Option<&Handle>,
    paths: Vec<PathBuf>,
    mut told: impl FnMut(Vec<Result<BlobStat>>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let (send, mut receive) = mpsc::channel(2);
    let reader = tokio::task::spawn_blocking(move || read_batches(&paths, &send));
    while let Some(batch) = receive.recv().await {
        let changed = match handle {
            Some(handle) => store(handle, &batch).await?,
            None => Vec::new(),
        };
        let mut found: Vec<Result<BlobStat>> =
            batch.into_iter().map(|file| Ok(file?.stat())).collect();
        for (file, error) in changed {
            found[file] = Err(error);
        }
        told(found)?;
    }
    reader.await.map_err(|source| {
        Error::new(ErrorKind::Internal, "the reader of files ended early").caused_by(source)
    })?;
    Ok(())
}

/// Stores what is not there yet. The answer names files that could not be read a second time as they were.
async fn store(handle: &Handle, batch: &[Result<Loaded>]) -> Result<Vec<(usize, Error)>> {
    let mut whole = Vec::new();
    let mut large = Vec::new();
    for (index, file) in (0..).zip(batch) {
        match file {
            Ok(Loaded::Whole(blob)) => whole.push(blob.clone()),
            Ok(Loaded::Large(path, hashed)) => large.push((index, path, *hashed)),
            Err(_) => {}
        }
    }
    handle.put_missing(&whole).await?;
    let addrs: Vec<CAddr> = large.iter().map(|(_, _, hashed)| hashed.addr).collect();
    let there = handle.verify_blobs(&addrs).await?;
    let absent = large.into_iter().zip(there).filter(|(_, there)| !there);
    let stored = absent.map(|((index, path, hashed), _)| async move {
        let unlike = stream_in(handle, path, hashed).await?;
        Ok(unlike.map(|error| (index, error)))
    });
    let unlike = futures::stream::iter(stored).buffer_unordered(AT_ONCE);
    unlike
        .try_filter_map(|unlike| async { Ok(unlike) })
        .try_collect()
        .await
}

/// Stores a large file, from its beginning again where that may help. The answer is why the file is not as it was.
async fn stream_in(handle: &Handle, path: &Path, hashed: BlobStat) -> Result<Option<Error>> {
    let clock = SystemClock::new();
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let file = match tokio::fs::File::open(path).await {
            Ok(file) => file,
            Err(error) => return Ok(Some(at(error, path))),
        };
        match handle.put_reader(file).await {
            Ok(stored) => return Ok((stored != hashed).then(|| changed(path))),
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                clock.sleep(pause).await;
                (attempt, pause) = (attempt + 1, pause * 2);
            }
            Err(error) => return Err(error.with("path", path.display())),
        }
    }
}

fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Conflict, "a file changed while it was read")
        .with("path", path.display())
        .hint("run the command again")
}

fn read_batches(paths: &[PathBuf], send: &mpsc::Sender<Vec<Result<Loaded>>>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for path in paths {
        let file = load(path);
        if let Ok(Loaded::Whole(blob)) = &file {
            bytes += blob.len();
        }
        batch.push(file);
        if bytes >= BATCH_BYTES || batch.len() >= BATCH_FILES {
            bytes = 0;
            // Nobody listens when the request was given up.
            if send.blocking_send(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
    }
    if !batch.is_empty() {
        let _ = send.blocking_send(batch);
    }
}

fn load(path: &Path) -> Result<Loaded> {
    let named = |error| at(error, path);
    let mut file = File::open(path).map_err(named)?;
    let len = file.metadata().map_err(named)?.len();
    let mut bytes = Vec::with_capacity(len.min(WHOLE) as usize + 1);
    (&mut file)
        .take(WHOLE + 1)
        .read_to_end(&mut bytes)
        .map_err(named)?;
    if bytes.len() as u64 <= WHOLE {
        return Ok(Loaded::Whole(Blob::new(bytes)));
    }
    let mut hasher = BlobHasher::new();
    hasher.update(&bytes);
    bytes.resize(CHUNK, 0);
    loop {
        match file.read(&mut bytes).map_err(named)? {
            0 => break,
            n => hasher.update(&bytes[..n]),
        }
    }
    Ok(Loaded::Large(path.to_owned(), hasher.finish()))
}

/// The bytes of an address, to be read piece by piece.
#[derive(Debug)]
pub(crate) enum Pieces {
    /// They are in hand.
    Held(Blob),
    /// They are stored.
    Stored(Reader),
}

impl Pieces {
    fn stat(&self) -> BlobStat {
        match self {
            Self::Held(blob) => blob.stat(),
            Self::Stored(reader) => reader.stat(),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Held(blob) => {
                let bytes = std::mem::replace(blob, Blob::new("")).into_bytes();
                Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
            }
            Self::Stored(reader) => reader.next_chunk().await,
        }
    }
}

/// Writes bytes to a file, which appears complete or not at all. A file that holds these bytes already is left as it
/// is; the answer says whether it was written.
///
/// # Errors
/// What the store or the file system says, naming the file.
pub(crate) async fn write(mut pieces: Pieces, path: &Path) -> Result<(BlobStat, bool)> {
    let stat = pieces.stat();
    let there = path.to_owned();
    let there = tokio::task::spawn_blocking(move || holds(&there, stat)).await;
    if there.unwrap_or(false) {
        return Ok((stat, false));
    }
    let mut file = AtomicFile::create(path)?;
    while let Some(chunk) = pieces.next_chunk().await? {
        file.write(&chunk)?;
    }
    file.commit()?;
    Ok((stat, true))
}

/// Whether a file holds these bytes. Reads it where the length is right.
pub(crate) fn holds(path: &Path, stat: BlobStat) -> bool {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == stat.len => {}
        _ => return false,
    }
    addr_of(path).is_ok_and(|addr| addr == stat.addr)
}

/// A file that gets its name when it is complete; dropped before, it leaves nothing. A link stays, and
/// what it points to is replaced. What is no regular file, such as a pipe or a device, is written to.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    to: To,
    path: PathBuf,
}

#[derive(Debug)]
enum To {
    Temp(tempfile::NamedTempFile),
    Stream(File),
}

impl AtomicFile {
    /// Begins a file that will be `path`, and makes its folder.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                return Err(Error::new(ErrorKind::Invalid, "this is a folder")
                    .with("path", path.display())
                    .hint("name a file in it"));
            }
            Ok(found) if !found.is_file() => {
                let stream = File::options().write(true).open(&path);
                let stream = stream.map_err(|error| at(error, &path))?;
                let to = To::Stream(stream);
                return Ok(Self { to, path });
            }
            _ => {}
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(|error| at(error, folder))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any file that is created; the process's umask takes away what it should.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temp = builder
            .tempfile_in(folder)
            .map_err(|error| at(error, folder))?;
        let to = To::Temp(temp);
        Ok(Self { to, path })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.raw().write_all(bytes);
        written.map_err(|error| at(error, &self.path))
    }

    fn raw(&mut self) -> &mut dyn Write {
        match &mut self.to {
            To::Temp(temp) => temp,
            To::Stream(stream) => stream,
        }
    }

    /// Gives the file its name, in place of one that has it.
    pub(crate) fn commit(self) -> Result<()> {
        let path = self.path;
        match self.to {
            To::Stream(_) => Ok(()),
            To::Temp(temp) => temp
                .persist(&path)
                .map(drop)
                .map_err(|error| at(error.error, &path)),
        }
    }
}

/// Names the file in an I/O error.
pub(crate) fn at(error: std::io::Error, path: &Path) -> Error {
    Error::io(error).with("path", path.display())
}

/// Whether a name is that of a file which was being written, and not finished.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY));
    rest.is_some_and(|rest| rest.len() == 6 && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The path of a name with `/`.
pub(crate) fn to_path(name: &str) -> PathBuf {
    name.split('/').collect()
}

/// A path as text that names it alone: what is not UTF-8 is escaped as `\xNN`, and a backslash doubled in a
/// path that has such bytes.
pub(crate) fn shown(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(text)
}

/// The address of a file's bytes.
///
/// # Errors
/// A file that cannot be read, naming it.
pub(crate) fn addr_of(path: &Path) -> Result<CAddr> {
    Ok(load(path)?.stat().addr)
}

/// Writes a whole text so.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(text.as_bytes())?;
    file.commit()
}

/// Writes what ran when so, for a trace viewer.
pub(crate) fn write_timeline(path: &Path, timeline: &Timeline) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    let written = timeline.write(file.raw());
    written.map_err(|error| error.with("path", path.display()))?;
    file.commit()
}
