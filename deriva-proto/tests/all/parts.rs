//! Answers that are larger than a message: what is split and put together again is the same, no part is too large, and what does not
//! fit is refused.

use deriva_api::diff::{Diff, Difference, DifferenceKind};
use deriva_api::{
    BlobStat, CAddr, ErrorKind, ExplainedNode, Explanation, FunctionId, Graph, GraphEdge,
    GraphNode, Materialized, NodeState, Result, Summary,
};
use deriva_proto::parts::{
    self, BYTES, DiffParts, ExplanationParts, GraphParts, ITEMS, ResultParts, in_parts,
};
use deriva_proto::v1;
use proptest::prelude::*;
use prost::Message;

use crate::any;
use crate::round_trip::through;

const MANY: u64 = 100_000_000;

/// Hands messages over, each through its bytes, and counts them.
fn hand_over<Wire: Message + Default>(
    messages: impl Iterator<Item = Wire>,
    mut add: impl FnMut(Wire) -> Result<()>,
) -> Result<usize> {
    let mut count = 0;
    for message in messages {
        // Nothing here has an item that is larger than a part, and what is beside the list is small.
        assert!(message.encoded_len() <= BYTES + BYTES / 4);
        add(through(message))?;
        count += 1;
    }
    Ok(count)
}

fn explained(explanation: &Explanation) -> (Explanation, usize) {
    let mut parts = ExplanationParts::at_most(MANY);
    let messages = parts::of_explanation(explanation.clone());
    let count = hand_over(messages, |message| parts.add(message)).unwrap();
    (parts.finish().unwrap(), count)
}

fn compared(diff: &Diff) -> (Diff, usize) {
    let mut parts = DiffParts::at_most(MANY);
    let messages = parts::of_diff(diff).unwrap();
    let count = hand_over(messages, |message| parts.add(message)).unwrap();
    (parts.finish().unwrap(), count)
}

fn walked(graph: &Graph) -> (Graph, usize) {
    let mut parts = GraphParts::at_most(MANY);
    let messages = parts::of_graph(graph.clone());
    let count = hand_over(messages, |message| parts.add(message)).unwrap();
    (parts.finish().unwrap(), count)
}

/// Some are larger than a part.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..BYTES / 2, 1 => BYTES..BYTES + 100]
}

fn ran(done: &Materialized) -> (Materialized, usize) {
    let mut parts = ResultParts::of(done.results.len());
    let count = hand_over(parts::of_result(done), |message| parts.add(message)).unwrap();
    assert!(parts.is_complete());
    (parts.finish().unwrap(), count)
}

proptest! {
    #![proptest_config(any::cases(128))]

    #[test]
    fn what_is_split_and_put_together_is_the_same(
        explanation in any::explanation(), diff in any::diff(), graph in any::graph(), done in any::materialized(),
    ) {
        prop_assert_eq!(explained(&explanation).0, explanation);
        prop_assert_eq!(compared(&diff).0, diff);
        prop_assert_eq!(walked(&graph).0, graph);
        // More is doubted than was asked for, which no runtime says.
        let mut done = done;
        done.doubted.truncate(done.results.len());
        prop_assert_eq!(format!("{:?}", ran(&done).0), format!("{done:?}"));
    }

    #[test]
    fn parts_are_as_full_as_they_may_be(lens in prop::collection::vec(len(), 0..20)) {
        let items = lens.iter().map(|len| v1::ListBlobsRequest {
            after: Some(vec![0; *len].into()),
        });
        let items: Vec<_> = items.collect();
        let parts: Vec<_> = in_parts(items.clone()).collect();
        prop_assert_eq!(parts.concat(), items);
        let len = |part: &[v1::ListBlobsRequest]| part.iter().map(|it| it.encoded_len() + 8).sum::<usize>();
        for part in &parts {
            prop_assert!(part.len() == 1 || len(part) <= BYTES);
        }
        for pair in parts.windows(2) {
            prop_assert!(len(&pair[0]) + len(&pair[1][..1]) > BYTES);
        }
    }
}

fn addr_of(n: u32) -> CAddr {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    CAddr::from_bytes(bytes)
}

fn addrs(count: u32) -> Vec<CAddr> {
    (0..count).map(addr_of).collect()
}

/// A name as long as names may be.
fn function() -> FunctionId {
    FunctionId::new(&"n".repeat(128), &"v".repeat(64)).unwrap()
}

#[test]
fn a_large_explanation_with_a_recipe_of_many_inputs() {
    let mut explanation = Explanation::default();
    for n in 0..10_000 {
        let mut node = ExplainedNode::new(addr_of(n), NodeState::Absent);
        node.function = Some(function());
        node.inputs = addrs(n % 3);
        explanation.nodes.push(node);
    }
    explanation.nodes[7_000].inputs = addrs(100_000);
    explanation.missing = addrs(50_000);
    explanation.unknown_functions = vec![function(); 10_000];
    explanation.forecast.critical_path = addrs(70_000);
    explanation.forecast.computed = 9;
    let (found, count) = explained(&explanation);
    assert!(found == explanation);
    assert!((20..60).contains(&count), "{count}");
}

#[test]
fn many_differences() {
    let mut diff = Diff::default();
    diff.compared = 77;
    for n in 0..10_000 {
        let difference = Difference::new(addr_of(n), addr_of(n + 1), DifferenceKind::BlobChanged);
        diff.differences.push(difference);
    }
    let (found, count) = compared(&diff);
    assert_eq!(count, 10_000usize.div_ceil(ITEMS) + 1);
    assert!(found == diff);
}

/// A recipe over others, which all read all of some leaves.
fn wide(recipes: u32, leaves: u32, reads: u32) -> Graph {
    let mut graph = Graph::default();
    let mut node = |depth, inputs| {
        let mut node = GraphNode::new(addr_of(graph.nodes.len() as u32), NodeState::Lost, depth);
        node.function = Some(function());
        node.inputs = inputs;
        graph.nodes.push(node);
    };
    node(0, recipes);
    (0..recipes).for_each(|_| node(1, reads));
    (0..leaves).for_each(|_| node(2, 0));
    for input in 0..recipes {
        graph.edges.push(GraphEdge::new(1 + input, 0, input));
    }
    for recipe in 0..recipes {
        for input in 0..reads {
            let leaf = (recipe + input) % leaves;
            let edge = GraphEdge::new(1 + recipes + leaf, 1 + recipe, input);
            graph.edges.push(edge);
        }
    }
    graph
}

#[test]
fn large_graphs() {
    for (recipes, leaves, reads) in [(5_000, 5_000, 10), (3, 20_000, 20_000), (100_000, 1, 1)] {
        let graph = wide(recipes, leaves, reads);
        let (found, count) = walked(&graph);
        assert!(found == graph);
        let (nodes, edges) = (graph.nodes.len(), graph.edges.len());
        let least = nodes.div_ceil(2048).max(edges.div_ceil(16 << 10));
        assert!((least..=2 * least + 1).contains(&count), "{count}");
    }
}

#[test]
fn many_results() {
    let results = (0..10_000).map(|n| {
        let (addr, len) = (addr_of(n), 1);
        Ok(BlobStat { addr, len })
    });
    let mut done = Materialized::new(results.collect(), vec![None; 10_000], Summary::default());
    done.doubted = addrs(10_000);
    let (found, count) = ran(&done);
    assert_eq!(count, 3 + 1 + 1);
    assert_eq!(format!("{found:?}"), format!("{done:?}"));
}

#[test]
fn what_has_not_come_to_its_end_is_no_answer() {
    let explanation = Explanation::default();
    let incomplete = |result: Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.advice().is_some());
    };
    let mut parts = ExplanationParts::at_most(MANY);
    let mut messages: Vec<_> = parts::of_explanation(explanation).collect();
    messages.pop();
    messages.into_iter().for_each(|it| parts.add(it).unwrap());
    incomplete(parts.finish().map(drop));
    incomplete(DiffParts::at_most(1).finish().map(drop));
    incomplete(GraphParts::at_most(1).finish().map(drop));
    incomplete(ResultParts::of(0).finish().map(drop));
}

#[test]
fn what_a_later_version_says_beside_it_is_passed_over() {
    let mut parts = GraphParts::at_most(MANY);
    let graph = wide(2, 2, 2);
    for message in parts::of_graph(graph.clone()) {
        parts.add(v1::WalkResponse::default()).unwrap();
        parts.add(message).unwrap();
        parts.add(v1::WalkResponse::default()).unwrap();
    }
    assert!(parts.finish().unwrap() == graph);
    let mut parts = ExplanationParts::at_most(MANY);
    for message in parts::of_explanation(Explanation::default()) {
        parts.add(v1::ExplainResponse::default()).unwrap();
        parts.add(message).unwrap();
        parts.add(v1::ExplainResponse::default()).unwrap();
    }
    parts.finish().unwrap();
    let mut parts = DiffParts::at_most(MANY);
    for message in parts::of_diff(&Diff::default()).unwrap() {
        parts.add(v1::DiffResponse::default()).unwrap();
        parts.add(message).unwrap();
        parts.add(v1::DiffResponse::default()).unwrap();
    }
    parts.finish().unwrap();
}
