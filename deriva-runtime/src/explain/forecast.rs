//! What a request would take: work, longest path, wall time, bytes, and what cutoff would do.

use std::collections::HashMap;
use std::time::Duration;

use deriva_api::{Basis, Estimate, ExplainedNode, Forecast, FunctionForecast, FunctionId, Result};
use futures::StreamExt;

use crate::explain::node::Met;
use crate::schedule::{Graph, Order, critical_path, lower_bound, priorities, simulate};
use crate::shared::Inner;
use crate::shared::costs::Calls;

/// Nodes above which wall time is the bound that no schedule beats, and not simulated.
const SIMULATED: usize = 250_000;
/// Recipes that are looked at for what functions cost before this process began. Addresses are hashes, so
/// the first ones are a fair sample.
const SAMPLE: usize = 4096;

/// Fills in what each node would take, and sums up.
pub(crate) async fn forecast(
    inner: &Inner,
    nodes: &mut [ExplainedNode],
    met: &Met,
) -> Result<Forecast> {
    let mut functions = functions(inner, nodes).await?;
    let mut forecast = Forecast::default();
    forecast.jobs = inner.jobs;
    // The places of what is computed, and its time; nothing else takes any.
    let mut computed: Vec<u32> = Vec::new();
    let mut costs: Vec<u64> = Vec::new();
    for (place, node) in nodes.iter_mut().enumerate() {
        let known = node.function.as_ref().and_then(|id| functions.get_mut(id));
        let Some(function) = known.filter(|_| node.state.is_computed()) else {
            forecast.bytes.stored += node.len.unwrap_or(0);
            continue;
        };
        let time = node
            .output
            .map_or(function.estimate.time, |output| output.cost);
        match (node.len, function.estimate.bytes) {
            (Some(len), _) => forecast.bytes.lost += len,
            (None, Some(bytes)) => forecast.bytes.estimated += bytes,
            (None, None) => forecast.bytes.unknown_outputs += 1,
        }
        node.seconds = Some(time.as_secs_f64());
        function.nodes += 1;
        function.seconds += time.as_secs_f64();
        forecast.work_seconds += time.as_secs_f64();
        computed.push(place as u32);
        costs.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    forecast.computed = computed.len() as u64;
    let (dependents_at, dependents) = turned_round(nodes, met, &computed);
    if let Some(graph) = Graph::new(&dependents_at, &dependents) {
        let longest = priorities(graph, &costs);
        let path = critical_path(graph, &longest);
        let addr = |node: &u32| nodes[computed[*node as usize] as usize].addr;
        forecast.critical_path = path.iter().map(addr).collect();
        forecast.critical_seconds = seconds(longest.iter().copied().max().unwrap_or(0));
        forecast.simulated = costs.len() <= SIMULATED;
        forecast.wall_seconds = seconds(match forecast.simulated {
            true => simulate(graph, &costs, Order::CriticalPath, inner.jobs),
            false => lower_bound(graph, &costs, inner.jobs),
        });
    }
    forecast.functions = functions.into_values().collect();
    let by_work = |a: &FunctionForecast, b: &FunctionForecast| b.seconds.total_cmp(&a.seconds);
    let ordered = |a: &FunctionForecast, b: &FunctionForecast| {
        by_work(a, b).then_with(|| a.function.cmp(&b.function))
    };
    forecast.functions.sort_by(ordered);
    Ok(forecast)
}

/// The functions of what would be computed, and what is known of their costs.
async fn functions(
    inner: &Inner,
    nodes: &[ExplainedNode],
) -> Result<HashMap<FunctionId, FunctionForecast>> {
    let mut functions = HashMap::new();
    for node in nodes.iter().filter(|node| node.state.is_computed()) {
        let Some(id) = node
            .function
            .as_ref()
            .filter(|id| !functions.contains_key(*id))
        else {
            continue;
        };
        let Some(function) = inner.able_by_id(id).function() else {
            continue;
        };
        let weight = function.weight();
        let estimate = inner.costs.estimate(id, weight);
        let cutoff = inner.costs.cutoff_pays(estimate, weight);
        let forecast = FunctionForecast::new(id.clone(), weight, estimate, cutoff);
        functions.insert(id.clone(), forecast);
    }
    if functions
        .values()
        .any(|function| function.estimate.calls == 0)
    {
        let recorded = sample(inner).await?;
        for function in functions.values_mut() {
            // What a request would decide about cutoff stays: it takes no sample.
            if let Some(calls) = recorded.get(&function.function)
                && function.estimate.calls == 0
            {
                let time = calls.time.div_f64(calls.calls as f64);
                function.estimate = Estimate::new(time, Basis::Recorded);
                function.estimate.bytes = Some(calls.bytes / calls.calls);
                function.estimate.calls = calls.calls;
            }
        }
    }
    Ok(functions)
}

/// What a sample of the store's outputs cost, by function.
async fn sample(inner: &Inner) -> Result<HashMap<FunctionId, Calls>> {
    let mut recorded: HashMap<FunctionId, Calls> = HashMap::new();
    let none = matches!(inner.dag.usage().await?, Some(usage) if usage.outputs == 0);
    if none || !inner.dag.capabilities().list {
        return Ok(recorded);
    }
    let mut listed = inner.dag.list(None).take(SAMPLE);
    while let Some(next) = listed.next().await {
        let (_, node) = next?;
        if let Some(output) = node.output {
            let calls = recorded.entry(node.recipe.function()).or_default();
            calls.calls += 1;
            calls.time += output.cost;
            calls.bytes += output.len;
        }
    }
    Ok(recorded)
}

/// The edges among what is computed, from input to dependent.
fn turned_round(nodes: &[ExplainedNode], met: &Met, computed: &[u32]) -> (Vec<u32>, Vec<u32>) {
    const NOT: u32 = u32::MAX;
    let mut dense = vec![NOT; nodes.len()];
    for (node, place) in computed.iter().enumerate() {
        dense[*place as usize] = node as u32;
    }
    let inputs = |place: u32| {
        let inputs = nodes[place as usize].inputs.iter();
        let inputs = inputs.filter_map(|input| met.get_index_of(input));
        inputs
            .map(|input| dense[input])
            .filter(|input| *input != NOT)
    };
    let mut at = vec![0u32; computed.len() + 1];
    for input in computed.iter().flat_map(|place| inputs(*place)) {
        at[input as usize + 1] += 1;
    }
    for i in 1..at.len() {
        at[i] += at[i - 1];
    }
    let mut next = at.clone();
    let mut dependents = vec![0; at.last().map_or(0, |edges| *edges as usize)];
    for (node, place) in computed.iter().enumerate() {
        for input in inputs(*place) {
            dependents[next[input as usize] as usize] = node as u32;
            next[input as usize] += 1;
        }
    }
    (at, dependents)
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}
