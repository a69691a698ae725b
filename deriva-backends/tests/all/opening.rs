//! A store opens at its own place only, once, and says what is wrong otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::common::{self, Store, blob, open, test_path};
use deriva_api::{Error, ErrorKind};
use rstest::rstest;

async fn refused(uri: &str) -> Error {
    open(uri).await.map(|_| ()).unwrap_err()
}

/// Not a test of its own: run as another process, it holds a store open until its input ends.
#[tokio::test]
async fn hold_open_for_another_process() {
    let Ok(uri) = std::env::var("DERIVA_TEST_HOLD") else {
        return;
    };
    let held = open(&uri).await.unwrap();
    println!("\nheld {:?}", held.blobs);
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("files:PATH")]
#[tokio::test]
async fn a_second_process_finds_the_store_locked(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    store.close();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &test_path(module_path!(), "hold_open_for_another_process"),
            "--nocapture",
        ])
        .env("DERIVA_TEST_HOLD", store.uri())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("held ")));

    let error = refused(store.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Locked);
    let path = store.path().canonicalize().unwrap();
    assert_eq!(
        error.context("path"),
        Some(path.display().to_string().as_str())
    );
    assert!(
        error
            .advice()
            .unwrap()
            .contains("close the store in the other process")
    );

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    store.reopen().await;
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("files:PATH")]
#[tokio::test]
async fn one_path_has_one_handle_in_a_process(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let roundabout = store.uri().replace("/store", "/store/../store");
    let second = open(&roundabout).await.unwrap().blobs.unwrap();
    let blob = blob(100, 1);
    store.blobs().put(&[blob.clone()]).await.unwrap();
    store.close();
    assert_eq!(second.get(blob.addr()).await.unwrap(), Some(blob));
    let error = refused(&format!("{roundabout}?durability=buffered")).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("files:PATH")]
#[tokio::test]
async fn a_store_reopens_as_soon_as_it_is_dropped(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    for i in 0..20 {
        store.blobs().put(&[blob(100, i)]).await.unwrap();
        store.reopen().await;
    }
    assert_eq!(store.blobs().usage().await.unwrap().unwrap().blobs, 20);
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn a_newer_format_is_refused_by_name(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    store.close();
    common::raw::edit(&store, |key, value| {
        if key == b"mformat" {
            *value = 7u32.to_le_bytes().to_vec();
        }
    });
    let error = refused(store.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let formats = ["format", "known_format"].map(|key| error.context(key));
    assert_eq!(formats, [Some("7"), Some("2")]);
}

#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[case("files")]
#[tokio::test]
async fn what_is_not_a_store_is_refused_and_left_alone(#[case] scheme: &str) {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let foreign = refused(&format!("{scheme}:{}", dir.path().display())).await;
    assert_eq!(foreign.kind(), ErrorKind::Invalid);
    assert!(
        foreign.to_string().contains("not empty and not a store"),
        "{foreign}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    let error = refused(&format!("{scheme}:{}", file.display())).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("this is a file"), "{error}");
    let below = refused(&format!("{scheme}:{}/x", file.display())).await;
    assert_eq!(
        below.context("path"),
        Some(format!("{}/x", file.display()).as_str())
    );

    let other = if scheme == "sled" { "files" } else { "sled" };
    let path = dir.path().join("other").display().to_string();
    drop(open(&format!("{other}:{path}")).await.unwrap());
    let error = refused(&format!("{scheme}:{path}")).await;
    assert_eq!(
        error.advice(),
        Some(format!("open it as `{other}:{path}`").as_str())
    );
}

#[rstest]
#[case("memory:x", "`memory:`")]
#[case("memory:?a=1", "takes no options")]
#[case("sled:", "sled:./data")]
#[case("files:", "files:./data")]
#[case("sled:x?cach=1", "durability, cache, blob_threshold")]
#[case("files:x?cache=1", "durability")]
#[case("sled:x?blob_threshold=1MiB", "never syncs")]
#[case("redb:", "redb:./data")]
#[case("redb:x?cach=1", "durability, cache, blob_threshold")]
#[case("redb:x?blob_threshold=2MiB", "power of two")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:x?cach=1", "durability, cache, blob_threshold")
)]
#[case("bolt:x", "files, memory, redb, ")]
#[tokio::test]
async fn a_uri_that_cannot_be_meant_is_answered_with_what_can(
    #[case] uri: &str,
    #[case] advice: &str,
) {
    let error = refused(uri).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.advice().unwrap().contains(advice), "{error}");
}

#[rstest]
#[case("sled:x?durability=maybe", "maybe")]
#[case("sled:x?cache=lots", "lots")]
#[tokio::test]
async fn a_value_that_is_none_is_named(#[case] uri: &str, #[case] given: &str) {
    let error = refused(uri).await;
    assert_eq!(
        (error.kind(), error.context("given")),
        (ErrorKind::Invalid, Some(given))
    );
}

#[rstest]
#[case("memory:", "memory:")]
#[case("files:PATH?durability=sync", "files:PATH")]
#[case("files:PATH?durability=buffered", "files:PATH?durability=buffered")]
#[case(
    "sled:PATH?cache=8MiB&durability=buffered",
    "sled:PATH?durability=buffered&cache=8388608"
)]
#[case("sled:PATH?cache=256MiB", "sled:PATH")]
#[case("redb:PATH?blob_threshold=1kB", "redb:PATH?blob_threshold=1000")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?cache=8MiB", "rocksdb:PATH?cache=8388608")
)]
#[tokio::test]
async fn a_store_prints_how_to_open_it(#[case] uri: &str, #[case] printed: &str) {
    let store = Store::open(uri).await;
    let printed = printed.replace("PATH", &store.path().display().to_string());
    assert_eq!(store.blobs().to_string(), printed);
}

#[rstest]
#[case("sled:PATH?cache=1", "cache", "at least 1.0 MiB")]
#[case("sled:PATH?cache=17TiB", "cache", "at most 16.0 TiB")]
#[case("sled:PATH?blob_threshold=65537", "blob_threshold", "at most 32.0 KiB")]
#[case("redb:PATH?cache=1", "cache", "at least 1.0 MiB")]
#[case("redb:PATH?cache=17TiB", "cache", "at most 16.0 TiB")]
#[case("redb:PATH?blob_threshold=2MiB", "blob_threshold", "at most 1.0 MiB")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?cache=1", "cache", "at least 1.0 MiB")
)]
#[tokio::test]
async fn a_setting_out_of_range_is_refused_with_the_range(
    #[case] uri: &str,
    #[case] option: &str,
    #[case] range: &str,
) {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("s");
    let error = refused(&uri.replace("PATH", &path.display().to_string())).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        (error.context("option"), error.context("range")),
        (Some(option), Some(range))
    );
    assert!(!path.exists(), "nothing is created");
}

/// A folder that was a store keeps telling that when its database is deleted.
#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[tokio::test]
async fn a_database_that_is_gone_is_corrupt_and_no_new_store(#[case] scheme: &str) {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    store.blobs().put(&[blob(100, 1)]).await.unwrap();
    store.close();
    let folder = store.path().join(scheme);
    let aside = store.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    for _ in 0..2 {
        let error = refused(store.uri()).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    std::fs::remove_dir_all(&folder).ok();
    std::fs::rename(&aside, &folder).unwrap();
    store.reopen().await;
    assert_eq!(store.blobs().usage().await.unwrap().unwrap().blobs, 1);
}

/// What a crash leaves that cut the first opening short.
#[rstest]
#[case("sled", &[])]
#[case("redb", &["redb/pages.new", "redb/db.new"])]
#[cfg_attr(feature = "rocksdb", case("rocksdb", &["rocksdb/LOG", "rocksdb/000001.dbtmp"]))]
#[tokio::test]
async fn a_half_created_store_is_created_to_the_end(
    #[case] scheme: &str,
    #[case] leftovers: &[&str],
) {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("deriva-store"), "").unwrap();
    std::fs::create_dir(dir.path().join(scheme)).unwrap();
    for leftover in leftovers {
        std::fs::write(dir.path().join(leftover), "half").unwrap();
    }
    let uri = format!("{scheme}:{}", dir.path().display());
    let blobs = open(&uri).await.unwrap().blobs.unwrap();
    blobs.put(&[blob(100, 1)]).await.unwrap();
    drop(blobs);
    let blobs = open(&uri).await.unwrap().blobs.unwrap();
    assert_eq!(blobs.usage().await.unwrap().unwrap().blobs, 1);
}

/// An older deriva compares the marker of a folder with the forms that it knows, before it looks at
/// anything else there.
#[rstest]
#[case("sled", "sled")]
#[case("redb", "redb-pages")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "rocksdb"))]
#[case("files", "files")]
#[tokio::test]
async fn a_form_that_is_not_known_is_refused_by_name(#[case] scheme: &str, #[case] form: &str) {
    let mut store = Store::open(&format!("{scheme}:PATH")).await;
    store.close();
    let marker = store.path().join("deriva-store");
    assert_eq!(std::fs::read_to_string(&marker).unwrap().trim(), form);
    std::fs::write(&marker, format!("{scheme}-2099")).unwrap();
    let error = refused(store.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(
        error.context("found"),
        Some(format!("{scheme}-2099").as_str())
    );

    std::fs::write(&marker, "other-2099").unwrap();
    let error = refused(store.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.advice().unwrap().contains("`other:"), "{error:?}");
}
