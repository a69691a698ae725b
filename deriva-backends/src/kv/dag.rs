//! The DAG store: reads go to the engine, writes to the commit thread.

use async_trait::async_trait;
use deriva_api::authors::{pages, until_damage};
use deriva_api::{
    BoxStream, CAddr, Capabilities, DagStore, DagUsage, Divergence, FunctionId, Node, Output,
    Recipe, Record, Result, StoreCounters,
};

use super::edges;
use super::engine::{Engine, into_bytes};
use super::layout;
use super::ops::Op;
use super::read;
use super::shared::Shared;
use super::store::KvStore;

/// Rows of one page of a stream.
const PAGE: usize = 512;
/// Bytes of recipes after which a page is full: those of one recipe may be 256 MiB.
const PAGE_BYTES: usize = 8 << 20;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Engine> DagStore for KvStore<E> {
    fn capabilities(&self) -> Capabilities {
        self.declared()
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        self.write(Op::Insert(recipes.to_vec())).await?;
        Ok(recipes.iter().map(Recipe::addr).collect())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let wanted = addrs.to_vec();
        self.read(addrs.len(), move |shared| shared.nodes(&wanted))
            .await
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let wanted = addrs.to_vec();
        self.read(addrs.len(), move |shared| shared.outputs(&wanted))
            .await
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        let answer = self.write(Op::Record(records.to_vec())).await?;
        Ok(answer.divergences)
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        Ok(self.write(Op::Forget(addrs.to_vec())).await?.count)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        Ok(self.write(Op::Remove(addrs.to_vec())).await?.count)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        pages(after, move |after| {
            self.read(PAGE, move |shared| {
                let page = edges::page(&shared.engine, &addr, after.as_ref(), PAGE)?;
                Ok(page.into_iter().map(|addr| (Some(addr), addr)).collect())
            })
        })
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let id = id.clone();
        pages(after, move |mut after| {
            let id = id.clone();
            self.read(PAGE, move |shared| {
                // A page without a hit would end the stream, so the search goes on to the next hit.
                loop {
                    let rows = shared.recipes(after)?;
                    let Some(last) = rows.last() else {
                        return Ok(Vec::new());
                    };
                    after = Some(last.addr());
                    let wanted = |recipe: &Recipe| recipe.applies(&id);
                    let hits = rows.into_iter().filter(wanted);
                    let hits: Vec<_> = hits.map(|r| (Some(r.addr()), r.addr())).collect();
                    if !hits.is_empty() {
                        return Ok(hits);
                    }
                }
            })
        })
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        pages(after, move |after| {
            self.read(PAGE, move |shared| {
                let node = |recipe: Recipe| {
                    let addr = recipe.addr();
                    let output = shared.output(&addr);
                    let output = output.map_err(|error| error.with("addr", addr))?;
                    Ok((Some(addr), (addr, Node { recipe, output })))
                };
                until_damage(shared.recipes(after)?.into_iter().map(node))
            })
        })
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        DagUsage::check_root_name(name)?;
        self.write(Op::SetRoot(name.to_owned(), addr)).await?;
        Ok(())
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        let answer = self.write(Op::RemoveRoot(name.to_owned())).await?;
        Ok(answer.count > 0)
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        pages(after.map(str::to_owned), move |after| {
            self.read(PAGE, move |shared| {
                let after = after.map(|name| layout::root_key(&name));
                let rows = shared.engine.scan(layout::ROOTS, after.as_deref(), PAGE)?;
                let root = |(key, row): (Vec<u8>, E::Value)| {
                    let root = layout::decode_root(&key, row.as_ref())?;
                    Ok((Some(root.0.clone()), root))
                };
                rows.into_iter().map(root).collect()
            })
        })
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        self.look_at_the_disk().await;
        Ok(Some(self.core.shared.counters.lock().dag))
    }

    async fn flush(&self) -> Result<()> {
        self.write(Op::Flush).await?;
        Ok(())
    }

    fn counters(&self) -> StoreCounters {
        self.told()
    }
}

impl<E: Engine> Shared<E> {
    fn nodes(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let keys: Vec<_> = addrs.iter().map(layout::recipe_key).collect();
        let rows = self.engine.get_many(&keys)?;
        let stored = addrs.iter().zip(&rows).filter(|(_, row)| row.is_some());
        let stored: Vec<CAddr> = stored.map(|(addr, _)| *addr).collect();
        let mut outputs = self.outputs(&stored)?.into_iter();
        let node = |(addr, row): (&CAddr, Option<E::Value>)| {
            let Some(row) = row else {
                return Ok(None);
            };
            let recipe = self.recipe(*addr, row)?;
            let output = outputs.next().flatten();
            Ok(Some(Node { recipe, output }))
        };
        addrs.iter().zip(rows).map(node).collect()
    }

    fn recipe(&self, addr: CAddr, row: E::Value) -> Result<Recipe> {
        let piece = |key: &[u8]| Ok(self.engine.get(key)?.map(into_bytes));
        read::recipe(addr, into_bytes(row), piece)
    }

    fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let keys: Vec<_> = addrs.iter().map(layout::output_key).collect();
        let rows = self.engine.get_many(&keys)?.into_iter();
        let output = |(key, row): (&Vec<u8>, Option<E::Value>)| {
            let output = row.map(|row| layout::decode_output(key, row.as_ref()));
            output.transpose()
        };
        keys.iter().zip(rows).map(output).collect()
    }

    fn output(&self, addr: &CAddr) -> Result<Option<Output>> {
        let key = layout::output_key(addr);
        let row = self.engine.get(&key)?;
        row.map(|row| layout::decode_output(&key, row.as_ref()))
            .transpose()
    }

    /// A page of recipes after `after`.
    fn recipes(&self, after: Option<CAddr>) -> Result<Vec<Recipe>> {
        let after = after.map(|addr| layout::recipe_key(&addr));
        let rows = self.engine.scan(layout::RECIPES, after.as_deref(), PAGE)?;
        let recipe = |(key, row): (Vec<u8>, E::Value)| {
            let addr = layout::addr_of(&key)?;
            let recipe = self.recipe(addr, row);
            recipe.map_err(|error| error.with("addr", addr))
        };
        let mut room = PAGE_BYTES;
        let mut fits = |recipe: &Result<Recipe>| {
            let fits = room > 0;
            let len = recipe.as_ref().map_or(0, |recipe| recipe.canonical().len());
            room = room.saturating_sub(len);
            fits
        };
        until_damage(
            rows.into_iter()
                .map(recipe)
                .take_while(|recipe| fits(recipe)),
        )
    }
}
