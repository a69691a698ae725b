//! The store of most mutants: plain rows under one mutex, every rule written out where it applies,
//! and beside it what breaks it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use deriva_api::{Result, StoreCounters};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;

use super::disk::Disk;
use super::list::Break;

/// A blob store and a DAG store. Clones share the contents.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) disk: Arc<Mutex<Disk>>,
    broken: Option<Break>,
}

impl Store {
    pub(super) fn new(disk: Arc<Mutex<Disk>>, broken: Option<Break>) -> Self {
        Self { disk, broken }
    }

    /// Nothing is broken.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_none()
    }

    pub(super) fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    /// It counts nothing; where it is broken so, with counters that nobody has seen before.
    pub(super) fn counters_but_for(&self, how: Break) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.damaged = self.broken(how).then(Arc::default);
        counters
    }

    /// For breaks that fill a cache too late: the rows whose keys begin with `prefix`, from the cache or
    /// as they were a while before they get there.
    pub(super) fn cached(&self, how: Break, prefix: &[u8]) -> Option<BTreeMap<Vec<u8>, Bytes>> {
        if !self.broken(how) {
            return None;
        }
        let begins = |rows: &BTreeMap<Vec<u8>, Bytes>| {
            let rows = rows.range(prefix.to_vec()..);
            let rows = rows.take_while(|(key, _)| key.starts_with(prefix));
            rows.map(|(key, value)| (key.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let cached = begins(&self.disk.lock().cache);
        if !cached.is_empty() {
            return Some(cached);
        }
        let rows = begins(&self.disk.lock().rows);
        dawdle();
        self.disk.lock().cache.extend(rows.clone());
        Some(rows)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.broken {
            Some(Break::prints_two_lines) => "mutant\nof a store",
            Some(Break::prints_nothing) => "",
            _ => "mutant",
        })
    }
}

/// A list that was made at once.
pub(super) fn answers<T: Send + 'static>(items: Vec<Result<T>>) -> BoxStream<'static, Result<T>> {
    stream::iter(items).boxed()
}

/// Long enough for other threads to come between.
pub(super) fn dawdle() {
    std::thread::park_timeout(Duration::from_millis(20));
}

/// Lets others be polled, or this call be dropped.
pub(super) async fn pause() {
    let mut polled = false;
    poll_fn(|context| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
