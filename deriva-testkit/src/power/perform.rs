//! The child that does what a scenario says, and tells what the store acknowledged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use deriva_api::{Blob, CAddr, Error, Recipe, Record, Result};
use futures::executor::block_on;

use super::scenario::{Act, Scenario, Script};
use crate::proof::item::{Item, Step};
use crate::proof::program::{Asked, die, tell};
use crate::proof::store::{Provable, Stores};

/// The job's word.
pub(crate) const WORD: &str = "power-perform";

/// Items, made once.
#[derive(Debug, Default)]
pub(super) struct Items(BTreeMap<u64, Arc<Item>>);

impl Items {
    pub(super) fn get(&mut self, n: u64) -> Result<Arc<Item>> {
        if let Some(item) = self.0.get(&n) {
            return Ok(item.clone());
        }
        let item = Arc::new(Item::new(n)?);
        self.0.insert(n, item.clone());
        Ok(item)
    }

    pub(super) fn all(&mut self, numbers: &[u64]) -> Result<Vec<Arc<Item>>> {
        numbers.iter().map(|n| self.get(*n)).collect()
    }
}

pub(crate) fn run(store: &dyn Provable, asked: &Asked) -> Result<()> {
    let place = asked.place();
    let scenario: Scenario = asked.text("scenario").unwrap_or_default().parse()?;
    let phase = asked.number("phase")? as usize;
    let was_there = scenario == Scenario::FolderBefore;
    if phase == 0 && (was_there || !store.makes_folder()) {
        make_folder(&place, !was_there).map_err(Error::io)?;
    }
    let stores = block_on(Stores::open(store, &place))?;
    let script = Script::of(scenario, stores.dag.is_some());
    let acts = &script.phases[phase];
    let perform = |thread: usize| -> Result<()> {
        let mut items = Items::default();
        for (at, act) in acts.threads[thread].iter().enumerate() {
            // Items are made before, so that their bytes are not waited for.
            let name = format!("{phase}.{thread}.{at}");
            let kind = if *act == Act::Flush { "flush" } else { "make" };
            tell(&format!("begin {name} {kind}"));
            block_on(make(act, &mut items, &stores))?;
            tell(&format!("ack {name} {kind}"));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..acts.threads.len())
            .map(|thread| scope.spawn(move || perform(thread)))
            .collect();
        let mut done = threads.into_iter().map(|thread| thread.join());
        done.try_for_each(|thread| {
            let died = |_| {
                let message = "a thread that wrote panicked";
                Err(Error::new(deriva_api::ErrorKind::Internal, message))
            };
            thread.unwrap_or_else(died)
        })
    })?;
    if acts.killed {
        die();
    }
    Ok(())
}

/// Makes a call. What is made twice is there once, so that a call that was cut can be made again.
pub(super) async fn make(act: &Act, items: &mut Items, stores: &Stores) -> Result<()> {
    let (step, items) = match act {
        Act::Flush => return stores.flush().await,
        Act::Make(step, numbers) => (*step, items.all(numbers)?),
    };
    if let [item] = &items[..] {
        return item.make(step, stores).await;
    }
    let of_blobs: Vec<CAddr> = items.iter().map(|item| item.blob.addr()).collect();
    match step {
        Step::Put => {
            let blobs: Vec<Blob> = items.iter().map(|item| item.blob.clone()).collect();
            stores.blobs.put(&blobs).await
        }
        Step::RemoveBlob => stores.blobs.remove(&of_blobs).await,
        _ => {
            let Some(dag) = &stores.dag else {
                return Ok(());
            };
            let addrs = || {
                items
                    .iter()
                    .flat_map(|item| item.addrs())
                    .collect::<Vec<_>>()
            };
            match step {
                Step::Insert => {
                    let recipes = items.iter().flat_map(|item| item.recipes.iter().cloned());
                    let recipes: Vec<Recipe> = recipes.collect();
                    dag.insert(&recipes).await.map(drop)
                }
                Step::Record => {
                    let records: Vec<Record> =
                        items.iter().flat_map(|item| item.records()).collect();
                    dag.record(&records).await.map(drop)
                }
                Step::Forget => {
                    let forgotten = items.iter().flat_map(|item| item.recorded_addrs());
                    dag.forget(&forgotten.collect::<Vec<_>>()).await.map(drop)
                }
                Step::Remove => dag.remove(&addrs()).await.map(drop),
                _ => {
                    for item in &items {
                        item.make(step, stores).await?;
                    }
                    Ok(())
                }
            }
        }
    }
}

fn make_folder(place: &Path, synced: bool) -> std::io::Result<()> {
    let missing: Vec<&Path> = place
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.iter().rev() {
        fs::create_dir(folder)?;
        if let Some(above) = folder.parent()
            && (synced || *folder != place)
        {
            File::open(above)?.sync_all()?;
        }
    }
    Ok(())
}
