//! R1: whatever becomes of it, who is at work gives back what it held; and what is held is told.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use conformance::UriFixture;
use conformance::runtime::DerivaFixture;
use deriva::events::Event;
use deriva::runtime::InUse;
use deriva::{CAddr, Deriva, ErrorKind, StoreResults};
use deriva_testkit::{Operation, Subject, Suite, give_way};
use futures::executor::block_on;
use parking_lot::Mutex;

use crate::steps::{Works, in_time, patience, settle, until};

const KIB: u64 = 1 << 10;

/// The cases of this promise, on this runtime.
#[test]
fn the_cases_of_r1() {
    let suite = Suite::new().subject(Subject::Materializer);
    let suite = suite.cases(&[
        "all_is_given_back_however_a_request_ends",
        "all_is_given_back_where_requests_are_dropped",
        "all_is_given_back_where_the_store_fails",
    ]);
    let report = suite
        .unwrap()
        .run_materializer(|| DerivaFixture(Arc::new(UriFixture::of("memory", "none"))));
    assert!(report.held(), "{report}");
}

/// What is in use is told while it is: a count that is always zero would hold nothing.
#[tokio::test]
async fn what_is_in_use_is_told() {
    let works = Works::with(|builder| builder.memory(1 << 20)).await;
    let deriva = &works.deriva;
    works.is_idle().await;
    let leaf = works.leaf("leaf").await;
    let big = works.recipe("big", &[leaf]).await;
    let top = works.recipe("concat", &[big]).await;

    works.steps.hold(true);
    let request = tokio::spawn(deriva.materialize(top).into_future());
    works.steps.reach(1).await;
    let told = deriva.in_use();
    let InUse {
        leases,
        slots,
        flights,
        steps,
        watches,
        ..
    } = told;
    assert_eq!((leases, slots, flights, steps, watches), (1, 1, 2, 1, 1));
    assert_eq!(
        (told.commits, told.permits, told.wishes, told.invalidations),
        (0, 0, 0, 0)
    );
    let mut more = Vec::new();
    for text in ["a", "b", "c", "d"] {
        more.push(works.recipe("big", &[works.leaf(text).await]).await);
    }
    let others = tokio::spawn(deriva.materialize_many(more).into_future());
    until("nobody wishes for a slot", || deriva.in_use().wishes == 1).await;
    assert_eq!(deriva.in_use().slots, 4);
    deriva
        .invalidate(works.leaf("elsewhere").await)
        .await
        .unwrap();
    assert_eq!(
        deriva.in_use().invalidations,
        1,
        "two requests may have to know of it"
    );

    works.faults.faults().hang(Operation::BlobPut);
    works.steps.hold(false);
    until("nobody writes", || deriva.in_use().commits == 2).await;
    assert_eq!(deriva.in_use().permits, 1);
    works.faults.faults().clear();
    in_time("the requests", async {
        request.await.unwrap().unwrap();
        others.await.unwrap().unwrap();
    })
    .await;
    works.is_idle().await;

    works.faults.faults().hang(Operation::DagRoots);
    let collecting = tokio::spawn(deriva.collect().into_future());
    until("nobody collects", || deriva.in_use().journals == 1).await;
    settle().await;
    assert_eq!(deriva.in_use().spools, 3);
    works.faults.faults().clear();
    collecting.await.unwrap().unwrap();
    let pinned = deriva.pin(leaf).await.unwrap();
    assert!(deriva.in_use().pinned > 0 && !deriva.in_use().is_zero());
    drop(pinned);
    works.is_idle().await;
}

/// The most bytes that the requests of `deriva` held at one of the events of this one.
async fn peak(deriva: &Deriva, targets: Vec<CAddr>, results: StoreResults) -> u64 {
    let most = Arc::new(AtomicU64::new(0));
    let (seen, of) = (Arc::clone(&most), deriva.clone());
    let request = deriva
        .materialize_many(targets)
        .store_results(results)
        .keep_going();
    let request = request.progress(move |event| {
        if matches!(event, Event::Computed { .. } | Event::Failed { .. }) {
            seen.fetch_max(of.in_use().memory, Relaxed);
        }
    });
    request.await.unwrap();
    most.load(Relaxed)
}

/// A long chain of large values holds some links, and not the chain: neither the values, nor their bytes on the
/// budget.
#[tokio::test]
async fn a_chain_holds_some_links() {
    for results in [StoreResults::All, StoreResults::None] {
        let works = Works::with(|builder| builder.memory(64 << 20)).await;
        let mut top = works.leaf("leaf").await;
        for _ in 0..100 {
            top = works.recipe("big", &[top]).await;
        }
        let most = peak(&works.deriva, vec![top], results).await;
        assert!(
            (64 * KIB..6 * 64 * KIB).contains(&most),
            "{most} bytes are held, {results:?}"
        );
        works.is_idle().await;
    }
}

/// What failures leave behind goes at once: of a hundred values, each of which is needed by a recipe that fails as
/// soon as it is there, few are held.
#[tokio::test]
async fn failures_hold_nothing() {
    let works = Works::with(|builder| builder.memory(64 << 20).jobs(1)).await;
    let mut failing = Vec::new();
    for n in 0..100 {
        let some = works
            .deriva
            .recipe("some", "1")
            .param("n", n)
            .insert()
            .await
            .unwrap();
        failing.push(works.recipe("fail", &[some]).await);
    }
    let most = peak(&works.deriva, failing, StoreResults::None).await;
    assert!(most < 20 * 16 * KIB, "{most} bytes are held");
    works.is_idle().await;
}

/// However often requests end, whichever way, the budget is whole afterwards.
#[tokio::test]
async fn no_request_leaves_bytes_on_the_budget() {
    let works = Works::with(|builder| builder.memory(1 << 20)).await;
    let leaf = works.leaf("leaf").await;
    let mut top = leaf;
    for _ in 0..5 {
        top = works.recipe("big", &[top]).await;
    }
    for (nth, results) in (0..60).zip([StoreResults::None, StoreResults::All].into_iter().cycle()) {
        let request = works.deriva.materialize(top).store_results(results);
        if nth % 3 == 0 {
            works.steps.fail_next(ErrorKind::Function);
        }
        let request = tokio::spawn(request.into_future());
        if nth % 3 == 1 {
            give_way(nth).await;
            request.abort();
        }
        drop(request.await);
        works.is_idle().await;
        works.deriva.invalidate(leaf).cascade().await.unwrap();
    }
}

/// A writer that is given up leaves nothing behind: no temporary file.
#[tokio::test]
async fn a_reader_that_fails_leaves_no_file() {
    for store in ["files", "sled", "redb"] {
        let fixture = UriFixture::new(store, "");
        let opened = deriva_testkit::Fixture::open(&fixture).await.unwrap();
        let folder = deriva_testkit::Fixture::folder(&fixture).unwrap();
        let (blobs, dag) = (
            opened.blobs.unwrap(),
            Arc::new(deriva_testkit::ModelStore::new()),
        );
        let dag: Arc<dyn deriva::stores::DagStore> = dag;
        let deriva = deriva::builder()
            .blobs(blobs)
            .dag(dag)
            .build()
            .await
            .unwrap();
        // A first one makes the folders.
        deriva.put_reader(&vec![1; 3 << 20][..]).await.unwrap();
        let before = files(&folder);
        let broken = Broken {
            left: 2 << 20,
            hangs: false,
        };
        deriva.put_reader(broken).await.unwrap_err();
        let broken = Broken {
            left: 2 << 20,
            hangs: true,
        };
        let putting = deriva.clone();
        let putting = tokio::spawn(async move { putting.put_reader(broken).await });
        settle().await;
        putting.abort();
        putting.await.unwrap_err();
        until("a temporary file is left", || files(&folder) == before).await;
        assert!(deriva.in_use().is_zero());
    }
}

/// The names of all files in a folder, but for an engine's own.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.retain(|path| {
        !path
            .components()
            .any(|part| part.as_os_str() == "sled" || part.as_os_str() == "redb")
    });
    found.sort();
    found
}

/// Gives some bytes, and then an error or nothing more.
struct Broken {
    left: usize,
    hangs: bool,
}

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        use std::task::Poll;
        let some = self.left.min(buffer.remaining());
        if some == 0 {
            return match self.hangs {
                true => Poll::Pending,
                false => Poll::Ready(Err(std::io::Error::other("as planned"))),
            };
        }
        buffer.put_slice(&vec![7; some]);
        self.left -= some;
        Poll::Ready(Ok(()))
    }
}

/// What a nested request waits for, as somebody else computes it, is noted while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_nested_wait_is_noted_while_it_lasts() {
    let asked: Arc<OnceLock<(Deriva, CAddr)>> = Arc::default();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (gone, known) = (Mutex::new(gone), Arc::clone(&asked));
    let deriva = deriva::builder()
        .store("memory:")
        .jobs(4)
        .function("slow", "1", move |_, _| {
            gone.lock().recv().ok();
            Ok("slow".into())
        })
        .function("ask", "1", move |_, _| {
            let (deriva, addr) = known.get().unwrap();
            block_on(deriva.get(*addr))
        })
        .build()
        .await
        .unwrap();
    let slow = deriva.recipe("slow", "1").insert().await.unwrap();
    let ask = deriva.recipe("ask", "1").insert().await.unwrap();
    asked.set((deriva.clone(), slow)).ok();
    let first = tokio::spawn(deriva.materialize(slow).into_future());
    until("the step that is waited for", || deriva.in_use().steps > 0).await;
    let second = tokio::spawn(deriva.materialize(ask).into_future());
    until("the nested wait", || deriva.in_use().nested_waits > 0).await;
    go.send(()).unwrap();
    for request in [first, second] {
        request.await.unwrap().unwrap();
    }
    let left = deriva.given_back(patience()).await;
    assert!(left.is_zero(), "not given back: {left:?}");
}
