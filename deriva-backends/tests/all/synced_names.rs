//! The names of a new store's folders and of its marker are durable before it counts as created: read from
//! the system calls of a process that opens one. Without `strace` nothing is checked.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::common::{blob, open, test_path};
use rstest::rstest;

/// Not a test of its own: run as another process, it opens a store and closes it.
#[tokio::test]
async fn open_for_another_process() {
    if let Ok(uri) = std::env::var("DERIVA_TEST_OPEN") {
        open(&uri).await.unwrap();
    }
}

/// The calls of an opening, in order, with the paths of the files; `None` where nothing can be traced.
fn trace(uri: &str, log: &Path) -> Option<Vec<String>> {
    let traced = Command::new("strace")
        .args(["-f", "-y", "-qq", "-e", "signal=none"])
        .args(["-e", "trace=fsync,fdatasync,rename,renameat,renameat2"])
        .arg("-o")
        .arg(log)
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &test_path(module_path!(), "open_for_another_process"),
        ])
        .env("DERIVA_TEST_OPEN", uri)
        .output();
    let traced = traced.is_ok_and(|output| {
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() || told.contains("running 1 test"));
        output.status.success()
    });
    let text = std::fs::read_to_string(log).unwrap_or_default();
    if !traced || text.is_empty() {
        let said = "NOT CHECKED: strace does not run";
        writeln!(std::io::stderr(), "{said}").expect("stderr is there");
        return None;
    }
    Some(text.lines().map(str::to_owned).collect())
}

#[rstest]
#[case("sled")]
#[case("redb")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[case("files")]
fn a_new_store_is_named_durably(#[case] scheme: &str, #[values(true, false)] was_there: bool) {
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let store = root.join("a/b/store");
    if was_there {
        std::fs::create_dir_all(&store).unwrap();
    }
    let uri = format!("{scheme}:{}", store.display());
    let Some(calls) = trace(&uri, &root.join("trace")) else {
        return;
    };
    let synced = |folder: &Path| {
        let wanted = format!("<{}>)", folder.display());
        let is_sync = |call: &&String| call.contains("fsync(") && call.contains(&wanted);
        calls.iter().filter(is_sync).count()
    };
    assert!(
        synced(&root.join("a/b")) > 0,
        "the store's folder: {calls:#?}"
    );
    if !was_there {
        assert!(synced(&root) > 0, "a folder above: {calls:#?}");
        assert!(synced(&root.join("a")) > 0, "a folder above: {calls:#?}");
    }
    let of_marker = |call: &&String| call.contains("deriva-store.new");
    let marked = calls.iter().filter(of_marker);
    let kinds: Vec<bool> = marked.map(|call| call.contains("fsync(")).collect();
    assert_eq!(
        kinds,
        [true, false, true, false],
        "synced, then renamed: {calls:#?}"
    );
    let last = calls
        .iter()
        .rposition(|call| call.contains("rename") && of_marker(&call));
    let folder = format!("<{}>)", store.display());
    let later = &calls[last.unwrap()..];
    assert!(
        later.iter().any(|call| call.contains(&folder)),
        "{calls:#?}"
    );
}

#[tokio::test]
async fn what_an_opening_finds_in_sleds_log_is_durable_before_anything_relies_on_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let uri = format!("sled:{}", root.join("store").display());
    let store = open(&uri).await.unwrap();
    let blobs: Vec<_> = (0..30).map(|seed| blob(900, seed)).collect();
    store.blobs.as_ref().unwrap().put(&blobs).await.unwrap();
    drop(store);
    let Some(calls) = trace(&uri, &root.join("trace")) else {
        return;
    };
    let sled = root.join("store/sled");
    let synced = |name: &str| {
        let wanted = format!("<{}>)", sled.join(name).display());
        let is_sync = |call: &String| call.contains("sync(") && call.contains(&wanted);
        calls.iter().position(is_sync)
    };
    // Sled's own first step is a snapshot of what it found.
    let snapshot = calls.iter().position(|call| call.contains("/sled/snap."));
    let snapshot = snapshot.unwrap_or(calls.len());
    for name in ["db", "conf"] {
        let place = synced(name);
        assert!(place.is_some_and(|at| at < snapshot), "{name}: {calls:#?}");
    }
}
