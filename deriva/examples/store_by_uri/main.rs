//! A store of one's own, opened by URI: `folder:PATH` has the files of a folder as blobs, where they lie and uncopied. It
//! cannot be written, and says so. `cargo run -p deriva --example store_by_uri`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]
#![allow(clippy::unwrap_used, reason = "what is wrong ends an example")]

mod folder;

use std::fs;
use std::sync::Arc;

use deriva::prelude::*;
use deriva::stores::{OpenedStore, StoreFactory, StoreUri};
use folder::Folder;

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
        let blobs = Some(Arc::new(Folder::open(uri)?) as Arc<dyn BlobStore>);
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
