//! A store of one's own, opened by URI: `folder:PATH` has the files of a folder as blobs, where they lie and uncopied. It
//! cannot be written, and says so. `cargo run -p deriva --example store_by_uri`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]
#![allow(clippy::unwrap_used, reason = "what is wrong ends an example")]

use std::{collections::BTreeMap, fmt, fs, path::PathBuf, sync::Arc};

use deriva::authors::verify_by_reading;
use deriva::prelude::*;
use deriva::stores::{
    BlobCheck, BlobUsage, BlobWriter, Capabilities, DurabilityClass, OpenedStore, StoreFactory,
    StoreUri,
};
use futures::stream::{BoxStream, StreamExt, iter};

#[derive(Debug)]
struct Folder(StoreUri, BTreeMap<CAddr, (PathBuf, BlobStat)>);

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn read_only<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "a folder is only read"))
}

#[async_trait]
impl BlobStore for Folder {
    fn capabilities(&self) -> Capabilities {
        let all = Capabilities::new(DurabilityClass::PowerLoss);
        all.usage(false).writable(false)
    }
    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let read = |(path, _): &(PathBuf, _)| fs::read(path).map_err(Error::io);
        let bytes = self.1.get(&addr).map(read).transpose()?;
        // `Corrupt` where the file has changed since the store was opened.
        bytes.map(|bytes| Blob::verify(addr, bytes)).transpose()
    }
    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        futures::future::try_join_all(addrs.iter().map(|addr| self.get(*addr))).await
    }
    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        Ok(self.get(addr).await?.map(|blob| {
            let part = range.within(blob.len());
            blob.bytes().slice(part.start as usize..part.end as usize)
        }))
    }
    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        Ok(addrs.iter().map(|addr| Some(self.1.get(addr)?.1)).collect())
    }
    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        verify_by_reading(self, addrs).await
    }
    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let stats = self.1.values().map(|(_, stat)| *stat);
        iter(stats.filter(move |stat| Some(stat.addr) > after).map(Ok)).boxed()
    }
    async fn usage(&self) -> Result<Option<BlobUsage>> {
        Ok(None)
    }
    async fn put(&self, _: &[Blob]) -> Result<()> {
        read_only()
    }
    async fn writer(&self, _: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        read_only()
    }
    async fn remove(&self, _: &[CAddr]) -> Result<()> {
        read_only()
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Folders;

#[async_trait]
impl StoreFactory for Folders {
    fn scheme(&self) -> &str {
        "folder"
    }
    fn description(&self) -> &str {
        "the files of a folder, to be read"
    }
    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        let mut files = BTreeMap::new();
        for file in fs::read_dir(uri.path()).map_err(Error::io)? {
            let path = file.map_err(Error::io)?.path();
            let stat = Blob::new(fs::read(&path).map_err(Error::io)?).stat();
            files.insert(stat.addr, (path, stat));
        }
        let blobs = Some(Arc::new(Folder(uri.clone(), files)) as Arc<dyn BlobStore>);
        Ok(OpenedStore { blobs, dag: None })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let (path, file) = (folder.path().display(), folder.path().join("notes.txt"));
    fs::write(&file, "to be or not to be").map_err(Error::io)?;
    let mut stores = deriva::stores::builtin();
    stores.register(Arc::new(Folders))?;
    let uri = format!("split(blobs=folder:{path}, dag=memory:)");
    let deriva = Deriva::builder().stores(stores).store(&uri).build().await?;

    let notes = Blob::new("to be or not to be").addr();
    let counts = deriva.recipe("text.word_count", "1").input(notes);
    let counts = deriva.get(counts.insert().await?).await?;
    assert_eq!(counts, "be\t2\nnot\t1\nor\t1\nto\t2\n");
    print!("{}", String::from_utf8_lossy(&counts));

    let refused = deriva.put("new").await.unwrap_err().kind();
    fs::write(&file, "to do or not to do").map_err(Error::io)?;
    let changed = deriva.blobs().get(notes).await.unwrap_err().kind();
    assert_eq!(
        (refused, changed),
        (ErrorKind::Unsupported, ErrorKind::Corrupt)
    );
    Ok(())
}
