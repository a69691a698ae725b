//! Leases and the journal: what somebody relies on when a batch is taken away is not in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use deriva_api::{Blob, CAddr};
use deriva_testkit::ModelStore;
use futures::FutureExt;
use shuttle::future::block_on;
use shuttle::thread::yield_now;

use super::{SCHEDULES, idle_tokio, inner, threads};
use crate::shared::Inner;
use crate::shared::sync::explore;

const BLOBS: usize = 3;

fn blob(n: usize) -> Blob {
    Blob::new(vec![n as u8])
}

fn has(inner: &Inner, addr: CAddr) -> bool {
    let stats = inner.blobs.stat(&[addr]).now_or_never();
    stats.unwrap().unwrap()[0].is_some()
}

/// A collection of blobs that nothing refers to, a blob at a time, with the steps of `collect/`.
async fn collect(inner: &Inner) {
    let journal = inner.leases.journal();
    let mut live: BTreeSet<CAddr> = journal.drain().into_iter().collect();
    for addr in (0..BLOBS).map(|n| blob(n).addr()) {
        let _alone = inner.gate.write().await;
        live.extend(journal.drain());
        if !live.contains(&addr) {
            yield_now();
            inner.blobs.remove(&[addr]).await.unwrap();
        }
    }
}

#[test]
fn what_is_leased_when_a_batch_begins_is_not_taken() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    explore(SCHEDULES, || {
        let inner = inner(&ModelStore::new());
        let put = async |n: usize| {
            let adding = inner.adding(vec![blob(n).addr()]).await;
            inner.blobs.put(&[blob(n)]).await.unwrap();
            drop(adding);
        };
        // The last is put while the collection runs.
        for n in 0..BLOBS - 1 {
            put(n).now_or_never().unwrap();
        }
        let early = inner.grant(vec![blob(0).addr()]);
        let shared = Arc::clone(&inner);
        threads(4, move |thread| {
            let inner = &*shared;
            match thread {
                0 => {
                    block_on(collect(inner));
                    block_on(collect(inner));
                }
                // What is there when a lease begins stays there.
                1 => {
                    let addr = blob(1).addr();
                    let lease = block_on(inner.lease(vec![addr]));
                    let there = has(inner, addr);
                    yield_now();
                    assert_eq!(has(inner, addr), there, "a leased blob was taken");
                    drop(lease);
                }
                // What is put under a lease stays there, whoever put it first.
                _ => {
                    let addr = blob(BLOBS - 1).addr();
                    let lease = inner.grant(Vec::new());
                    block_on(lease.protect(addr));
                    let adding = block_on(inner.adding(vec![addr]));
                    block_on(inner.blobs.put(&[blob(BLOBS - 1)])).unwrap();
                    drop(adding);
                    yield_now();
                    assert!(has(inner, addr), "what was put under a lease was taken");
                    drop(lease);
                }
            }
        });
        assert!(
            has(&inner, blob(0).addr()),
            "what was leased before was taken"
        );
        drop(early);
        collect(&inner).now_or_never().unwrap();
        assert!((0..BLOBS).all(|n| !has(&inner, blob(n).addr())));
    });
}

/// The end of a lease does not make a running collection forget it.
#[test]
fn what_was_leased_while_a_collection_runs_is_kept_by_it() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    explore(SCHEDULES, || {
        let inner = inner(&ModelStore::new());
        let journal = Arc::new(inner.leases.journal());
        let shared = (Arc::clone(&inner), Arc::clone(&journal));
        let heard = Arc::new(crate::shared::sync::Mutex::new(BTreeSet::new()));
        let hearing = Arc::clone(&heard);
        threads(3, move |thread| {
            let (inner, journal) = &shared;
            if thread == 0 {
                hearing.lock().extend(journal.drain());
                return;
            }
            let lease = inner.grant(vec![blob(thread).addr()]);
            lease.extend([blob(thread + 10).addr()]);
        });
        let mut heard = std::mem::take(&mut *heard.lock());
        heard.extend(journal.drain());
        let all = [1, 2, 11, 12].map(|n| blob(n).addr());
        assert_eq!(heard, all.into_iter().collect());
    });
}
