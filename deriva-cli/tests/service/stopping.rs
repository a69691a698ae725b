//! Signals to stop while a call is under way that does not end: two that come together are one, a later one ends the process at once.

use std::time::{Duration, Instant};

use deriva::Bytes;
use deriva::stores::{BlobStore, BlobWriter};
use rustix::process::Signal;

use super::served::{Served, until};

/// Signals within this time are one, as `interrupt.rs` has it.
const ONE: Duration = Duration::from_millis(500);
/// What no connection holds on its way: once it is written, the server has taken some of it.
const LARGE: usize = 32 << 20;
/// A machine that is very busy may deliver signals apart that were sent together.
const ATTEMPTS: usize = 5;

/// A blob on its way to a server, which has seen its beginning.
async fn under_way(served: &Served) -> Box<dyn BlobWriter> {
    let client = served.client().await;
    let mut writer = BlobStore::writer(&client, None).await.unwrap();
    let piece = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..LARGE / piece.len() {
        writer.write(piece.clone()).await.unwrap();
    }
    writer
}

/// A server with a blob on its way to it, that was told to stop twice at once; `None` where it took that for two times.
async fn told_twice(served: &mut Served) -> Option<Box<dyn BlobWriter>> {
    let writer = under_way(served).await;
    served.signal(Signal::TERM);
    until("that it is stopping", || served.has_said("stopping:")).await;
    let stopping = Instant::now();
    served.signal(Signal::TERM);
    // Longer than the second signal can have been on its way.
    let is_over = |served: &mut Served| served.code().is_some() || stopping.elapsed() > 2 * ONE;
    until("the time in which signals are one", || is_over(served)).await;
    if served.code().is_some() {
        return None;
    }
    assert!(served.page("/readyz").contains(" 503 "));
    Some(writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_at_once_are_one_and_a_later_one_ends_it() {
    for attempt in 1..=ATTEMPTS {
        let dir = tempfile::tempdir().unwrap();
        let mut served = Served::begin(dir.path(), "sled:data", &["--set", "limits.drain=1h"]);
        let Some(writer) = told_twice(&mut served).await else {
            eprintln!("attempt {attempt}: the signals came apart");
            continue;
        };
        served.signal(Signal::TERM);
        until("its end", || served.code().is_some()).await;
        assert_eq!(served.code(), Some(130));
        drop(writer);
        return;
    }
    panic!("two signals at once were never one");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_signals_at_once_what_is_under_way_comes_to_its_end() {
    for attempt in 1..=ATTEMPTS {
        let dir = tempfile::tempdir().unwrap();
        let mut served = Served::begin(dir.path(), "sled:data", &["--set", "limits.drain=1h"]);
        let Some(writer) = told_twice(&mut served).await else {
            eprintln!("attempt {attempt}: the signals came apart");
            continue;
        };
        let stat = writer.finish().await.unwrap();
        assert_eq!(stat.len, LARGE as u64);
        until("its end", || served.code().is_some()).await;
        assert_eq!(served.code(), Some(0));
        let again = Served::begin(dir.path(), "sled:data", &[]);
        let found = BlobStore::stat(&again.client().await, &[stat.addr]).await;
        assert_eq!(found.unwrap(), [Some(stat)]);
        return;
    }
    panic!("two signals at once were never one");
}
