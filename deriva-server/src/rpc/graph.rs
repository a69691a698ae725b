//! The calls of `Graph`.

use bytes::Bytes;
use deriva::stores::{DagStore, DagUsage, Record};
use deriva::{AddrPrefix, CAddr, Error, ErrorKind, FunctionId, Recipe, Result};
use deriva_proto::v1::graph_server::Graph;
use deriva_proto::{
    addr_of, addrs_of, bytes_of, bytes_of_all, maybe_addr_of, parts, status_of, v1,
};
use futures::{Stream, TryStreamExt};
use tonic::{Request, Response, Status};

use super::sending::{Outbox, Part, Sent, filled};
use super::{Answer, Calls, answer};
use crate::admission::Role;

/// How names begin that deriva keeps for itself.
const RESERVED: &str = "deriva:";
/// Nodes that are read from the store at a time.
const BATCH: usize = 512;
/// Bytes of a node in a message, beside its recipe.
const NODE_BYTES: usize = 96;

impl Calls {
    fn dag(&self) -> &dyn DagStore {
        &**self.0.deriva.dag()
    }

    fn addrs_within(&self, field: &'static str, addrs: &[Bytes]) -> Result<Vec<CAddr>> {
        self.check_batch("addresses", addrs.len())?;
        addrs_of(field, addrs)
    }

    fn recipes(&self, message: v1::InsertRequest) -> Result<Vec<Recipe>> {
        self.check_batch("recipes", message.recipes.len())?;
        let most = self.0.limits.params_bytes;
        let read = |recipe: v1::Recipe| {
            let recipe = Recipe::try_from(recipe)?;
            recipe.check_limits()?;
            match recipe.params_len() <= most {
                true => Ok(recipe),
                false => {
                    let what = "the params of a recipe are larger than this server takes";
                    let error = Error::new(ErrorKind::Invalid, what).during("insert");
                    Err(error
                        .with("addr", recipe.addr())
                        .with("bytes", recipe.params_len())
                        .with("limit", most)
                        .hint("put what is large as a blob, and name that as an input"))
                }
            }
        };
        message.recipes.into_iter().map(read).collect()
    }

    async fn nodes(&self, addrs: Vec<CAddr>, outbox: Outbox<v1::GetNodesResponse>) -> Result<()> {
        let mut part = Part::new();
        for batch in addrs.chunks(BATCH) {
            for node in self.dag().get_many(batch).await? {
                let bytes = node.as_ref().map_or(0, |it| it.recipe.canonical().len());
                if let Some(nodes) = part.add(node.as_ref().into(), NODE_BYTES + bytes) {
                    outbox.send_alone(v1::GetNodesResponse { nodes }).await?;
                }
            }
        }
        match part.rest() {
            Some(nodes) => outbox.send_alone(v1::GetNodesResponse { nodes }).await,
            None => Ok(()),
        }
    }

    /// Keeps these from a collection that is under way, while they are named in what is written.
    async fn kept(&self, addrs: impl IntoIterator<Item = CAddr>) -> deriva::admin::Lease {
        let lease = self.0.deriva.lease();
        lease.protect_many(addrs).await;
        lease
    }
}

async fn send_addrs(
    mut listed: impl Stream<Item = Result<CAddr>> + Unpin,
    outbox: Outbox<v1::AddrsResponse>,
) -> Result<()> {
    let message = |addrs: Vec<CAddr>| v1::AddrsResponse {
        addrs: bytes_of_all(&addrs),
    };
    let mut part = Part::new();
    while let Some(addr) = listed.try_next().await? {
        if let Some(addrs) = part.add(addr, CAddr::LEN) {
            outbox.send_alone(message(addrs)).await?;
        }
    }
    match part.rest() {
        Some(addrs) => outbox.send_alone(message(addrs)).await,
        None => Ok(()),
    }
}

fn function_of(field: &'static str, id: Option<v1::FunctionId>) -> Result<FunctionId> {
    let missing = || {
        let what = "a function was expected in a message";
        Error::new(ErrorKind::Invalid, what).with("field", field)
    };
    id.ok_or_else(missing)?.try_into()
}

#[tonic::async_trait]
impl Graph for Calls {
    async fn insert(&self, request: Request<v1::InsertRequest>) -> Answer<v1::InsertResponse> {
        let message = request.into_inner();
        let insert = async {
            let recipes = self.recipes(message)?;
            let addrs = self.0.deriva.insert(&recipes).await?;
            let addrs = bytes_of_all(&addrs);
            Ok(v1::InsertResponse { addrs })
        };
        answer(insert.await)
    }

    type GetStream = Sent<v1::GetNodesResponse>;

    async fn get(&self, request: Request<v1::GetNodesRequest>) -> Answer<Self::GetStream> {
        let addrs = self.addrs_within("GetNodesRequest.addrs", &request.into_inner().addrs);
        let addrs = addrs.map_err(|error| status_of(&error))?;
        let calls = self.clone();
        filled(|outbox| async move { calls.nodes(addrs, outbox).await })
    }

    async fn outputs(&self, request: Request<v1::OutputsRequest>) -> Answer<v1::OutputsResponse> {
        let message = request.into_inner();
        let outputs = async {
            let addrs = self.addrs_within("OutputsRequest.addrs", &message.addrs)?;
            let outputs = self.dag().outputs(&addrs).await?;
            let outputs = outputs.into_iter().map(Into::into).collect();
            Ok(v1::OutputsResponse { outputs })
        };
        answer(outputs.await)
    }

    async fn record(&self, request: Request<v1::RecordRequest>) -> Answer<v1::RecordResponse> {
        let message = request.into_inner();
        let record = async {
            self.check_batch("records", message.records.len())?;
            let records = message.records.into_iter().map(Record::try_from);
            let records: Vec<Record> = records.collect::<Result<_>>()?;
            let named = records.iter();
            let named = named.flat_map(|record| [record.addr, record.output.addr]);
            let _kept = self.kept(named).await;
            let divergences = self.dag().record(&records).await?;
            let divergences = divergences.into_iter().map(Into::into).collect();
            Ok(v1::RecordResponse { divergences })
        };
        answer(record.await)
    }

    async fn forget(&self, request: Request<v1::ForgetRequest>) -> Answer<v1::ForgetResponse> {
        let message = request.into_inner();
        let forget = async {
            let addrs = self.addrs_within("ForgetRequest.addrs", &message.addrs)?;
            let outputs = self.dag().forget(&addrs).await?;
            // What is in memory is found by the address of the recipe.
            for addr in addrs {
                self.0.deriva.cache().remove(addr);
            }
            Ok(v1::ForgetResponse { outputs })
        };
        answer(forget.await)
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveRecipesRequest>,
    ) -> Answer<v1::RemoveRecipesResponse> {
        let message = request.into_inner();
        let remove = async {
            let addrs = self.addrs_within("RemoveRecipesRequest.addrs", &message.addrs)?;
            let recipes = self.dag().remove(&addrs).await?;
            for addr in addrs {
                self.0.deriva.cache().remove(addr);
            }
            Ok(v1::RemoveRecipesResponse { recipes })
        };
        answer(remove.await)
    }

    type DependentsStream = Sent<v1::AddrsResponse>;

    async fn dependents(
        &self,
        request: Request<v1::DependentsRequest>,
    ) -> Answer<Self::DependentsStream> {
        let message = request.into_inner();
        let asked = || {
            let addr = addr_of("DependentsRequest.addr", &message.addr)?;
            let after = maybe_addr_of("DependentsRequest.after", message.after.as_ref())?;
            Ok((addr, after))
        };
        let (addr, after) = asked().map_err(|error: Error| status_of(&error))?;
        let calls = self.clone();
        filled(
            |outbox| async move { send_addrs(calls.dag().dependents(addr, after), outbox).await },
        )
    }

    type ByFunctionStream = Sent<v1::AddrsResponse>;

    async fn by_function(
        &self,
        request: Request<v1::ByFunctionRequest>,
    ) -> Answer<Self::ByFunctionStream> {
        let message = request.into_inner();
        let asked = || {
            let id = function_of("ByFunctionRequest.function", message.function)?;
            let after = maybe_addr_of("ByFunctionRequest.after", message.after.as_ref())?;
            Ok((id, after))
        };
        let (id, after) = asked().map_err(|error: Error| status_of(&error))?;
        let calls = self.clone();
        filled(
            |outbox| async move { send_addrs(calls.dag().by_function(&id, after), outbox).await },
        )
    }

    type ListStream = Sent<v1::ListNodesResponse>;

    async fn list(&self, request: Request<v1::ListNodesRequest>) -> Answer<Self::ListStream> {
        let after = request.into_inner().after;
        let after = maybe_addr_of("ListNodesRequest.after", after.as_ref());
        let after = after.map_err(|error| status_of(&error))?;
        let calls = self.clone();
        filled(|outbox| async move {
            let mut listed = calls.dag().list(after);
            let mut part = Part::new();
            while let Some((_, node)) = listed.try_next().await? {
                let bytes = NODE_BYTES + node.recipe.canonical().len();
                if let Some(nodes) = part.add((&node).into(), bytes) {
                    outbox.send_alone(v1::ListNodesResponse { nodes }).await?;
                }
            }
            match part.rest() {
                Some(nodes) => outbox.send_alone(v1::ListNodesResponse { nodes }).await,
                None => Ok(()),
            }
        })
    }

    async fn set_root(&self, request: Request<v1::SetRootRequest>) -> Answer<v1::SetRootResponse> {
        let message = request.into_inner();
        let set = async {
            let addr = addr_of("SetRootRequest.addr", &message.addr)?;
            if message.must_exist {
                self.0.deriva.set_root(&message.name, addr).await?;
                return Ok(v1::SetRootResponse {});
            }
            DagUsage::check_root_name(&message.name)?;
            let _kept = self.kept([addr]).await;
            self.dag().set_root(&message.name, addr).await?;
            Ok(v1::SetRootResponse {})
        };
        answer(set.await)
    }

    async fn remove_root(
        &self,
        request: Request<v1::RemoveRootRequest>,
    ) -> Answer<v1::RemoveRootResponse> {
        let role = request.extensions().get::<Role>().copied();
        let name = request.into_inner().name;
        // What the ledger says stays said.
        if name.starts_with(RESERVED) && role.is_some_and(|role| role < Role::Admin) {
            let what = "names that begin with `deriva:` only the role `admin` may remove";
            return Err(Status::permission_denied(what));
        }
        let removed = self.dag().remove_root(&name).await;
        answer(removed.map(|removed| v1::RemoveRootResponse { removed }))
    }

    type RootsStream = Sent<v1::RootsResponse>;

    async fn roots(&self, request: Request<v1::RootsRequest>) -> Answer<Self::RootsStream> {
        let after = request.into_inner().after;
        let calls = self.clone();
        filled(|outbox| async move {
            let after = (!after.is_empty()).then_some(after.as_str());
            let mut listed = calls.dag().roots(after);
            let mut part = Part::new();
            while let Some((name, addr)) = listed.try_next().await? {
                let bytes = name.len() + CAddr::LEN;
                let addr = bytes_of(addr);
                if let Some(roots) = part.add(v1::Root { name, addr }, bytes) {
                    outbox.send_alone(v1::RootsResponse { roots }).await?;
                }
            }
            match part.rest() {
                Some(roots) => outbox.send_alone(v1::RootsResponse { roots }).await,
                None => Ok(()),
            }
        })
    }

    type WalkStream = Sent<v1::WalkResponse>;

    async fn walk(&self, request: Request<v1::WalkRequest>) -> Answer<Self::WalkStream> {
        let message = request.into_inner();
        let calls = self.clone();
        filled(|outbox| async move {
            let limits = &calls.0.limits;
            let addr = addr_of("WalkRequest.addr", &message.addr)?;
            let depth = message.depth.unwrap_or(limits.depth).min(limits.depth);
            let limit = message.limit.unwrap_or(limits.nodes).min(limits.nodes);
            let walk = calls.0.deriva.graph(addr).depth(depth).limit(limit);
            let graph = walk.await?;
            for part in parts::of_graph(graph) {
                outbox.send_alone(part).await?;
            }
            Ok(())
        })
    }

    async fn find(&self, request: Request<v1::FindRequest>) -> Answer<v1::FindResponse> {
        let find = async {
            let prefix: AddrPrefix = request.into_inner().prefix.parse()?;
            let addr = bytes_of(self.0.deriva.find(&prefix).await?);
            Ok(v1::FindResponse { addr })
        };
        answer(find.await)
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Answer<v1::ShowResponse> {
        let show = async {
            let addr = addr_of("ShowRequest.addr", &request.into_inner().addr)?;
            Ok((&self.0.deriva.show(addr).await?).into())
        };
        answer(show.await)
    }

    async fn states(&self, request: Request<v1::StatesRequest>) -> Answer<v1::StatesResponse> {
        let states = async {
            let addrs = self.addrs_within("StatesRequest.addrs", &request.into_inner().addrs)?;
            let states = self.0.deriva.states(&addrs).await?;
            Ok(states.as_slice().into())
        };
        answer(states.await)
    }

    async fn functions(&self, _: Request<v1::FunctionsRequest>) -> Answer<v1::FunctionsResponse> {
        let functions = self.0.deriva.functions().docs();
        let functions = functions.iter().map(Into::into).collect();
        Ok(Response::new(v1::FunctionsResponse { functions }))
    }

    async fn usage(&self, _: Request<v1::GraphUsageRequest>) -> Answer<v1::GraphUsageResponse> {
        let usage = self.dag().usage().await;
        answer(usage.map(|usage| v1::GraphUsageResponse {
            usage: usage.map(Into::into),
            capabilities: Some(self.dag().capabilities().into()),
        }))
    }

    async fn flush(&self, _: Request<v1::FlushGraphRequest>) -> Answer<v1::FlushGraphResponse> {
        let flushed = self.0.deriva.flush().await;
        answer(flushed.map(|()| v1::FlushGraphResponse {}))
    }
}
