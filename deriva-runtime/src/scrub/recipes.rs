//! The first half of a scrub: recipes, and whether the blobs of their outputs are there.

use deriva_api::{CAddr, ErrorKind, FindingKind, Node, Result, ScrubCursor, ScrubEvent};

use super::Work;
use crate::shared::pages::{Page, Pages};
use crate::shared::spans;

impl Work<'_> {
    /// Reads all recipes after `after`. Answers whether it came to the end.
    pub(super) async fn recipes(&mut self, after: Option<CAddr>) -> Result<bool> {
        let inner = &self.request.deriva.inner;
        let mut pages = Pages::recipes(&*inner.dag, after);
        loop {
            let started = inner.clock.now();
            // The list has verified what it gives.
            let (last, bytes) = match pages.next(|_| false).await? {
                None => return Ok(true),
                Some(Page::Damaged(addr, error)) => {
                    self.done.corrupt += 1;
                    spans::damaged_recipe(addr);
                    let kind = FindingKind::Recipe;
                    self.emit(&ScrubEvent::Found { addr, kind });
                    self.unhealed(addr, kind, &error, &[]).await?;
                    (Some(addr), 0)
                }
                Some(Page::Items(page)) => {
                    self.done.recipes += page.len() as u64;
                    let lost = self.lost(&page).await?;
                    self.heal_lost(lost).await?;
                    let bytes = page
                        .iter()
                        .map(|(_, node)| node.recipe.canonical().len() as u64);
                    (page.last().map(|(addr, _)| *addr), bytes.sum())
                }
            };
            self.cursor = ScrubCursor::Recipes(last);
            self.pace(bytes, started).await;
            self.tell_progress();
            if self.stops() {
                self.done.cursor = Some(self.cursor);
                return Ok(false);
            }
        }
    }

    /// The recipes with an output whose blob is gone.
    async fn lost(&self, page: &[(CAddr, Node)]) -> Result<Vec<CAddr>> {
        let blobs = &self.request.deriva.inner.blobs;
        let made = page
            .iter()
            .filter_map(|(addr, node)| Some((*addr, node.output?.addr)));
        let (recipes, contents): (Vec<CAddr>, Vec<CAddr>) = made.unzip();
        let there = match blobs.stat(&contents).await {
            Ok(stats) => stats.iter().map(Option::is_some).collect(),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // Damaged ones are the subject of the other half.
                let mut there = Vec::with_capacity(contents.len());
                for content in &contents {
                    there.push(match blobs.stat(&[*content]).await {
                        Ok(stats) => stats.iter().all(Option::is_some),
                        Err(error) if error.kind() == ErrorKind::Corrupt => true,
                        Err(error) => return Err(error),
                    });
                }
                there
            }
            Err(error) => return Err(error),
        };
        let lost = recipes.into_iter().zip(there);
        Ok(lost
            .filter_map(|(addr, there)| (!there).then_some(addr))
            .collect())
    }
}
