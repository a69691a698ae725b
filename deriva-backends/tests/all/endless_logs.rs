//! Damage that RocksDB would read for ever.
#![cfg(feature = "rocksdb")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Store, blob};
use deriva_api::{Blob, ErrorKind, OpenedStore, Result};

/// A record that says it is of a recycled log.
const RECYCLED: [u8; 12] = [1, 2, 3, 4, 5, 0, 5, 6, 7, 8, 9, 10];
/// Where the type of a log's first record is.
const TYPE: usize = 6;

/// What a kill leaves: the folder of an open store, copied.
fn killed(store: &Store, to: &Path) {
    let copied = Command::new("cp")
        .arg("-r")
        .arg(store.path())
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

async fn opened(path: &Path) -> Result<OpenedStore> {
    let uri = format!("rocksdb:{}", path.display()).parse().unwrap();
    deriva_backends::registry().open(&uri).await
}

/// The newest log, or list of files.
fn newest(store: &Path, is: impl Fn(&str) -> bool) -> std::path::PathBuf {
    let names = fs::read_dir(store.join("rocksdb")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let newest = names.filter(|name| is(name)).max().unwrap();
    store.join("rocksdb").join(newest)
}

#[tokio::test]
async fn what_rocksdb_would_read_for_ever_is_damage_like_any_other() {
    let store = Store::open("rocksdb:PATH").await;
    let blobs: Vec<Blob> = (0..30).map(|seed| blob(900, seed)).collect();
    for blob in &blobs {
        store.blobs().put(std::slice::from_ref(blob)).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let is_log = |name: &str| name.ends_with(".log");

    // Behind what was written: a write that a loss of power cut off.
    let torn = dir.path().join("torn");
    killed(&store, &torn);
    let log = newest(&torn, is_log);
    let mut bytes = fs::read(&log).unwrap();
    assert!(bytes.len() > 30 * 900, "the log holds what was written");
    bytes.extend(RECYCLED);
    fs::write(&log, bytes).unwrap();
    let again = opened(&torn).await.unwrap();
    for blob in &blobs {
        let found = again.blobs.as_ref().unwrap().get(blob.addr()).await;
        assert_eq!(found.unwrap().as_ref(), Some(blob));
    }

    // Within: something acknowledged is gone.
    let damaged = dir.path().join("damaged");
    killed(&store, &damaged);
    let log = newest(&damaged, is_log);
    let mut bytes = fs::read(&log).unwrap();
    let len = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    bytes[7 + len + TYPE] = 7;
    fs::write(&log, bytes).unwrap();
    let error = opened(&damaged).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");

    // In the list of files.
    let list = dir.path().join("list");
    killed(&store, &list);
    let manifest = newest(&list, |name| name.starts_with("MANIFEST-"));
    let mut bytes = fs::read(&manifest).unwrap();
    bytes.extend(RECYCLED);
    fs::write(&manifest, bytes).unwrap();
    let error = opened(&list).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}
