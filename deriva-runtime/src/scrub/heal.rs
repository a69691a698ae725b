//! What a scrub does about what it found.

use std::collections::HashMap;

use deriva_api::{
    BuildAddrHasher, CAddr, Error, ErrorKind, Event, Finding, FindingKind, Result, ScrubEvent,
};

use super::Work;
use crate::planted::{Fault, planted};
use crate::shared::needed_by::{MANY, needed_by};
use crate::shared::pages::{Page, Pages};
use crate::shared::policy::StoreResults;
use crate::shared::spans;

/// Findings that a report lists; the rest is counted.
const LISTED: usize = 100;
/// Recipes that are tried for one damaged blob.
const MAKERS: usize = 4;

impl Work<'_> {
    /// Computes lost outputs again.
    pub(super) async fn heal_lost(&mut self, recipes: Vec<CAddr>) -> Result<()> {
        if recipes.is_empty() {
            return Ok(());
        }
        // Who forgets an output may remove its blob: then nothing is lost.
        let outputs = self.request.deriva.inner.dag.outputs(&recipes).await?;
        let lost = recipes.into_iter().zip(outputs);
        for addr in lost.filter_map(|(addr, output)| output.map(|_| addr)) {
            let kind = FindingKind::Output;
            self.done.missing += 1;
            self.emit(&ScrubEvent::Found { addr, kind });
            if let Err(error) = self.make(addr).await {
                self.unhealed(addr, kind, &error, &[]).await?;
            }
        }
        Ok(())
    }

    /// Removes damaged blobs that recipes make, and computes them again.
    pub(super) async fn heal_damaged(&mut self, damaged: Vec<CAddr>) -> Result<()> {
        if damaged.is_empty() {
            return Ok(());
        }
        let mut makers = self.makers(&damaged).await?;
        for blob in damaged {
            let made = makers.remove(&blob).unwrap_or_default();
            let what = "no recipe makes this blob";
            let mut failed = Some(Error::new(ErrorKind::Corrupt, what).hint("put it again"));
            let discarded = match made.is_empty() {
                true => {
                    spans::damaged_blob(blob);
                    Ok(())
                }
                false => self.request.deriva.inner.discard_damaged(&[blob]).await,
            };
            match discarded {
                Ok(()) => {
                    for recipe in &made {
                        failed = self.make(*recipe).await.err();
                        if failed.is_none() {
                            break;
                        }
                    }
                }
                // A store that may only be read is not healed.
                Err(error) if error.kind() == ErrorKind::Unsupported => failed = Some(error),
                Err(error) => return Err(error),
            }
            if let Some(error) = failed {
                self.unhealed(blob, FindingKind::Blob, &error, &made)
                    .await?;
            }
        }
        Ok(())
    }

    /// The recipes that are recorded to have produced these blobs. There is no index from output to recipe,
    /// so all are read.
    async fn makers(
        &mut self,
        damaged: &[CAddr],
    ) -> Result<HashMap<CAddr, Vec<CAddr>, BuildAddrHasher>> {
        let mut makers: HashMap<CAddr, Vec<CAddr>, BuildAddrHasher> =
            damaged.iter().map(|addr| (*addr, Vec::new())).collect();
        let dag = &self.request.deriva.inner.dag;
        let mut pages = Pages::recipes(&**dag, None);
        while let Some(page) = pages.next(|_| false).await? {
            // A damaged recipe was reported by the other half.
            let Page::Items(page) = page else { continue };
            for (addr, node) in page {
                let makes = node.output.and_then(|output| makers.get_mut(&output.addr));
                if let Some(makes) = makes.filter(|makes| makes.len() < MAKERS) {
                    makes.push(addr);
                }
            }
        }
        Ok(makers)
    }

    /// Makes the bytes of a recipe available: an ordinary request, which heals what it meets.
    async fn make(&mut self, recipe: CAddr) -> Result<()> {
        // Healed is what is stored again, whatever becomes of other results here.
        let request = self.request.deriva.materialize(recipe);
        let mut request = request.store_results(StoreResults::All);
        if let Some(progress) = self.request.progress.clone() {
            request = request.progress(move |event| {
                if let Event::Healed { addr } = event {
                    progress(&ScrubEvent::Healed { addr: *addr });
                }
            });
        }
        let done = match request.await {
            Err(_) if planted(Fault::heals_what_it_could_not_make) => return Ok(()),
            done => done?,
        };
        self.done.healed += done.summary.healed;
        Ok(())
    }

    /// Reports what cannot be healed; `makers` are the recipes that should have.
    pub(super) async fn unhealed(
        &mut self,
        addr: CAddr,
        kind: FindingKind,
        error: &Error,
        makers: &[CAddr],
    ) -> Result<()> {
        self.done.unhealed += 1;
        self.emit(&ScrubEvent::Unhealed { addr, kind });
        if self.done.findings.len() < LISTED {
            let through = [&[addr], makers].concat();
            let needed_by = needed_by(&*self.request.deriva.inner.dag, &through, MANY).await?;
            let finding = Finding::new(addr, kind, error.to_string(), needed_by);
            self.done.findings.push(finding);
        }
        Ok(())
    }
}
