//! A store that may only be read: everything is read, writes are refused, nothing is changed, and who writes
//! elsewhere is kept out meanwhile.
//!
//! As root, whom permissions do not stop, a file system is mounted and made read-only; there the test has
//! nothing to check where that is not allowed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use crate::common::{blob, leaf, open, recipe, test_path};
use deriva_api::{
    Blob, BlobCheck, ByteRange, CAddr, ErrorKind, OpenedStore, Output, Recipe, Record,
};
use futures::TryStreamExt;
use rstest::rstest;
use rstest_reuse::{apply, template};
use tempfile::TempDir;

/// A folder that can be made read-only, with all in it.
struct Medium {
    dir: TempDir,
    mounted: bool,
}

impl Medium {
    /// `None` where root may not mount.
    fn new() -> Option<Self> {
        Self::of("256m")
    }

    fn of(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let mounted = is_root && {
            let size = format!("size={size}");
            let args = ["-t", "tmpfs", "-o", &size, "tmpfs"];
            let mounted = Command::new("mount").args(args).arg(dir.path()).output();
            mounted.is_ok_and(|output| output.status.success())
        };
        (mounted || !is_root).then_some(Self { dir, mounted })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn set_writable(&self, writable: bool) {
        if self.mounted {
            let option = if writable { "remount,rw" } else { "remount,ro" };
            let done = Command::new("mount")
                .args(["-o", option])
                .arg(self.path())
                .status();
            assert!(done.unwrap().success());
            return;
        }
        for (path, metadata) in below(self.path()) {
            let mode = metadata.permissions().mode();
            let mode = if writable {
                mode | 0o200
            } else {
                mode & !0o222
            };
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if self.mounted {
            Command::new("umount")
                .arg("-l")
                .arg(self.path())
                .status()
                .ok();
        } else {
            self.set_writable(true);
        }
    }
}

/// What is below a folder, and the folder.
fn below(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = vec![(folder.to_owned(), fs::metadata(folder).unwrap())];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match fs::metadata(&path).unwrap() {
            metadata if metadata.is_dir() => found.extend(below(&path)),
            metadata => found.push((path, metadata)),
        }
    }
    found
}

/// Contents and times of everything below a folder.
fn state(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Option<Vec<u8>>)> {
    let entry = |(path, metadata): (PathBuf, fs::Metadata)| {
        let content = metadata.is_file().then(|| fs::read(&path).unwrap());
        (path, (metadata.modified().unwrap(), content))
    };
    below(folder).into_iter().map(entry).collect()
}

static CONTENTS: LazyLock<Vec<Blob>> = LazyLock::new(|| {
    let lens = [0, 1, 100, 70_000, 300_000];
    lens.iter().map(|len| blob(*len, 7)).collect()
});

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let input = |n: u64| CONTENTS[n as usize % 5].addr();
    let recipe = |n: u64| recipe("test.f/1", &[input(n), leaf(n)]);
    (0..50).map(recipe).collect()
});

fn record(n: usize) -> Record {
    let output = CONTENTS[n % 5].stat();
    Record {
        addr: RECIPES[n].addr(),
        resolved: None,
        output: Output {
            addr: output.addr,
            len: output.len,
            cost: Duration::from_millis(5),
        },
    }
}

/// Stores some of everything.
async fn fill(opened: &OpenedStore) {
    let blobs = opened.blobs.as_ref().unwrap();
    blobs.put(&CONTENTS).await.unwrap();
    if let Some(dag) = &opened.dag {
        dag.insert(&RECIPES).await.unwrap();
        dag.record(&(0..10).map(record).collect::<Vec<_>>())
            .await
            .unwrap();
        dag.set_root("root", RECIPES[3].addr()).await.unwrap();
    }
}

/// Reads all that `fill` stored.
async fn check(opened: &OpenedStore) {
    let blobs = opened.blobs.as_ref().unwrap();
    let mut stats = Vec::new();
    for blob in CONTENTS.iter() {
        assert_eq!(blobs.get(blob.addr()).await.unwrap(), Some(blob.clone()));
        let part = blobs
            .get_range(blob.addr(), ByteRange::new(0, 10))
            .await
            .unwrap();
        assert_eq!(
            part.unwrap(),
            blob.bytes().slice(..blob.bytes().len().min(10))
        );
        stats.push(blob.stat());
    }
    let addrs: Vec<_> = CONTENTS.iter().map(Blob::addr).collect();
    let found = blobs.verify(&addrs).await.unwrap();
    assert!(found.into_iter().all(BlobCheck::is_right));
    stats.sort_by_key(|stat| stat.addr);
    let listed: Vec<_> = blobs.list(None).try_collect().await.unwrap();
    assert_eq!(listed, stats);
    assert_eq!(blobs.usage().await.unwrap().unwrap().blobs, 5);
    if let Some(dag) = &opened.dag {
        let addrs: Vec<CAddr> = RECIPES.iter().map(Recipe::addr).collect();
        let nodes = dag.get_many(&addrs).await.unwrap();
        for (n, node) in nodes.into_iter().enumerate() {
            let node = node.unwrap();
            assert_eq!(node.recipe, RECIPES[n]);
            assert_eq!(node.output, (n < 10).then(|| record(n).output));
        }
        let roots: Vec<_> = dag.roots(None).try_collect().await.unwrap();
        assert_eq!(roots, [("root".to_owned(), RECIPES[3].addr())]);
        assert_eq!(dag.usage().await.unwrap().unwrap().recipes, 50);
    }
}

/// Tries every write.
async fn refuses(opened: &OpenedStore) {
    let blobs = opened.blobs.as_ref().unwrap();
    assert!(!blobs.capabilities().writable);
    let (new, old) = (blob(1000, 1), CONTENTS[2].clone());
    let mut errors = Vec::new();
    for blob in [&new, &old, &blob(90_000, 1)] {
        errors.push(blobs.put(std::slice::from_ref(blob)).await.unwrap_err());
    }
    errors.push(blobs.writer(None).await.map(drop).unwrap_err());
    errors.push(blobs.remove(&[old.addr()]).await.unwrap_err());
    blobs.flush().await.unwrap();
    if let Some(dag) = &opened.dag {
        assert!(!dag.capabilities().writable);
        let addr = RECIPES[0].addr();
        errors.push(dag.insert(&RECIPES).await.map(drop).unwrap_err());
        errors.push(dag.record(&[record(20)]).await.map(drop).unwrap_err());
        errors.push(dag.forget(&[addr]).await.map(drop).unwrap_err());
        errors.push(dag.remove(&[addr]).await.map(drop).unwrap_err());
        errors.push(dag.set_root("other", addr).await.unwrap_err());
        errors.push(dag.remove_root("root").await.map(drop).unwrap_err());
        dag.flush().await.unwrap();
    }
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains("reading only"), "{error:?}");
        assert!(error.advice().is_some() && error.context("store").is_some());
    }
}

#[template]
#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("files:PATH")]
#[tokio::test]
async fn on_disk(#[case] uri: &str) {}

/// Not a test of its own: run as another process, it fills a store, or checks one, and holds it open until its
/// input ends.
#[tokio::test]
async fn in_another_process() {
    let Ok(uri) = std::env::var("DERIVA_TEST_HOLD") else {
        return;
    };
    let held = match open(&uri).await {
        Ok(held) => held,
        Err(error) => return println!("\n{}: {}", error.kind(), error.advice().unwrap()),
    };
    match held.blobs.as_ref().unwrap().capabilities().writable {
        true => fill(&held).await,
        false => check(&held).await,
    }
    println!("\nheld");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Another process that has the store open.
struct Other {
    child: Child,
    /// It must find somebody who reads.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn holds(uri: &str) -> Self {
        Self::with_temp(uri, &std::env::temp_dir()).unwrap()
    }

    /// Answers with what it says where it cannot.
    fn with_temp(uri: &str, temp: &Path) -> Result<Self, String> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &test_path(module_path!(), "in_another_process"),
                "--nocapture",
            ])
            .env("DERIVA_TEST_HOLD", uri)
            .env("TMPDIR", temp)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = String::new();
        for line in &mut lines {
            let line = line.unwrap();
            if line == "held" {
                let _lines = lines;
                return Ok(Self { child, _lines });
            }
            told += &line;
        }
        child.wait().unwrap();
        Err(told)
    }

    fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ends(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn within(medium: &Medium, uri: &str) -> String {
    uri.replace("PATH", &medium.path().join("store").display().to_string())
}

#[apply(on_disk)]
async fn a_store_that_may_only_be_read_is_read_and_not_touched(
    #[case] uri: &str,
    #[values(false, true)] killed: bool,
) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    let writer = Other::holds(&uri);
    if killed {
        writer.killed();
    } else {
        writer.ends();
    }
    let before = state(medium.path());
    medium.set_writable(false);
    let opened = open(&uri).await.unwrap();
    check(&opened).await;
    refuses(&opened).await;
    // In this process, and at the same time in another.
    let again = open(&uri).await.unwrap();
    check(&again).await;
    Other::holds(&uri).ends();
    check(&opened).await;
    drop((opened, again));
    assert!(state(medium.path()) == before, "something was changed");
    medium.set_writable(true);
    let opened = open(&uri).await.unwrap();
    assert!(opened.blobs.as_ref().unwrap().capabilities().writable);
    check(&opened).await;
    opened.blobs.unwrap().put(&[blob(1000, 1)]).await.unwrap();
}

#[apply(on_disk)]
async fn who_writes_and_who_only_reads_keep_each_other_out(#[case] uri: &str) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    Other::holds(&uri).ends();
    let lock = File::open(medium.path().join("store/lock")).unwrap();
    medium.set_writable(false);
    lock.lock().unwrap();
    assert_eq!(
        open(&uri).await.map(drop).unwrap_err().kind(),
        ErrorKind::Locked
    );
    lock.unlock().unwrap();
    let opened = open(&uri).await.unwrap();
    assert!(lock.try_lock().is_err(), "a writer would not be kept out");
    drop(opened);
    lock.try_lock().unwrap();
}

#[apply(on_disk)]
async fn what_was_not_created_to_the_end_is_refused(#[case] uri: &str) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    let store = medium.path().join("store");
    for marker in [None, Some(&b""[..]), Some(&b"\0\0\0"[..])] {
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join("lock"), "").unwrap();
        if let Some(marker) = marker {
            fs::write(store.join("deriva-store"), marker).unwrap();
        }
        let before = state(medium.path());
        medium.set_writable(false);
        let error = open(&uri).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        assert!(error.message().contains("to the end"), "{error:?}");
        assert!(
            error.advice().unwrap().contains("open the copy"),
            "{error:?}"
        );
        assert!(state(medium.path()) == before, "something was changed");
        medium.set_writable(true);
    }
}

#[apply(on_disk)]
async fn without_its_lock_file_a_store_is_read_where_nobody_can_write(#[case] uri: &str) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    Other::holds(&uri).ends();
    fs::remove_file(medium.path().join("store/lock")).unwrap();
    medium.set_writable(false);
    let opened = open(&uri).await;
    if medium.mounted {
        check(&opened.unwrap()).await;
    } else {
        // Others may write, and nothing would tell.
        let error = opened.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        assert!(error.message().contains("lock"), "{error:?}");
    }
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn a_copy_goes_with_its_reader_or_with_the_next(#[case] uri: &str) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    Other::holds(&uri).ends();
    medium.set_writable(false);
    let temp = TempDir::new().unwrap();
    let copies = || fs::read_dir(temp.path()).unwrap().count();
    let first = Other::with_temp(&uri, temp.path()).unwrap();
    let second = Other::with_temp(&uri, temp.path()).unwrap();
    assert_eq!(copies(), 2);
    first.killed();
    assert_eq!(copies(), 2);
    let third = Other::with_temp(&uri, temp.path()).unwrap();
    assert_eq!(copies(), 2, "that of the killed one is gone");
    second.ends();
    third.ends();
    assert_eq!(copies(), 0);
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn too_little_room_for_a_copy_is_full(#[case] uri: &str) {
    let Some(medium) = Medium::new() else { return };
    let uri = within(&medium, uri);
    Other::holds(&uri).ends();
    medium.set_writable(false);
    let Some(little) = Medium::of("1m").filter(|little| little.mounted) else {
        return;
    };
    let told = Other::with_temp(&uri, little.path()).map(drop).unwrap_err();
    assert!(told.contains("full: ") && told.contains("TMPDIR"), "{told}");
    assert_eq!(fs::read_dir(little.path()).unwrap().count(), 0);
}
