//! Explaining a request without running it.
//!
//! The walk holds every node that it meets, with its inputs: memory is linear in the nodes and edges of
//! the plan (about 250 bytes a node and 32 an input), as the answer itself is.

pub(crate) mod diff;
pub(crate) mod forecast;
pub(crate) mod why;

use std::collections::{BTreeSet, HashMap};

use deriva_api::{BuildAddrHasher, CAddr, FunctionId, Output, Recipe, Result};
use serde::{Serialize, Serializer};

use crate::explain::forecast::{Forecast, forecast};
use crate::shared::Inner;
use crate::shared::lookup::{Distrusted, Found, look_up};

/// How many addresses one look-up asks for.
const BATCH: usize = 2048;

/// What a request would find and do.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The requested addresses first, then what they need, breadth-first. What lies above a recipe
    /// whose output is there is not needed, and not among them.
    pub nodes: Vec<ExplainedNode>,
    /// Addresses that are needed but are neither blob nor recipe.
    pub missing: Vec<CAddr>,
    /// Functions that are needed but not registered, or lacking in the executor.
    pub unknown_functions: Vec<FunctionId>,
    /// What the request would take.
    pub forecast: Forecast,
}

/// One address of an [`Explanation`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ExplainedNode {
    /// The address.
    pub addr: CAddr,
    /// What is known of it.
    pub state: NodeState,
    /// The function, where it is a recipe.
    pub function: Option<FunctionId>,
    /// The inputs, where it is a recipe.
    pub inputs: Vec<CAddr>,
    /// The recorded output, where there is one.
    #[serde(serialize_with = "as_shown")]
    pub output: Option<Output>,
    /// Length of the bytes in bytes, where it is known.
    #[serde(rename = "bytes")]
    pub len: Option<u64>,
    /// What computing it is likely to take, in seconds, where the request would: what it took before its
    /// bytes were lost, else what its function takes.
    pub seconds: Option<f64>,
}

/// An output with the names that it has everywhere else in JSON.
fn as_shown<S: Serializer>(
    output: &Option<Output>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        addr: CAddr,
        bytes: u64,
        cost_seconds: f64,
    }
    let shown = output.map(|output| Shown {
        addr: output.addr,
        bytes: output.len,
        cost_seconds: output.cost.as_secs_f64(),
    });
    shown.serialize(serializer)
}

/// The place of each address among the nodes.
pub(crate) type Places = HashMap<CAddr, u32, BuildAddrHasher>;

/// What is known of an address, and so what a request would do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NodeState {
    /// A stored blob: read.
    Leaf,
    /// A recipe whose output is recorded and stored: reused.
    Present,
    /// A recipe whose output is recorded but whose blob is gone: computed again and compared.
    Lost,
    /// A recipe that was never computed, or whose output was forgotten: computed.
    Absent,
    /// A recipe that another request computes now: waited for.
    InFlight,
    /// A recipe whose function is not registered: the request fails before any work.
    UnknownFunction,
    /// Neither a blob nor a recipe: the request fails before any work.
    Missing,
}

impl NodeState {
    /// Whether the request would compute it.
    #[must_use]
    pub fn is_computed(self) -> bool {
        matches!(self, Self::Lost | Self::Absent)
    }
}

pub(crate) async fn explain(inner: &Inner, targets: &[CAddr]) -> Result<Explanation> {
    let mut explanation = Explanation::default();
    let mut unknown = BTreeSet::new();
    let mut places = Places::default();
    let mut addrs: Vec<CAddr> = Vec::new();
    let meet = |addrs: &mut Vec<CAddr>, places: &mut Places, addr: CAddr| {
        let next = addrs.len() as u32;
        if *places.entry(addr).or_insert(next) == next {
            addrs.push(addr);
        }
    };
    for target in targets {
        meet(&mut addrs, &mut places, *target);
    }
    let mut next = 0;
    while next < addrs.len() {
        let batch = addrs[next..addrs.len().min(next + BATCH)].to_vec();
        next += batch.len();
        let began = inner.clock.now();
        let found = look_up(&*inner.dag, &*inner.blobs, &batch, &Distrusted::default()).await?;
        let took = inner.clock.now().saturating_sub(began);
        inner.costs.observe_lookup(batch.len() as u64, took);
        for (addr, found) in batch.into_iter().zip(found.found()) {
            let node = describe(inner, addr, found);
            match node.state {
                NodeState::Missing => explanation.missing.push(addr),
                NodeState::UnknownFunction => unknown.extend(node.function.clone()),
                state if state.is_computed() => {
                    for input in &node.inputs {
                        meet(&mut addrs, &mut places, *input);
                    }
                }
                _ => {}
            }
            explanation.nodes.push(node);
        }
    }
    explanation.unknown_functions = unknown.into_iter().collect();
    explanation.forecast = forecast(inner, &mut explanation.nodes, &places).await?;
    Ok(explanation)
}

fn describe(inner: &Inner, addr: CAddr, found: Found) -> ExplainedNode {
    let (state, recipe, output, len): (_, Option<Recipe>, Option<Output>, Option<u64>) = match found
    {
        Found::Leaf(stat) => (NodeState::Leaf, None, None, Some(stat.len)),
        Found::Missing => (NodeState::Missing, None, None, None),
        Found::Present(recipe, output) => (
            NodeState::Present,
            Some(recipe),
            Some(output),
            Some(output.len),
        ),
        Found::Lost(recipe, output) => (
            NodeState::Lost,
            Some(recipe),
            Some(output),
            Some(output.len),
        ),
        Found::Absent(recipe) => (NodeState::Absent, Some(recipe), None, None),
    };
    let registered = recipe.as_ref().and_then(|recipe| {
        let function = inner.able(recipe).function()?;
        Some(function.id().clone())
    });
    let state = match state {
        state if !state.is_computed() => state,
        _ if inner.flights.contains(addr) => NodeState::InFlight,
        _ if registered.is_none() => NodeState::UnknownFunction,
        state => state,
    };
    let inputs = recipe
        .iter()
        .flat_map(|recipe| recipe.inputs().collect::<Vec<_>>())
        .collect();
    ExplainedNode {
        addr,
        state,
        // The registry's own name is shared by all nodes.
        function: registered.or_else(|| recipe.map(|recipe| recipe.function())),
        inputs,
        output,
        len,
        seconds: None,
    }
}
