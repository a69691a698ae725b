//! An opening that a crash cut short is taken up by the next one, wherever it was cut.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Store, blob, open};
use deriva_api::ErrorKind;
use rstest::rstest;

/// The newest snapshot of a store on sled that was written, closed and opened again.
fn snapshot(store: &Store) -> (PathBuf, u64) {
    let names = fs::read_dir(store.path().join("sled")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let number = |name: String| u64::from_str_radix(name.strip_prefix("snap.")?, 16).ok();
    let newest = names.filter_map(number).max().unwrap();
    (
        store.path().join(format!("sled/snap.{newest:016X}")),
        newest,
    )
}

#[tokio::test]
async fn half_a_snapshot_of_sled_is_none() {
    let mut store = Store::open("sled:PATH").await;
    let blobs: Vec<_> = (0..30).map(|seed| blob(900, seed)).collect();
    store.blobs().put(&blobs).await.unwrap();
    store.reopen().await;
    let (path, number) = snapshot(&store);
    let whole = fs::read(&path).unwrap();
    // It is written in three parts: itself, its length, its checksum.
    let cuts = [
        0,
        1,
        12,
        13,
        whole.len() / 2,
        whole.len() - 12,
        whole.len() - 4,
        whole.len(),
    ];
    for (n, cut) in cuts.into_iter().enumerate() {
        store.close();
        let half = format!("sled/snap.{:016X}.generating", number + 1 + n as u64);
        fs::write(store.path().join(&half), &whole[..cut]).unwrap();
        store.reopen().await;
        assert!(!store.path().join(half).exists());
        for blob in &blobs {
            let found = store.blobs().get(blob.addr()).await.unwrap();
            assert_eq!(found.as_ref(), Some(blob), "cut at {cut}");
        }
        store
            .blobs()
            .put(&[blob(50, 1000 + n as u64)])
            .await
            .unwrap();
    }
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// A new store, closed, as it was before its creation was noted.
async fn begun(scheme: &str) -> Store {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    store.close();
    fs::write(store.path().join("deriva-store"), "").unwrap();
    store
}

async fn works(store: &mut Store, what: &str) {
    let opened = open(store.uri()).await;
    let blobs = opened
        .unwrap_or_else(|error| panic!("{what}: {error:?}"))
        .blobs
        .unwrap();
    let blob = blob(100, 1);
    blobs.put(std::slice::from_ref(&blob)).await.unwrap();
    drop(blobs);
    store.reopen().await;
    let found = store.blobs().get(blob.addr()).await.unwrap();
    assert_eq!(found, Some(blob), "{what}");
    store.close();
}

/// Each file of a new store in turn is what a crash may have left of it.
#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[case("files")]
#[tokio::test]
async fn a_creation_cut_short_begins_anew(#[case] scheme: &str) {
    let first = begun(scheme).await;
    let names: Vec<PathBuf> = files(&first.path())
        .into_iter()
        .map(|path| path.strip_prefix(first.path()).unwrap().to_owned())
        .filter(|name| !matches!(name.to_str(), Some("lock" | "deriva-store")))
        .collect();
    for name in names {
        let whole = fs::read(first.path().join(&name)).unwrap();
        let zeros = vec![0; whole.len()];
        let len = whole.len();
        let mut cuts = vec![zeros];
        for end in [
            0,
            1,
            len / 4,
            len / 2,
            len.saturating_sub(4),
            len.saturating_sub(1),
        ] {
            cuts.push(whole[..end.min(len)].to_vec());
        }
        for (n, cut) in cuts.into_iter().enumerate() {
            let mut store = begun(scheme).await;
            let path = store.path().join(&name);
            if path.parent().unwrap().is_dir() {
                fs::write(&path, cut).unwrap();
                works(&mut store, &format!("{} {n}", name.display())).await;
            }
        }
        let mut store = begun(scheme).await;
        fs::remove_file(store.path().join(&name)).ok();
        works(&mut store, &format!("{} lost", name.display())).await;
    }
}

/// An older deriva wrote its database's only file under its own name.
#[tokio::test]
async fn a_creation_of_an_older_deriva_cut_short_begins_anew() {
    for cut in [&b""[..], b"redb", &[0; 5000]] {
        let mut store = begun("redb").await;
        fs::remove_file(store.path().join("redb/pages")).unwrap();
        fs::write(store.path().join("redb/db"), cut).unwrap();
        works(&mut store, "redb/db").await;
    }
}

/// Versions of deriva that wrote the marker in place could leave zeros in it, or a part.
#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[case("files")]
#[tokio::test]
async fn a_torn_marker_is_healed_whatever_the_store_holds(#[case] scheme: &str) {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    let marker = store.path().join("deriva-store");
    let whole = fs::read(&marker).unwrap();
    let blobs = [blob(100, 1), blob(100_000, 2)];
    store.blobs().put(&blobs).await.unwrap();
    let torn = [
        vec![],
        vec![0; whole.len()],
        whole[..2].to_vec(),
        [&whole[..3], &[0; 2]].concat(),
    ];
    for torn in torn {
        store.close();
        fs::write(&marker, &torn).unwrap();
        for other in ["sled", "redb", "files"]
            .into_iter()
            .filter(|other| *other != scheme)
        {
            if !torn.is_empty() {
                let uri = format!("{other}:{}", store.path().display());
                let error = open(&uri).await.map(|_| ()).unwrap_err();
                let kinds = [ErrorKind::Corrupt, ErrorKind::Invalid];
                assert!(kinds.contains(&error.kind()), "{other}: {error:?}");
                assert!(error.advice().is_some());
            }
        }
        store.reopen().await;
        for blob in &blobs {
            let found = store.blobs().get(blob.addr()).await.unwrap();
            assert_eq!(found.as_ref(), Some(blob), "{torn:?}");
        }
        assert_eq!(fs::read(&marker).unwrap(), whole);
    }
}

/// Where something may be stored nothing is thrown away, whatever the marker says.
#[rstest]
#[case("sled", "db")]
#[case("redb", "pages")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "CURRENT"))]
#[tokio::test]
async fn a_damaged_database_with_something_in_it_stays(#[case] scheme: &str, #[case] file: &str) {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    store.blobs().put(&[blob(100, 1)]).await.unwrap();
    store.close();
    fs::write(store.path().join("deriva-store"), "").unwrap();
    let database = store.path().join(scheme).join(file);
    let zeros = vec![0; fs::read(&database).unwrap().len()];
    fs::write(&database, &zeros).unwrap();
    let error = open(store.uri()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.advice().unwrap().contains("restore"), "{error:?}");
    assert!(database.exists());
}
