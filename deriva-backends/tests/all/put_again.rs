//! A put stores the blob, whatever is there instead: "already stored" is said of a whole one only.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, Store, blob, open, recipe};
use bytes::Bytes;
use deriva_api::{Blob, BlobStat, BlobStore, DagStoreExt, ErrorKind};
use futures::TryStreamExt;
use rstest::rstest;

fn file_of(folder: &Path, blob: &Blob) -> PathBuf {
    let name = blob.addr().to_string();
    folder.join(&name[..2]).join(name)
}

/// The ways in.
#[derive(Clone, Copy, Debug)]
enum Way {
    Put,
    Writer { pieces: usize, expect: bool },
}

const WAYS: [Way; 4] = [
    Way::Put,
    Way::Writer {
        pieces: 1,
        expect: false,
    },
    Way::Writer {
        pieces: 1,
        expect: true,
    },
    // More than is gathered in memory.
    Way::Writer {
        pieces: 3,
        expect: true,
    },
];

async fn store(blobs: &dyn BlobStore, blob: &Blob, way: Way) {
    let Way::Writer { pieces, expect } = way else {
        return blobs.put(std::slice::from_ref(blob)).await.unwrap();
    };
    let expect: Option<BlobStat> = expect.then(|| blob.stat());
    let mut writer = blobs.writer(expect).await.unwrap();
    for piece in blob.bytes().chunks(blob.bytes().len().div_ceil(pieces)) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), blob.stat());
}

/// What a loss of power may leave of a file that was not synced.
fn torn(whole: &[u8]) -> Vec<Vec<u8>> {
    let len = whole.len();
    let mut half = whole.to_vec();
    half[len / 2..].fill(0);
    let mut hole = whole.to_vec();
    hole[..512.min(len - 1)].fill(0);
    vec![
        Vec::new(),
        vec![0; len],
        whole[..len / 2].to_vec(),
        half,
        hole,
    ]
}

/// A store that was opened as buffered and did not close: its folder, copied while it was open.
async fn unclean(scheme: &str, stored: &[Blob]) -> tempfile::TempDir {
    let uri = format!("{scheme}:PATH?durability=buffered");
    let uri = match scheme {
        "files" => uri,
        _ => uri + "&blob_threshold=1KiB",
    };
    let open = Store::open(&uri).await;
    open.blobs().put(stored).await.unwrap();
    open.blobs().flush().await.unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    copy(&open.path(), &dir.path().join("store"));
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[rstest]
#[case("files", "")]
#[case("sled", "files")]
#[case("redb", "files")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "files"))]
#[tokio::test]
async fn a_blob_that_was_torn_is_stored_by_every_way_in(
    #[case] scheme: &str,
    #[case] below: &str,
    #[values("sync", "buffered")] durability: &str,
) {
    let (victim, other) = (blob(3_000_000, 1), blob(5000, 2));
    let cut = unclean(scheme, &[victim.clone(), other.clone()]).await;
    let file = file_of(&cut.path().join("store").join(below), &victim);
    let whole = fs::read(&file).unwrap();
    let threshold = if scheme == "files" {
        ""
    } else {
        "&blob_threshold=1KiB"
    };
    for torn in torn(&whole) {
        for way in WAYS {
            let dir = tempfile::TempDir::new().unwrap();
            copy(cut.path(), dir.path());
            let path = dir.path().join("store");
            fs::write(file_of(&path.join(below), &victim), &torn).unwrap();
            let uri = format!(
                "{scheme}:{}?durability={durability}{threshold}",
                path.display()
            );
            let blobs = open(&uri).await.unwrap().blobs.unwrap();
            let what = format!("{way:?} over {} bytes", torn.len());
            let error = blobs.get(victim.addr()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}");
            store(&*blobs, &victim, way).await;
            let found = blobs.get(victim.addr()).await.unwrap();
            assert!(found.as_ref() == Some(&victim), "{what}");
            // And once more: there is one copy of it, and it counts once.
            store(&*blobs, &victim, way).await;
            let listed: Vec<BlobStat> = blobs.list(None).try_collect().await.unwrap();
            assert_eq!(listed.len(), 2, "{what}");
            assert!(listed.contains(&victim.stat()), "{what}");
            let usage = blobs.usage().await.unwrap().unwrap();
            assert_eq!(
                (usage.blobs, usage.bytes),
                (2, victim.len() + other.len()),
                "{what}"
            );
        }
    }
}

/// A file of another length is no such blob, however the store was closed.
#[rstest]
#[case("files:PATH", "")]
#[case("sled:PATH?blob_threshold=1KiB", "files")]
#[case("redb:PATH?blob_threshold=1KiB", "files")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB", "files"))]
#[tokio::test]
async fn a_blob_that_was_cut_short_or_lost_is_stored_again(#[case] uri: &str, #[case] below: &str) {
    let mut at = Store::open(uri).await;
    for way in WAYS {
        let blob = blob(2_000_000, 7);
        store(&*at.blobs(), &blob, way).await;
        at.reopen().await;
        let file = file_of(&at.path().join(below), &blob);
        for damage in [Some(&blob.bytes()[..100]), None] {
            match damage {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            store(&*at.blobs(), &blob, way).await;
            let found = at.blobs().get(blob.addr()).await.unwrap();
            assert!(found.as_ref() == Some(&blob), "{way:?}");
        }
        at.blobs().remove(&[blob.addr()]).await.unwrap();
    }
}

/// After a clean close nothing is in doubt, and a second put reads nothing.
#[rstest]
#[case("files:PATH?durability=buffered", "")]
#[case("sled:PATH?durability=buffered&blob_threshold=1KiB", "files")]
#[tokio::test]
async fn a_clean_close_leaves_no_doubt(#[case] uri: &str, #[case] below: &str) {
    let mut at = Store::open(uri).await;
    let note = at.path().join(below).join("unsynced");
    assert!(!note.exists(), "nothing was stored yet");
    at.blobs().put(&[blob(5000, 1)]).await.unwrap();
    assert!(note.exists());
    at.close();
    assert!(!note.exists());
    // What an earlier opening left stays, as nobody has looked at all of its blobs.
    fs::write(&note, "").unwrap();
    at.reopen().await;
    at.blobs().put(&[blob(5000, 2)]).await.unwrap();
    at.close();
    assert!(note.exists());
}

/// The row of a large blob is damaged: it can be removed, and it can be put again.
#[rstest]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test]
async fn a_blob_whose_row_is_damaged_can_be_removed_and_put(#[case] uri: &str) {
    let mut at = Store::open(uri).await;
    let (large, small, other) = (blob(5000, 1), blob(300, 2), blob(6000, 3));
    let all = [large.clone(), small.clone(), other.clone()];
    at.blobs().put(&all).await.unwrap();
    let damage = |at: &mut Store| {
        at.close();
        common::raw::edit(at, |key, value| {
            if key.ends_with(large.addr().as_bytes()) {
                *value.last_mut().unwrap() ^= 1;
            } else if key.ends_with(small.addr().as_bytes()) {
                value[0] = 9;
            }
        });
    };
    for removed in [true, false] {
        damage(&mut at);
        at.reopen().await;
        let blobs = at.blobs();
        for blob in [&large, &small] {
            let error = blobs.get(blob.addr()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let error = blobs.stat(&[blob.addr()]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        if removed {
            let addrs = all.each_ref().map(Blob::addr);
            blobs.remove(&addrs).await.unwrap();
            for addr in addrs {
                assert_eq!(blobs.get(addr).await.unwrap(), None);
            }
            let usage = blobs.usage().await.unwrap().unwrap();
            assert_eq!((usage.blobs, usage.bytes), (0, 0));
        }
        blobs.put(&all).await.unwrap();
        at.reopen().await;
        for blob in &all {
            assert_eq!(
                at.blobs().get(blob.addr()).await.unwrap().as_ref(),
                Some(blob)
            );
        }
        let usage = at.blobs().usage().await.unwrap().unwrap();
        assert_eq!((usage.blobs, usage.bytes), (3, 11_300));
    }
}

/// The same of a recipe: to insert it again writes its row anew.
#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn a_recipe_whose_row_is_damaged_can_be_inserted_again(#[case] uri: &str) {
    let mut at = Store::open(uri).await;
    let inputs: Vec<_> = (0..3000).map(common::leaf).collect();
    let recipes = [recipe("f/1", &inputs[..2]), recipe("g/1", &inputs)];
    at.dag().insert(&recipes).await.unwrap();
    at.close();
    common::raw::edit(&at, |key, value| {
        if matches!(key[0], b'r' | b'p') {
            *value.last_mut().unwrap() ^= 1;
        }
    });
    at.reopen().await;
    for recipe in &recipes {
        let error = at.dag().get_one(recipe.addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    at.dag().insert(&recipes).await.unwrap();
    for recipe in &recipes {
        let node = at.dag().get_one(recipe.addr()).await.unwrap().unwrap();
        assert_eq!(&node.recipe, recipe);
    }
    assert_eq!(at.dag().usage().await.unwrap().unwrap().recipes, 2);
    let mut both = recipes.each_ref().map(|recipe| recipe.addr());
    both.sort_unstable();
    assert_eq!(common::dependents(&at.dag(), inputs[0]).await, both);
    assert_eq!(at.dag().remove(&both).await.unwrap(), 2);
    assert_eq!(common::dependents(&at.dag(), inputs[0]).await, []);
}
