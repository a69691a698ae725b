//! A store opens at its own place only, once, and says what is wrong otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Store, blob, open};
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
#[case("files:PATH")]
#[tokio::test]
async fn a_second_process_finds_the_store_locked(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    store.close();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_open_for_another_process", "--nocapture"])
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

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let mut store = Store::open("sled:PATH").await;
    store.close();
    let db = common::raw_sled(&store.path());
    db.insert("mformat", &7u32.to_le_bytes()).unwrap();
    drop(db);
    let error = refused(store.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let formats = ["format", "known_format"].map(|key| error.context(key));
    assert_eq!(formats, [Some("7"), Some("1")]);
}

#[rstest]
#[case("sled")]
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
#[case("bolt:x", "files, memory, sled")]
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
#[case("files:PATH?durability=buffered", "files:PATH")]
#[case("sled:PATH?cache=8MiB", "sled:PATH")]
#[tokio::test]
async fn a_store_prints_how_to_open_it(#[case] uri: &str, #[case] printed: &str) {
    let store = Store::open(uri).await;
    let printed = printed.replace("PATH", &store.path().display().to_string());
    assert_eq!(store.blobs().to_string(), printed);
}

#[tokio::test]
async fn a_cache_that_is_too_small_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let uri = format!("sled:{}/s?cache=1", dir.path().display());
    assert_eq!(refused(&uri).await.kind(), ErrorKind::Invalid);
}
