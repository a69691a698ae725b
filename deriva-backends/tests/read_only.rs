//! A store that may only be read: on a medium that cannot be written, or of somebody else. Everything in it is read,
//! nothing is written, and those who may write are kept out meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use deriva_api::{
    Blob, BlobStore, BoxStream, ByteRange, Bytes, CAddr, DagStore, ErrorKind, FunctionId,
    OpenedStore, Output, Params, Recipe, Record, Result, StoreUri,
};
use futures::TryStreamExt;
use futures::executor::block_on;
use rstest::rstest;

/// Says to the test [`reader`] which store it is to read.
const STORE: &str = "DERIVA_TEST_READ_ONLY";
/// Nobody's user.
const USER: &str = "65534";

fn open(uri: &str) -> Result<OpenedStore> {
    block_on(deriva_backends::registry().open(&uri.parse::<StoreUri>()?))
}

fn blobs() -> Vec<Blob> {
    let lengths = [0, 1, 1000, 100_000, 3_000_000];
    let blob = |len: &usize| Blob::new(vec![7; *len]);
    lengths.iter().map(blob).collect()
}

fn recipes() -> Vec<Recipe> {
    let function = FunctionId::new("test.f", "1").unwrap();
    let recipe = |i: i64| {
        let params: Params = [("i".to_owned(), deriva_api::Value::from(i))]
            .into_iter()
            .collect();
        Recipe::new(&function, &[blobs()[1].addr()], &params).unwrap()
    };
    (0..50).map(recipe).collect()
}

fn record(recipe: &Recipe) -> Record {
    let output = Output {
        addr: blobs()[2].addr(),
        len: 1000,
        cost: Duration::from_millis(3),
    };
    Record {
        addr: recipe.addr(),
        resolved: None,
        output,
    }
}

fn fill(store: &OpenedStore) {
    block_on(async {
        let contents = store.blobs.as_ref().unwrap();
        contents.put(&blobs()).await.unwrap();
        if let Some(dag) = &store.dag {
            dag.insert(&recipes()).await.unwrap();
            dag.record(&[record(&recipes()[0])]).await.unwrap();
            dag.set_root("kept", recipes()[0].addr()).await.unwrap();
            dag.flush().await.unwrap();
        }
        contents.flush().await.unwrap();
    });
}

async fn all<T>(list: BoxStream<'_, Result<T>>) -> Vec<T> {
    list.try_collect().await.unwrap()
}

async fn read_blobs(store: &dyn BlobStore) {
    assert!(!store.capabilities().writable);
    let addrs: Vec<CAddr> = blobs().iter().map(Blob::addr).collect();
    let found = store.get_many(&addrs).await.unwrap();
    assert!(found.into_iter().flatten().eq(blobs()));
    let large = addrs[4];
    let part = store
        .get_range(large, ByteRange::new(5, 100))
        .await
        .unwrap();
    assert_eq!(part, Some(Bytes::from(vec![7; 100])));
    let mut stats: Vec<_> = blobs().iter().map(Blob::stat).collect();
    assert!(
        store
            .stat(&addrs)
            .await
            .unwrap()
            .into_iter()
            .flatten()
            .eq(stats.clone())
    );
    stats.sort_by_key(|stat| stat.addr);
    assert_eq!(all(store.list(None)).await, stats);
    let usage = store.usage().await.unwrap().unwrap();
    assert_eq!((usage.blobs, usage.bytes), (5, 3_101_001));

    let new = [Blob::new("new")];
    refused(store.put(&new).await);
    refused(store.put(&[Blob::new(vec![1; 2_000_000])]).await);
    refused(store.put(&blobs()).await);
    refused(store.writer(None).await);
    refused(store.remove(&addrs).await);
    store.flush().await.unwrap();
}

async fn read_dag(store: &dyn DagStore) {
    assert!(!store.capabilities().writable);
    let addrs: Vec<CAddr> = recipes().iter().map(Recipe::addr).collect();
    let nodes = store.get_many(&addrs).await.unwrap();
    assert!(
        nodes
            .into_iter()
            .map(|node| node.unwrap().recipe)
            .eq(recipes())
    );
    let found = store.outputs(&addrs).await.unwrap();
    assert_eq!(found[0].as_ref().map(|output| output.len), Some(1000));
    assert_eq!(found.iter().flatten().count(), 1);
    let dependents = all(store.dependents(blobs()[1].addr(), None)).await;
    assert_eq!(dependents.len(), 50);
    let roots = all(store.roots(None)).await;
    assert_eq!(roots, [("kept".to_owned(), addrs[0])]);

    refused(store.insert(&recipes()).await);
    refused(store.record(&[record(&recipes()[1])]).await);
    refused(store.forget(&addrs).await);
    refused(store.remove(&addrs).await);
    refused(store.set_root("new", addrs[1]).await);
    refused(store.remove_root("kept").await);
    store.flush().await.unwrap();
}

fn refused<T>(answer: Result<T>) {
    let error = answer.err().expect("a write to what may only be read");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(
        error.context("why").is_some() && error.advice().is_some(),
        "{error:?}"
    );
}

/// Run by [`Reader`]: reads the store, says so, and holds it until its stdin ends.
#[test]
fn reader() {
    let Ok(uri) = std::env::var(STORE) else {
        return;
    };
    let (store, again) = match (open(&uri), open(&uri)) {
        (Ok(store), Ok(again)) => (store, again),
        (Err(error), _) | (_, Err(error)) => {
            println!("\n{}", error.kind());
            return;
        }
    };
    for store in [store, again.clone()] {
        block_on(read_blobs(&**store.blobs.as_ref().unwrap()));
        if let Some(dag) = &store.dag {
            block_on(read_dag(&**dag));
        }
    }
    println!("\nread");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(again);
}

/// A process that may not write to the store.
struct Reader {
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
}

impl Reader {
    /// How such a process is begun: as another user; or where the file system is read-only.
    fn begin(way: &str, test: &Path, store: &Path, uri: &str) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let mut command = match (way, is_root) {
            ("owner", true) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
                command.arg(test);
                command
            }
            ("owner", false) => Command::new(test),
            _ => {
                let mut command = Command::new("unshare");
                let script =
                    "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
                command.args(["--mount", "--map-root-user", "sh", "-c", script]);
                command.arg(store).arg(test);
                command
            }
        };
        let mut child = command
            .args(["--exact", "reader", "--nocapture"])
            .env(STORE, uri)
            .env("TMPDIR", test.parent().unwrap().join("tmp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let answers = ["read", "locked", "invalid"];
        let mut lines = out.by_ref().lines().map_while(Result::ok);
        let said = lines.find(|line| answers.contains(&line.as_str()));
        let said = said.unwrap_or_default();
        Self { child, out, said }
    }

    /// Ends it.
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.out.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

type Seen = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

/// All that is in a folder.
fn seen(folder: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let found = fs::metadata(&path).unwrap();
        let bytes = match found.is_dir() {
            true => {
                left.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                Vec::new()
            }
            false => fs::read(&path).unwrap(),
        };
        seen.insert(
            path,
            (found.mode(), found.mtime(), found.mtime_nsec(), bytes),
        );
    }
    seen
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Takes the permission to write away, or gives it.
fn set_writable(folder: &Path, writable: bool) {
    for path in seen(folder).into_keys() {
        let mode = match (path.is_dir(), writable) {
            (true, true) => 0o755,
            (true, false) => 0o555,
            (false, true) => 0o644,
            (false, false) => 0o444,
        };
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
}

#[rstest]
fn a_store_that_may_not_be_written_is_read(
    #[values("files", "sled", "redb", "rocksdb")] scheme: &str,
    #[values("owner", "medium")] way: &str,
    #[values(false, true)] was_killed: bool,
) {
    let registry = deriva_backends::registry();
    if !registry.schemes().any(|(known, _)| known == scheme) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    // Where everybody may come.
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(place("tmp")).unwrap();
    fs::set_permissions(place("tmp"), PermissionsExt::from_mode(0o777)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place("test")).unwrap();
    let store = open(&format!("{scheme}:{}", place("first").display())).unwrap();
    fill(&store);
    let folder = match was_killed {
        // As a kill leaves it: there while it is open.
        true => {
            copy(&place("first"), &place("second"));
            drop(store);
            place("second")
        }
        false => {
            drop(store);
            // What lay in a log goes where it stays.
            drop(open(&format!("{scheme}:{}", place("first").display())).unwrap());
            place("first")
        }
    };
    set_writable(&folder, way != "owner");
    let before = seen(&folder);
    let uri = format!("{scheme}:{}", folder.display());
    let begin = || Reader::begin(way, &place("test"), &folder, &uri);
    let one = begin();
    if way == "medium" && one.said.is_empty() {
        eprintln!("NOT CHECKED: no file system can be made read-only here");
        return;
    }
    let two = begin();
    assert_eq!((one.said.as_str(), two.said.as_str()), ("read", "read"));
    set_writable(&folder, true);
    // Who may write waits for both.
    assert_eq!(open(&uri).unwrap_err().kind(), ErrorKind::Locked);
    one.end();
    assert_eq!(open(&uri).unwrap_err().kind(), ErrorKind::Locked);
    set_writable(&folder, way != "owner");
    two.end();
    assert_eq!(seen(&folder), before, "something was written");
    assert_eq!(
        fs::read_dir(place("tmp")).unwrap().count(),
        0,
        "copies stay"
    );

    // And the other way round.
    set_writable(&folder, true);
    let writer = open(&uri).unwrap();
    set_writable(&folder, way != "owner");
    let three = begin();
    assert_eq!(three.said, "locked");
    three.end();
    drop(writer);
    set_writable(&folder, true);
    fs::remove_file(folder.join("deriva-store")).unwrap();
    set_writable(&folder, way != "owner");
    let four = begin();
    assert_eq!(four.said, "invalid", "no store is taken for one");
    four.end();
    set_writable(&folder, true);
}
