//! What the service does in a round.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deriva::metrics::Activity;
use deriva::prelude::*;
use deriva_testkit::{FaultLayer, Faults, ManualClock};
use futures::future::try_join_all;

pub(crate) struct Workload {
    pub(crate) deriva: Deriva,
    pub(crate) activity: Arc<Activity>,
    /// The blobs of the slow store, a file each.
    pub(crate) media: PathBuf,
    pub(crate) faults: Faults,
    /// By which calls are made again, and by which they come too late: nobody waits for real.
    pub(crate) retries: ManualClock,
    pub(crate) timeouts: ManualClock,
}

impl Workload {
    /// A quick store before a slow one, and little memory, so that the cache has to let something go.
    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let (media, graph) = (folder.join("media"), folder.join("graph"));
        let tiers = format!("fast=memory:, slow=files:{}", media.display());
        let blobs = format!("tiered({tiers}, max_blob=4KiB, capacity=32KiB)");
        let store = format!("split(blobs={blobs}, dag=redb:{})", graph.display());
        let layer = FaultLayer::new();
        let faults = layer.faults();
        let (retries, timeouts) = (ManualClock::new(), ManualClock::new());
        let retry = RetryLayer::new().clock(Arc::new(retries.clone()));
        let timeout = TimeoutLayer::default().clock(Arc::new(timeouts.clone()));
        let builder = Deriva::builder().store(&store).jobs(2);
        let builder = builder.layer(retry).layer(timeout).layer(layer);
        let builder = builder.memory(2 << 20).cache_bytes(1 << 16);
        let checked = builder.determinism(Determinism::Sampled { rate: 0.2 });
        let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
        let watched = checked.quarantine_after(1).observer(activity.clone());
        let workload = Self {
            deriva: watched.build().await?,
            activity,
            media,
            faults,
            retries,
            timeouts,
        };
        Ok(workload)
    }

    async fn apply(&self, function: &str, input: CAddr) -> Result<CAddr> {
        let recipe = self.deriva.recipe(function, "1").input(input);
        recipe.insert().await
    }

    /// One of each.
    pub(crate) async fn round(&self, round: u64) -> Result<()> {
        let packed = self.compute(round).await?;
        self.fail(round, packed).await?;
        self.away(round).await?;
        self.lie(packed).await?;
        self.heal(packed).await?;
        self.deriva.audit().await?;
        self.deriva.invalidate(packed).cascade().await?;
        self.deriva.get(packed).await?;
        self.deriva.set_root("latest", packed).await?;
        let all = CollectPolicy::default().unreferenced_blobs(true);
        self.deriva.collect().policy(all).await?;
        Ok(())
    }

    /// Light and heavy functions over a new document, which several ask for at once, and reads of what is there.
    async fn compute(&self, round: u64) -> Result<CAddr> {
        let text = |page| format!("page {page} of round {round}\n").repeat(300);
        let pages = (0..12).map(|page| self.deriva.put(text(page)));
        let pages = try_join_all(pages).await?;
        for page in &pages {
            self.deriva.get(*page).await?;
        }
        let counts = self.apply("text.word_count", pages[0]).await?;
        let packed = self.apply("compress.zstd", counts).await?;
        let wide = self.deriva.recipe("bytes.repeat", "1").input(pages[1]);
        let wide = wide.param("times", 40).insert().await?;
        let mut burnt = Vec::new();
        for units in 1..=6 {
            let burn = self.deriva.recipe("bench.burn", "1").input(wide);
            burnt.push(burn.param("units", 3 * units).insert().await?);
        }
        for _ in 0..2 {
            let twice = burnt.iter().chain(&burnt);
            try_join_all(twice.map(|addr| self.deriva.get(*addr))).await?;
            self.deriva.materialize(packed).await?;
        }
        Ok(packed)
    }
}
