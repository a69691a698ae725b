//! One batch that is taken away, with nobody adding meanwhile.

use std::sync::Arc;

use deriva_api::{CAddr, DurabilityClass, Error, ErrorKind, Output, Result};

use super::CollectEvent;
use super::mark::{Collector, ENTRY, Entry};
use crate::invalidate::forget::forget_outputs;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::address_index::{Index, Position};
use crate::shared::gate::Alone;

/// Recipes that are walked at the most while everybody waits.
const HURRY: usize = 4096;

/// A blob to be taken: its position, address and length.
pub(super) type Doomed = (Position, CAddr, u64);

impl Collector {
    /// Waits until nobody adds, with everything walked that came in before. What the walk has not met by
    /// then nobody relies on until this permission is given back.
    pub(super) async fn alone(&mut self) -> Result<Alone> {
        loop {
            self.walk(usize::MAX).await?;
            let alone = self.inner.gate.write().await;
            // Who names these blobs in another graph passes the gate too, once it is known.
            self.inner.knows_all_graphs()?;
            // Little can have come in since; where it is much after all, the others go first.
            if planted(Fault::does_not_look_again) || self.walk(HURRY).await? {
                return Ok(alone);
            }
        }
    }

    /// Counts outputs out of the entries of their blobs; answers with the blobs that are nobody's output
    /// any more and not needed as themselves, which are to be taken.
    pub(super) async fn release(&mut self, outputs: &[Output]) -> Result<Vec<Doomed>> {
        let mut contents: Vec<CAddr> = outputs.iter().map(|output| output.addr).collect();
        contents.sort_unstable();
        let release = move |index: &mut Index<ENTRY>| {
            let mut released = Vec::new();
            for addr in contents {
                let Some(at) = index.find(addr)? else {
                    continue;
                };
                let mut entry = Entry::decode(index.read(at)?.1);
                entry.outputs = entry.outputs.saturating_sub(1);
                index.write(at, entry.encode())?;
                if entry.outputs == 0 {
                    released.push((at, addr, entry.len));
                }
            }
            Ok(released)
        };
        let mut released: Vec<Doomed> = self.blobs.with(release).await?;
        released.retain(|(at, ..)| !self.named.has(*at) && self.taken.set(*at));
        Ok(released)
    }

    /// Takes a batch: the outputs of `recipes`, then `blobs`, then the recipes themselves where `remove`
    /// says so. Answers how many recipes were removed. What was begun is finished even if nobody waits.
    ///
    /// # Errors
    /// `Conflict` when a recipe has a dependent; then it has lost no more than its output.
    pub(super) async fn take(
        &self,
        alone: Alone,
        recipes: Vec<CAddr>,
        blobs: &[Doomed],
        remove: bool,
    ) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let blobs: Vec<CAddr> = blobs.iter().map(|(_, addr, _)| *addr).collect();
        let taking = self.inner.tokio.spawn(async move {
            let taken = take(&inner, &recipes, &blobs, remove).await;
            drop(alone);
            taken
        });
        if planted(Fault::counts_a_batch_before_it_is_taken) {
            return Ok(0);
        }
        taking.await.unwrap_or_else(|source| {
            let what = "taking a batch away was interrupted";
            Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
        })
    }

    /// Counts what was taken, and tells it.
    pub(super) fn count(&mut self, recipes: u64, outputs: &[Output], blobs: &[Doomed]) {
        self.report.recipes += recipes;
        self.report.kept_recipes -= recipes;
        let bytes: u64 = blobs.iter().map(|(.., len)| len).sum();
        self.report.outputs += outputs.len() as u64;
        self.report.rebuild_seconds += outputs
            .iter()
            .map(|output| output.cost.as_secs_f64())
            .sum::<f64>();
        self.report.blobs += blobs.len() as u64;
        self.report.bytes += bytes;
        self.report.kept_blobs -= blobs.len() as u64;
        self.report.kept_bytes -= bytes;
        self.tell(CollectEvent::Taken(self.report.clone()));
    }
}

/// Outputs go before their blobs, so that a kill leaves no output without its blob; recipes go last, so
/// that what is left of a batch is found again.
async fn take(inner: &Inner, recipes: &[CAddr], blobs: &[CAddr], remove: bool) -> Result<u64> {
    if planted(Fault::removes_blobs_before_their_outputs) {
        inner.blobs.remove(blobs).await?;
    }
    forget_outputs(inner, recipes).await?;
    if !blobs.is_empty() {
        // A store that acknowledges before it is durable could bring the outputs back.
        let flushes = !planted(Fault::removes_blobs_without_a_flush);
        if flushes && inner.dag.capabilities().durability < DurabilityClass::PowerLoss {
            inner.dag.flush().await?;
        }
        inner
            .graph
            .remove_blobs(&inner.contents, &inner.blobs, blobs)
            .await?;
        inner.graph.uncache(blobs);
    }
    if !remove || recipes.is_empty() {
        return Ok(0);
    }
    inner.graph.remove_recipes(&inner.dag, recipes).await
}
