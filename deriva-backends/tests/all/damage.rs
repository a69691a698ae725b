//! Damage on the disk is `Corrupt` wherever it lies, never wrong bytes.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, Store, blob, leaf, output, recipe, record};
use deriva_api::{Blob, ByteRange, DagStoreExt, ErrorKind};
use rstest::rstest;

fn file_of(folder: &Path, blob: &Blob) -> PathBuf {
    let name = blob.addr().to_string();
    folder.join(&name[..2]).join(name)
}

#[rstest]
#[case("files:PATH", "")]
#[case("sled:PATH?blob_threshold=0", "files")]
#[case("redb:PATH?blob_threshold=0", "files")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=0", "files"))]
#[tokio::test]
async fn a_damaged_file_is_corrupt_until_it_is_put_again(#[case] uri: &str, #[case] below: &str) {
    let store = Store::open(uri).await;
    let blobs = store.blobs();
    for (len, at) in [
        (1, 0),
        (5000, 4999),
        (300_000, 70_001),
        (2_000_000, 1 << 20),
    ] {
        let blob = blob(len, 5);
        let (addr, file) = (blob.addr(), file_of(&store.path().join(below), &blob));
        blobs.put(&[blob.clone()]).await.unwrap();
        let whole = blobs.get_range(addr, ByteRange::ALL).await.unwrap();
        assert_eq!(whole.as_ref(), Some(blob.bytes()));
        let good = fs::read(&file).unwrap();
        assert_eq!(good, blob.bytes()[..], "a file is the blob");

        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        for bad in [&flipped[..], &good[..at], &[&good[..], b"x"].concat()] {
            fs::write(&file, bad).unwrap();
            let errors = [
                blobs.get(addr).await.unwrap_err(),
                blobs.get_many(&[addr]).await.unwrap_err(),
                blobs
                    .get_range(addr, ByteRange::new(0, 1))
                    .await
                    .unwrap_err(),
            ];
            assert!(
                errors
                    .iter()
                    .all(|error| error.kind() == ErrorKind::Corrupt)
            );
        }
        blobs.remove(&[addr]).await.unwrap();
        blobs.put(&[blob.clone()]).await.unwrap();
        assert_eq!(blobs.get(addr).await.unwrap(), Some(blob));
    }
}

#[tokio::test]
async fn a_deleted_file_is_an_absent_blob_in_a_file_store_and_corrupt_where_a_row_names_it() {
    let blob = blob(100, 6);
    let store = Store::open("files:PATH").await;
    store.blobs().put(&[blob.clone()]).await.unwrap();
    fs::remove_file(file_of(&store.path(), &blob)).unwrap();
    assert_eq!(store.blobs().get(blob.addr()).await.unwrap(), None);

    let store = Store::open("sled:PATH?blob_threshold=0").await;
    store.blobs().put(&[blob.clone()]).await.unwrap();
    fs::remove_file(file_of(&store.path().join("files"), &blob)).unwrap();
    let error = store.blobs().get(blob.addr()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = store
        .blobs()
        .get_range(blob.addr(), ByteRange::ALL)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[rstest]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test]
async fn every_damaged_row_is_corrupt(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let (small, large) = (blob(700, 7), blob(5000, 8));
    let (a, wide) = (
        recipe("f/1", &[leaf(1)]),
        recipe("g/1", &(0..3000).map(leaf).collect::<Vec<_>>()),
    );
    store
        .blobs()
        .put(&[small.clone(), large.clone()])
        .await
        .unwrap();
    store
        .dag()
        .insert(&[a.clone(), wide.clone()])
        .await
        .unwrap();
    store
        .dag()
        .record(&[record(a.addr(), output("x"))])
        .await
        .unwrap();
    store.dag().set_root("root", a.addr()).await.unwrap();
    store.close();
    // The last byte: of the bytes, of an address, or of a checksum.
    common::raw::edit(&store, |key, value| {
        if !matches!(key[0], b'd' | b'm') {
            *value.last_mut().unwrap() ^= 1;
        }
    });
    store.reopen().await;
    let (blobs, dag) = (store.blobs(), store.dag());
    use futures::TryStreamExt;
    let errors = [
        blobs.get(small.addr()).await.unwrap_err(),
        blobs
            .get_range(small.addr(), ByteRange::new(0, 1))
            .await
            .unwrap_err(),
        blobs.stat(&[large.addr()]).await.unwrap_err(),
        blobs.get(large.addr()).await.unwrap_err(),
        dag.get_one(a.addr()).await.unwrap_err(),
        dag.get_one(wide.addr()).await.unwrap_err(),
        dag.outputs(&[a.addr()]).await.unwrap_err(),
        dag.record(&[record(a.addr(), output("x"))])
            .await
            .unwrap_err(),
        dag.remove(&[a.addr()]).await.unwrap_err(),
        dag.list(None).try_next().await.unwrap_err(),
        dag.roots(None).try_next().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn counts_survive_a_crash_of_a_file_store() {
    let mut store = Store::open("files:PATH").await;
    store
        .blobs()
        .put(&[blob(10, 1), blob(20, 2)])
        .await
        .unwrap();
    store.close();
    // As after a crash: no counts, a file half written, a count cut off.
    for cut in [None, Some("2 3")] {
        fs::remove_file(store.path().join("usage")).unwrap();
        if let Some(text) = cut {
            fs::write(store.path().join("usage"), text).unwrap();
        }
        let draft = store.path().join("tmp").join(".tmpX");
        fs::write(&draft, "half").unwrap();
        store.reopen().await;
        let usage = store.blobs().usage().await.unwrap().unwrap();
        assert_eq!((usage.blobs, usage.bytes), (2, 30));
        assert!(!draft.exists(), "swept");
        store.close();
    }
}

/// A bit flipped anywhere in a database: what is read is right or `Corrupt`, or absent where the
/// damage may hide the row.
#[rstest]
#[case("redb:PATH", false)]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH", true))]
#[tokio::test]
async fn a_database_damaged_anywhere_gives_no_wrong_bytes_and_no_panic(
    #[case] uri: &str,
    #[case] may_hide: bool,
) {
    let mut store = Store::open(uri).await;
    let put: Vec<Blob> = (0..100).map(|n| blob(100 + n * 20, n as u64)).collect();
    store.blobs().put(&put).await.unwrap();
    store.close();
    let folder = store.path().join(uri.split(':').next().unwrap());
    let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    for n in 0..60 {
        let random = u64::from_le_bytes(common::bytes(8, n).try_into().unwrap()) as usize;
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        for (path, bytes) in &files {
            fs::write(path, bytes).unwrap();
        }
        let filled: Vec<_> = files.iter().filter(|(_, file)| !file.is_empty()).collect();
        let (path, mut bytes) = filled[random % filled.len()].clone();
        let at = (random >> 16) % bytes.len();
        bytes[at] ^= 1 << (random >> 8 & 7);
        fs::write(path, bytes).unwrap();

        let blobs = match common::open(store.uri()).await {
            Ok(opened) => opened.blobs.unwrap(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{n}: {error:?}");
                continue;
            }
        };
        for blob in &put {
            match blobs.get(blob.addr()).await {
                Ok(Some(found)) => assert!(found == *blob),
                Ok(None) => assert!(may_hide, "{n}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{n}: {error:?}"),
            }
        }
    }
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn a_list_names_what_is_damaged_and_goes_on_behind_it(#[case] uri: &str) {
    use deriva_api::{BoxStream, CAddr, Result};
    use futures::{StreamExt, TryStreamExt};

    /// All addresses of a list, and those that it named as damaged.
    async fn read<'a>(
        list: impl Fn(Option<CAddr>) -> BoxStream<'a, Result<CAddr>>,
    ) -> (Vec<CAddr>, Vec<CAddr>) {
        let (mut whole, mut damaged, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let mut stream = list(after);
            let error = loop {
                match stream.try_next().await {
                    Ok(Some(addr)) => whole.push(addr),
                    Ok(None) => return (whole, damaged),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let addr: CAddr = error.context("addr").unwrap().parse().unwrap();
            after = Some(addr);
            damaged.push(addr);
        }
    }

    let mut store = Store::open(uri).await;
    let recipes: Vec<_> = (0..40).map(|i| recipe("f/1", &[leaf(i)])).collect();
    store.dag().insert(&recipes).await.unwrap();
    let made = recipes[7].addr();
    store
        .dag()
        .record(&[record(made, output("x"))])
        .await
        .unwrap();
    store.close();
    let spoiled = recipes[21].addr();
    common::raw::edit(&store, |key, value| {
        let row = &key[1..];
        if row.starts_with(spoiled.as_bytes()) && key[0] == b'r'
            || row.starts_with(made.as_bytes()) && key[0] == b'o'
        {
            *value.last_mut().unwrap() ^= 1;
        }
    });
    store.reopen().await;
    let dag = store.dag();
    let (whole, mut damaged) = read(|after| dag.list(after).map_ok(|(addr, _)| addr).boxed()).await;
    damaged.sort_unstable();
    let mut expected = vec![made, spoiled];
    expected.sort_unstable();
    assert_eq!((whole.len(), damaged), (38, expected));
}

/// Redb searches by keys that it does not check. Each copy of one in its file is damaged.
#[tokio::test]
async fn a_damaged_key_hides_no_row_and_names_no_other() {
    use futures::TryStreamExt;
    let mut store = Store::open("redb:PATH").await;
    let put: Vec<Blob> = (0..100).map(|n| blob(200, n)).collect();
    store.blobs().put(&put).await.unwrap();
    store.close();
    let file = store.path().join("redb").join("pages");
    let sound = fs::read(&file).unwrap();
    let mut opened = 0;
    for damaged in put.iter().step_by(9) {
        let addr = damaged.addr();
        let mut bytes = sound.clone();
        let places: Vec<usize> = (0..bytes.len() - 32)
            .filter(|at| bytes[*at..].starts_with(addr.as_bytes()))
            .collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at] ^= 0x80;
        }
        fs::write(&file, bytes).unwrap();
        let blobs = match common::open(store.uri()).await {
            Ok(opened) => opened.blobs.unwrap(),
            // The page holds the format, too.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                continue;
            }
        };
        opened += 1;
        let errors = [
            blobs.get(addr).await.unwrap_err(),
            blobs.list(None).try_collect::<Vec<_>>().await.unwrap_err(),
            blobs.put(&[damaged.clone()]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        }
        for sound in &put {
            let found = blobs.get(sound.addr()).await;
            assert!(found.is_err() || found.unwrap().as_ref() == Some(sound));
        }
    }
    assert!(opened > 5, "{opened}");
}

/// Every engine can come up with an earlier state after damage, whole and sound by itself.
#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[tokio::test]
async fn a_database_without_its_last_commits_is_refused(#[case] scheme: &str) {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    store.blobs().put(&[blob(100, 1)]).await.unwrap();
    store.close();
    let (database, earlier) = (store.path().join(scheme), store.dir.path().join("earlier"));
    copy(&database, &earlier);
    store.reopen().await;
    store.blobs().put(&[blob(100, 2)]).await.unwrap();
    store.close();
    fs::remove_dir_all(&database).unwrap();
    copy(&earlier, &database);
    for _ in 0..2 {
        let error = common::open(store.uri()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert!(error.advice().unwrap().contains("`commits`"), "{error:?}");
    }
    // As the error says.
    fs::remove_file(store.path().join("commits")).unwrap();
    store.reopen().await;
    assert_eq!(store.blobs().usage().await.unwrap().unwrap().blobs, 1);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
