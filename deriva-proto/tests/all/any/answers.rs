//! Any answer of a runtime.

use deriva_api::diff::{Diff, Difference, DifferenceKind, Passed};
use deriva_api::{
    Basis, CollectPolicy, CutoffDecision, Estimate, ExplainedNode, Explanation, Forecast,
    FunctionChecks, FunctionDoc, FunctionForecast, Graph, GraphEdge, GraphNode, NodeState,
    ParamDoc, Snapshot, Status, Suspect, Weight, Why,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{addr, addrs, function, output, seconds, time, value};

pub(crate) const STATES: [NodeState; 8] = [
    NodeState::Leaf,
    NodeState::Present,
    NodeState::Lost,
    NodeState::Absent,
    NodeState::InFlight,
    NodeState::UnknownFunction,
    NodeState::Condemned,
    NodeState::Missing,
];

fn state() -> impl Strategy<Value = NodeState> {
    select(STATES.to_vec())
}

fn weight() -> impl Strategy<Value = Weight> {
    select(vec![Weight::Light, Weight::Heavy])
}

pub(crate) fn explained_node() -> impl Strategy<Value = ExplainedNode> {
    let rest = (of(function()), addrs(), of(output()));
    let numbers = (of(any::<u64>()), of(seconds()));
    (addr(), state(), rest, numbers).prop_map(|(addr, state, rest, numbers)| {
        let mut node = ExplainedNode::new(addr, state);
        (node.function, node.inputs, node.output) = rest;
        (node.len, node.seconds) = numbers;
        node
    })
}

fn function_forecast() -> impl Strategy<Value = FunctionForecast> {
    let basis = select(vec![
        Basis::Function,
        Basis::Recorded,
        Basis::OtherFunctions,
        Basis::Weight,
    ]);
    let estimate = (time(), basis, of(any::<u64>()), any::<u64>());
    let estimate = estimate.prop_map(|(time, basis, bytes, calls)| {
        let mut estimate = Estimate::new(time, basis);
        (estimate.bytes, estimate.calls) = (bytes, calls);
        estimate
    });
    let cutoff = (any::<[bool; 2]>(), [time(), time(), time()]);
    let cutoff = cutoff.prop_map(|(said, times)| {
        let mut decision = CutoffDecision::default();
        [decision.pays, decision.measured] = said;
        [decision.call, decision.lookup, decision.write] = times;
        decision
    });
    let numbers = (any::<u64>(), seconds());
    (function(), weight(), estimate, cutoff, numbers).prop_map(
        |(function, weight, estimate, cutoff, numbers)| {
            let mut forecast = FunctionForecast::new(function, weight, estimate, cutoff);
            (forecast.nodes, forecast.seconds) = numbers;
            forecast
        },
    )
}

pub(crate) fn forecast() -> impl Strategy<Value = Forecast> {
    let seconds = [seconds(), seconds(), seconds()];
    let said = (any::<usize>(), any::<bool>(), any::<[u64; 5]>(), seconds);
    (said, addrs(), vec(function_forecast(), 0..3)).prop_map(|(said, path, functions)| {
        let mut it = Forecast::default();
        let (jobs, simulated, numbers, seconds) = said;
        (it.jobs, it.simulated) = (jobs, simulated);
        [
            it.computed,
            it.bytes.stored,
            it.bytes.lost,
            it.bytes.estimated,
            it.bytes.unknown_outputs,
        ] = numbers;
        [it.work_seconds, it.critical_seconds, it.wall_seconds] = seconds;
        (it.critical_path, it.functions) = (path, functions);
        it
    })
}

pub(crate) fn explanation() -> impl Strategy<Value = Explanation> {
    let nodes = vec(explained_node(), 0..4);
    (nodes, addrs(), vec(function(), 0..3), forecast()).prop_map(
        |(nodes, missing, unknown, forecast)| {
            let mut it = Explanation::default();
            (it.nodes, it.missing) = (nodes, missing);
            (it.unknown_functions, it.forecast) = (unknown, forecast);
            it
        },
    )
}

fn difference_kind() -> impl Strategy<Value = DifferenceKind> {
    let param = (any::<String>(), of(value()), of(value()));
    let change = || (function(), function());
    let place = || (any::<u32>(), addr());
    prop_oneof![
        change().prop_map(|(from, to)| DifferenceKind::FunctionChanged { from, to }),
        change().prop_map(|(from, to)| DifferenceKind::VersionChanged { from, to }),
        param.prop_map(|(name, from, to)| DifferenceKind::ParamChanged { name, from, to }),
        place().prop_map(|(input, addr)| DifferenceKind::InputAdded { input, addr }),
        place().prop_map(|(input, addr)| DifferenceKind::InputRemoved { input, addr }),
        Just(DifferenceKind::InputsReordered),
        Just(DifferenceKind::BlobChanged),
        Just(DifferenceKind::BlobBecameRecipe),
        Just(DifferenceKind::RecipeBecameBlob),
    ]
}

fn difference() -> impl Strategy<Value = Difference> {
    let passed = (addr(), addr(), function(), any::<u32>());
    let passed = passed
        .prop_map(|(before, after, function, input)| Passed::new(before, after, function, input));
    let rest = (vec(passed, 0..4), any::<u64>(), of(function()));
    (addr(), addr(), difference_kind(), rest).prop_map(|(before, after, kind, rest)| {
        let mut it = Difference::new(before, after, kind);
        (it.path, it.above, it.function) = rest;
        it
    })
}

pub(crate) fn diff() -> impl Strategy<Value = Diff> {
    (vec(difference(), 0..4), any::<u64>(), any::<bool>()).prop_map(|parts| {
        let mut it = Diff::default();
        (it.differences, it.compared, it.truncated) = parts;
        it
    })
}

pub(crate) fn why() -> impl Strategy<Value = Why> {
    (addr(), state(), any::<bool>(), of(diff())).prop_map(|(addr, state, forgotten, diff)| {
        let mut why = Why::new(addr, state);
        (why.forgotten, why.diff) = (forgotten, diff);
        why
    })
}

/// As a walk lists it: the recipes are drawn with inputs that come after them, then walked from the first one.
pub(crate) fn graph() -> impl Strategy<Value = Graph> {
    let node = (
        addr(),
        state(),
        of(function()),
        of(output()),
        of(any::<u64>()),
    );
    let recipe = (node, vec(any::<prop::sample::Index>(), 0..5));
    (vec(recipe, 1..12), 1..12usize).prop_map(|(recipes, limit)| {
        let inputs = |of: usize| -> Vec<usize> {
            let later = recipes.len() - 1 - of;
            let drawn = recipes[of].1.iter().filter(|_| later > 0);
            drawn.map(|drawn| of + 1 + drawn.index(later)).collect()
        };
        let mut graph = Graph::default();
        let (mut met, mut depths) = (vec![0], vec![0]);
        while graph.nodes.len() < met.len() {
            let to = graph.nodes.len();
            let (of, depth) = (met[to], depths[to]);
            let ((addr, state, function, output, len), _) = &recipes[of];
            let mut node = GraphNode::new(*addr, *state, depth);
            (node.function, node.output, node.len) = (function.clone(), *output, *len);
            for (nth, input) in (0..).zip(inputs(of)) {
                node.inputs += 1;
                let place = met.iter().position(|it| *it == input);
                match place.or_else(|| (met.len() < limit).then_some(met.len())) {
                    Some(from) => {
                        if from == met.len() {
                            met.push(input);
                            depths.push(depth + 1);
                        }
                        graph
                            .edges
                            .push(GraphEdge::new(from as u32, to as u32, nth));
                    }
                    None => graph.left_out += 1,
                }
            }
            graph.nodes.push(node);
        }
        graph
    })
}

pub(crate) fn suspect() -> impl Strategy<Value = Suspect> {
    (function(), addrs(), any::<bool>())
        .prop_map(|(function, entries, quarantined)| Suspect::new(function, entries, quarantined))
}

pub(crate) fn policy() -> impl Strategy<Value = CollectPolicy> {
    (any::<bool>(), of(any::<u64>()), of(time())).prop_map(|said| {
        let mut policy = CollectPolicy::default();
        (
            policy.unreferenced_blobs,
            policy.derived_bytes_at_most,
            policy.older_than,
        ) = said;
        policy
    })
}

pub(crate) fn function_doc() -> impl Strategy<Value = FunctionDoc> {
    let text = any::<String>;
    let param = (text(), text(), any::<bool>(), text());
    let param = param.prop_map(|(name, kind, required, description)| ParamDoc {
        name: name.into(),
        kind: kind.into(),
        required,
        description: description.into(),
    });
    (function(), weight(), text(), vec(param, 0..3)).prop_map(|(id, weight, text, params)| {
        let mut doc = FunctionDoc::new(id, weight);
        (doc.description, doc.params) = (text, params);
        doc
    })
}

fn checks() -> impl Strategy<Value = FunctionChecks> {
    (any::<[u64; 3]>(), of(any::<u64>()), 0.0..=1.0f64).prop_map(|(numbers, last, rate)| {
        let mut it = FunctionChecks::default();
        [it.checked, it.agreed, it.violated] = numbers;
        (it.last_violation_millis, it.rate_at_most) = (last, rate);
        it
    })
}

pub(crate) fn status() -> impl Strategy<Value = Status> {
    let counts = [
        of(any::<u64>()),
        of(any::<u64>()),
        of(any::<u64>()),
        of(any::<u64>()),
        of(any::<u64>()),
    ];
    let checked = (checks(), vec((function(), checks()), 0..3));
    (counts, any::<u64>(), any::<[String; 3]>(), checked).prop_map(
        |(counts, cache_bytes, words, checked)| {
            let mut it = Status::default();
            [it.recipes, it.outputs, it.blobs, it.blob_bytes, it.roots] = counts;
            it.cache_bytes = cache_bytes;
            [it.blob_store, it.dag_store, it.executor] = words;
            (it.verification.total, it.verification.functions) = checked;
            it
        },
    )
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    (any::<[u64; 21]>(), any::<[u64; 14]>()).prop_map(|(numbers, cache)| {
        let mut it = Snapshot::default();
        [
            it.requests,
            it.flights,
            it.steps,
            it.slots,
            it.slots_in_use,
            it.slots_wanted,
            it.commits,
            it.collections,
            it.scrubs,
            it.invalidations,
            it.audits,
            it.leases,
            it.memory_bytes,
            it.memory_limit,
            it.spilled_bytes,
            it.audit_agreed,
            it.audit_violated,
            it.audit_skipped,
            it.cached,
            it.ledger_open,
            it.quarantined,
        ] = numbers;
        [
            it.cache.hits,
            it.cache.misses,
            it.cache.evictions,
            it.cache.yielded,
            it.cache.above_limit,
            it.cache.removed,
            it.cache.refused_large,
            it.cache.refused_worth,
            it.cache.refused_pins,
            it.cache.saved_nanos,
            it.cache.entries,
            it.cache.bytes,
            it.cache.pinned_bytes,
            it.cache.limit,
        ] = cache;
        it
    })
}
