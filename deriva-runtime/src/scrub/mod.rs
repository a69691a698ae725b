//! Scrubbing: everything that is stored is read and verified at a bounded rate, and healed where a recipe can
//! make it.
//!
//! First the recipes (`recipes.rs`), with a look whether the blobs of their outputs are there, then the blobs
//! (`blobs.rs`). A batch at a time is read, beside whatever else goes on; nothing is locked. Where something
//! is made again and compared with the recorded output, that is an ordinary request.

mod blobs;
mod heal;
mod recipes;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result, ScrubCursor, ScrubEvent, Scrubbed};
use tracing::Instrument;

use crate::shared::Deriva;
use crate::shared::settings::in_range;
use crate::shared::spans;

type Progress = Arc<dyn Fn(&ScrubEvent) + Send + Sync>;

impl Deriva {
    /// Requests that everything stored be read and verified: `.await` it, after setting options. What is
    /// damaged or lost is computed again where a recipe can make it, compared with the recorded output and
    /// stored; the rest is reported with the recipes and roots that need it.
    ///
    /// Safe beside any other request. Of a layer of two tiers the slow store is verified, which alone says what is
    /// stored; to have all of both read from the disk, each is scrubbed through a [`Deriva`] of its own. Blobs for
    /// which a store's service vouches ([`deriva_api::Evidence::Vouched`]) are not read.
    ///
    /// The request fails with `Unsupported` where a store cannot list, and with what the stores say, but not
    /// for damage.
    pub fn scrub(&self) -> Scrub {
        Scrub {
            deriva: self.clone(),
            rate: Scrub::DEFAULT_BYTES_PER_SECOND,
            after: ScrubCursor::default(),
            limit_bytes: u64::MAX,
            limit_time: None,
            progress: None,
        }
    }
}

/// A request to verify what is stored. `.await` it; dropping it is safe, and a cursor continues it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Scrub {
    deriva: Deriva,
    rate: u64,
    after: ScrubCursor,
    limit_bytes: u64,
    limit_time: Option<Duration>,
    progress: Option<Progress>,
}

impl Scrub {
    /// Bytes read in a second unless told otherwise: 64 MiB.
    pub const DEFAULT_BYTES_PER_SECOND: u64 = 64 << 20;

    /// Bytes to read in a second on the average over a batch of 4 MiB or one blob: 1 or more, else the request
    /// is `Invalid`. Default: 64 MiB. What is computed in order to heal is not counted.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.rate = bytes;
        self
    }

    /// Continues after a cursor of an earlier scrub. Default: from the beginning.
    pub fn after(mut self, cursor: ScrubCursor) -> Self {
        self.after = cursor;
        self
    }

    /// Stops after the batch with which N bytes have been read: with 0, after the first. Default: at the
    /// end.
    pub fn limit_bytes(mut self, bytes: u64) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Stops after the batch with which this time is over: with zero, after the first. Default: at the end.
    pub fn limit_time(mut self, time: Duration) -> Self {
        self.limit_time = Some(time);
        self
    }

    /// Calls `handler` for everything that happens; it should be quick. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&ScrubEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrub")
            .field("bytes_per_second", &self.rate)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Scrub {
    type Output = Result<Scrubbed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let counted = self.deriva.inner.tallies.scrubs.begin();
            let watcher = &self.deriva.inner.watcher;
            let watched = watcher.watch(counted, |to, ended| to.scrubbed(ended));
            let work = async {
                let scrubbed = self.perform().await.map_err(|error| error.during("scrub"));
                spans::scrubbed(scrubbed.as_ref());
                scrubbed
            };
            let scrubbed = work.instrument(spans::scrub()).await;
            watched.ended(scrubbed.as_ref());
            scrubbed
        })
    }
}

impl Scrub {
    async fn perform(&self) -> Result<Scrubbed> {
        let inner = &self.deriva.inner;
        in_range("bytes_per_second", self.rate, 1..=u64::MAX)?;
        if !(inner.blobs.capabilities().list && inner.dag.capabilities().list) {
            let what = "a store that cannot list what it holds cannot be scrubbed";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let mut work = Work {
            began: inner.clock.now(),
            cursor: self.after,
            done: Scrubbed::default(),
            request: self,
        };
        let ended = work.perform().await;
        let cursor = work.cursor;
        ended.map_err(|error| error.with("cursor", cursor))?;
        work.done.seconds = inner.clock.now().saturating_sub(work.began).as_secs_f64();
        Ok(work.done)
    }
}

/// A scrub under way.
struct Work<'a> {
    request: &'a Scrub,
    began: Duration,
    /// Everything before this is verified, and healed or reported.
    cursor: ScrubCursor,
    done: Scrubbed,
}

impl Work<'_> {
    async fn perform(&mut self) -> Result<()> {
        if let ScrubCursor::Recipes(after) = self.cursor {
            if !self.recipes(after).await? {
                return Ok(());
            }
            self.cursor = ScrubCursor::Blobs(None);
        }
        if let ScrubCursor::Blobs(after) = self.cursor {
            self.blobs(after).await?;
        }
        Ok(())
    }

    fn emit(&self, event: &ScrubEvent) {
        if let Some(progress) = &self.request.progress {
            progress(event);
        }
    }

    /// Counts a batch that was read since `started`, and waits until it may have been.
    async fn pace(&mut self, bytes: u64, started: Duration) {
        self.done.bytes += bytes;
        let clock = &self.request.deriva.inner.clock;
        let due = Duration::try_from_secs_f64(bytes as f64 / self.request.rate as f64);
        let due = due.unwrap_or(Duration::MAX);
        let took = clock.now().saturating_sub(started);
        if let Some(rest) = due.checked_sub(took).filter(|rest| !rest.is_zero()) {
            clock.sleep(rest).await;
        }
    }

    fn tell_progress(&self) {
        self.emit(&ScrubEvent::Progress {
            recipes: self.done.recipes,
            blobs: self.done.blobs,
            bytes: self.done.bytes,
            cursor: self.cursor,
        });
    }

    /// Whether a limit is reached.
    fn stops(&self) -> bool {
        let now = self.request.deriva.inner.clock.now();
        let late = |limit| now.saturating_sub(self.began) >= limit;
        self.done.bytes >= self.request.limit_bytes || self.request.limit_time.is_some_and(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DerivaBuilder;
    use deriva_api::{Blob, BlobStore, DagStore};
    use deriva_testkit::{ManualClock, ModelStore};

    /// Scrubs 20 blobs of 1 MiB at this rate and lets the clock jump to where it is waited for; answers
    /// with the seconds that it took.
    async fn seconds(rate: u64) -> f64 {
        let (store, clock) = (ModelStore::new(), ManualClock::new());
        let blobs: Arc<dyn BlobStore> = Arc::new(store.clone());
        let dag: Arc<dyn DagStore> = Arc::new(store);
        let many: Vec<Blob> = (0..20u8).map(|n| Blob::new(vec![n; 1 << 20])).collect();
        blobs.put(&many).await.unwrap();
        let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
        let deriva = builder
            .clock(Arc::new(clock.clone()))
            .build()
            .await
            .unwrap();
        let scrub = deriva.scrub().bytes_per_second(rate).into_future();
        let done = clock.skip_through(scrub).await.unwrap();
        assert_eq!((done.blobs, done.bytes), (20, 20 << 20));
        done.seconds
    }

    #[tokio::test]
    async fn reading_is_as_slow_as_asked() {
        for rate in [1 << 20, 5 << 20] {
            let expected = (20 << 20) as f64 / rate as f64;
            let took = seconds(rate).await;
            assert!((took - expected).abs() < 0.001, "{took} at {rate}");
        }
    }
}
