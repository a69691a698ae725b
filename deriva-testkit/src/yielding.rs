//! A layer that lets other tasks go first.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use deriva_api::{Blob, BlobLayer, BlobStore, CAddr, DagLayer, DagStore, Result};
use parking_lot::Mutex;

use crate::SplitMix64;
use crate::hook::{Hook, Hooked, Operation};

/// Wraps stores so that before and after each call the caller gives way to other tasks, a random number of
/// times. On an executor with one thread the same seed gives the same order of everything, so that a store
/// in memory can stand for one that takes its time. Clones, and all stores wrapped by them, draw from the
/// same numbers.
#[derive(Clone, Debug)]
pub struct YieldLayer(Arc<Yields>);

#[derive(Debug)]
struct Yields {
    random: Mutex<SplitMix64>,
    most: u64,
}

impl YieldLayer {
    /// A layer that gives way from 0 to `most` times before a call, and as often after it.
    #[must_use]
    pub fn new(seed: u64, most: u64) -> Self {
        let random = Mutex::new(SplitMix64::new(seed));
        Self(Arc::new(Yields { random, most }))
    }
}

impl BlobLayer for YieldLayer {
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        let hook = Arc::clone(&self.0);
        Arc::new(Hooked { inner, hook })
    }
}

impl DagLayer for YieldLayer {
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let hook = Arc::clone(&self.0);
        Arc::new(Hooked { inner, hook })
    }
}

/// Lets other tasks of the same executor run, `times` times.
pub async fn give_way(times: u64) {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Yields {
    async fn some(&self) {
        let times = self.random.lock().below(self.most + 1);
        give_way(times).await;
    }
}

#[async_trait]
impl Hook for Yields {
    fn name(&self) -> &'static str {
        "yield"
    }

    async fn before(&self, _: Operation) -> Result<()> {
        self.some().await;
        Ok(())
    }

    async fn after(&self, _: Operation) -> Result<()> {
        self.some().await;
        Ok(())
    }

    fn damages(&self, _: CAddr) -> bool {
        false
    }

    fn read(&self, blob: Blob) -> Result<Blob> {
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelStore;
    use futures::FutureExt;

    #[test]
    fn a_call_waits_as_often_as_its_seed_says() {
        let polls = |seed| -> Vec<u32> {
            let store = BlobLayer::wrap(&YieldLayer::new(seed, 3), Arc::new(ModelStore::new()));
            let polls = || {
                let mut call = store.usage();
                let mut polls = 1;
                while (&mut call).now_or_never().is_none() {
                    polls += 1;
                }
                polls
            };
            (0..50).map(|_| polls()).collect()
        };
        let (first, again, other) = (polls(1), polls(1), polls(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.contains(&1) && first.contains(&7) && first.iter().all(|polls| *polls <= 7));
    }
}
