//! The server's graph as a store. `nodes.rs` reads recipes, which come as a stream.

mod nodes;

use deriva_api::{
    BoxStream, CAddr, Capabilities, DagStore, DagUsage, Divergence, FunctionId, Node, Output,
    Recipe, Record, Result, StoreCounters, async_trait,
};
use deriva_proto::{addr_of, addrs_of, bytes_of, bytes_of_all, v1};

use crate::answers::{as_many, checked, same, told, was};
use crate::batches::MAX_ITEMS;
use crate::client::Client;
use crate::link::call;
use crate::listing::listed;

/// What is atomic in the contract, such as an `insert`, is one message: more than the server takes at once is what it says, `Full` or `Invalid`.
/// Where an attempt took effect although its answer was lost, the numbers that `forget` and `remove` answer with, and the `bool` of
/// `remove_root`, are those of the last attempt, and so can be too low.
#[async_trait]
impl DagStore for Client {
    fn capabilities(&self) -> Capabilities {
        self.inner.of_graph
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        if recipes.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.link();
        let request = v1::InsertRequest {
            recipes: recipes.iter().map(Into::into).collect(),
        };
        let answer = call!(link.short(request) -> graph.insert).await?;
        checked("insert", || {
            as_many(recipes.len(), answer.addrs.len())?;
            let addrs = told(addrs_of("InsertResponse.addrs", &answer.addrs))?;
            let mut pairs = recipes.iter().zip(&addrs);
            pairs.try_for_each(|(recipe, addr)| same(recipe.addr(), *addr))?;
            Ok(addrs)
        })
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let mut found = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(MAX_ITEMS) {
            found.extend(self.nodes(batch).await?);
        }
        Ok(found)
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let link = self.link();
        let mut found = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(MAX_ITEMS) {
            let request = v1::OutputsRequest {
                addrs: bytes_of_all(batch),
            };
            let answer = call!(link.short(request) -> graph.outputs).await?;
            found.extend(checked("outputs", || {
                as_many(batch.len(), answer.outputs.len())?;
                let outputs = answer.outputs.into_iter();
                let outputs = outputs.map(|it| told(it.output.map(Output::try_from).transpose()));
                outputs.collect::<Result<Vec<_>>>()
            })?);
        }
        Ok(found)
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.link();
        let request = v1::RecordRequest {
            records: records.iter().map(|record| (*record).into()).collect(),
        };
        let answer = call!(link.short(request) -> graph.record).await?;
        checked("record", || {
            // A record has two addresses at the most.
            if answer.divergences.len() > 2 * records.len() {
                let found = format_args!("{} divergences", answer.divergences.len());
                return Err(was(format_args!("{} or fewer", 2 * records.len()), found));
            }
            let diverged = answer.divergences.into_iter();
            let diverged = diverged.map(|it| told(Divergence::try_from(it)));
            diverged.collect::<Result<Vec<_>>>()
        })
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        if addrs.is_empty() {
            return Ok(0);
        }
        let link = self.link();
        let request = v1::ForgetRequest {
            addrs: bytes_of_all(addrs),
        };
        let answer = call!(link.long(request) -> graph.forget).await?;
        Ok(answer.outputs)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        if addrs.is_empty() {
            return Ok(0);
        }
        let link = self.link();
        let request = v1::RemoveRecipesRequest {
            addrs: bytes_of_all(addrs),
        };
        let answer = call!(link.long(request) -> graph.remove).await?;
        Ok(answer.recipes)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let open = move |after: Option<CAddr>| {
            let mut service = self.link().graph();
            let request = v1::DependentsRequest {
                addr: bytes_of(addr),
                after: after.map(bytes_of),
            };
            async move { service.dependents(request).await }
        };
        listed(self.link(), "dependents", after, open, addresses)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let function = v1::FunctionId::from(id);
        let open = move |after: Option<CAddr>| {
            let mut service = self.link().graph();
            let request = v1::ByFunctionRequest {
                function: Some(function.clone()),
                after: after.map(bytes_of),
            };
            async move { service.by_function(request).await }
        };
        listed(self.link(), "by_function", after, open, addresses)
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        let open = |after: Option<CAddr>| {
            let mut service = self.link().graph();
            let after = after.map(bytes_of);
            async move { service.list(v1::ListNodesRequest { after }).await }
        };
        listed(
            self.link(),
            "list",
            after,
            open,
            |page: v1::ListNodesResponse| {
                let nodes = page.nodes.into_iter().map(|node| {
                    let node = told(Node::try_from(node))?;
                    let addr = node.recipe.addr();
                    Ok((addr, (addr, node)))
                });
                nodes.collect()
            },
        )
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        self.name(name, addr, false).await
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        let link = self.link();
        let request = v1::RemoveRootRequest {
            name: name.to_owned(),
        };
        let answer = call!(link.short(request) -> graph.remove_root).await?;
        Ok(answer.removed)
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let open = |after: Option<String>| {
            let mut service = self.link().graph();
            let after = after.unwrap_or_default();
            async move { service.roots(v1::RootsRequest { after }).await }
        };
        let after = after.filter(|after| !after.is_empty()).map(str::to_owned);
        listed(
            self.link(),
            "roots",
            after,
            open,
            |page: v1::RootsResponse| {
                let roots = page.roots.into_iter().map(|root| {
                    let addr = told(addr_of("Root.addr", &root.addr))?;
                    Ok((root.name.clone(), (root.name, addr)))
                });
                roots.collect()
            },
        )
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        let link = self.link();
        let answer = call!(link.short(v1::GraphUsageRequest {}) -> graph.usage).await?;
        Ok(answer.usage.map(DagUsage::from))
    }

    async fn flush(&self) -> Result<()> {
        let link = self.link();
        call!(link.long(v1::FlushGraphRequest {}) -> graph.flush).await?;
        Ok(())
    }

    fn counters(&self) -> StoreCounters {
        self.counted()
    }
}

fn addresses(page: v1::AddrsResponse) -> Vec<Result<(CAddr, CAddr)>> {
    let addrs = page.addrs.iter();
    let addrs = addrs.map(|addr| told(addr_of("AddrsResponse.addrs", addr)));
    addrs.map(|addr| addr.map(|addr| (addr, addr))).collect()
}
