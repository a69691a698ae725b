//! Parts that do not fit each other, or are more than was asked for, are refused.

use deriva_api::{BlobStat, ErrorKind, ExplainedNode, Explanation, Graph, Materialized, Summary};
use deriva_api::{CAddr, Error, GraphEdge, GraphNode, NodeState};
use deriva_proto::parts::{self, DiffParts, ExplanationParts, GraphParts, ResultParts};
use deriva_proto::v1;
use deriva_proto::v1::{diff_response, explain_response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use crate::any;

fn refused(error: &Error, field: &str) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.context("field"), Some(field), "{error}");
}

fn too_much(error: &Error, limit: &str) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.context("limit"), Some(limit), "{error}");
    assert!(error.advice().is_some(), "{error}");
}

fn node(addr: CAddr) -> v1::ExplainedNode {
    (&ExplainedNode::new(addr, NodeState::Absent)).into()
}

fn nodes(nodes: Vec<v1::ExplainedNode>) -> v1::ExplainResponse {
    let nodes = v1::ExplainedNodes { nodes };
    let said = Some(explain_response::Said::Nodes(nodes));
    v1::ExplainResponse { said }
}

fn done(explained: v1::Explained) -> v1::ExplainResponse {
    let said = Some(explain_response::Said::Done(explained));
    v1::ExplainResponse { said }
}

fn forecast() -> v1::Explained {
    v1::Explained {
        forecast: Some(v1::Forecast::default()),
        ..Default::default()
    }
}

#[test]
fn of_explanations() {
    let (one, other) = (CAddr::MIN, deriva_api::Blob::new("x").addr());
    let more = |addr| v1::ExplainedNode {
        addr: deriva_proto::bytes_of(addr),
        inputs: vec![deriva_proto::bytes_of(one)],
        continued: true,
        ..Default::default()
    };
    let unknown_state = v1::ExplainedNode {
        state: 99,
        ..node(one)
    };
    for (messages, field) in [
        (vec![nodes(vec![more(one)])], "ExplainedNode.continued"),
        (
            vec![nodes(vec![node(one), more(other)])],
            "ExplainedNode.continued",
        ),
        (vec![nodes(vec![unknown_state])], "ExplainedNode.state"),
        (
            vec![done(v1::Explained::default()), nodes(vec![node(one)])],
            "ExplainResponse.nodes",
        ),
        (
            vec![done(forecast()), nodes(vec![node(one)])],
            "ExplainResponse",
        ),
        (vec![done(forecast()), done(forecast())], "ExplainResponse"),
    ] {
        let mut parts = ExplanationParts::at_most(100);
        let (last, before) = messages.split_last().unwrap();
        before.iter().for_each(|it| parts.add(it.clone()).unwrap());
        refused(&parts.add(last.clone()).unwrap_err(), field);
    }
    // What goes on with the node before is taken, over messages, too.
    let mut parts = ExplanationParts::at_most(3);
    parts.add(nodes(vec![node(one)])).unwrap();
    parts.add(nodes(vec![more(one)])).unwrap();
    parts.add(nodes(vec![more(one)])).unwrap();
    too_much(&parts.add(nodes(vec![more(one)])).unwrap_err(), "3");
    parts.add(done(forecast())).unwrap();
    assert_eq!(parts.finish().unwrap().nodes[0].inputs, [one, one]);
}

#[test]
fn of_differences() {
    let compared = v1::DiffResponse {
        said: Some(diff_response::Said::Done(v1::Compared::default())),
    };
    let difference = v1::DiffResponse {
        said: Some(diff_response::Said::Differences(v1::Differences {
            differences: vec![v1::Difference {
                before: deriva_proto::bytes_of(CAddr::MIN),
                after: deriva_proto::bytes_of(CAddr::MIN),
                kind: Some(v1::difference::Kind::BlobChanged(v1::Null {})),
                ..Default::default()
            }],
        })),
    };
    let mut parts = DiffParts::at_most(1);
    parts.add(difference.clone()).unwrap();
    too_much(&parts.add(difference.clone()).unwrap_err(), "1");
    parts.add(compared.clone()).unwrap();
    refused(&parts.add(difference).unwrap_err(), "DiffResponse");
    refused(&parts.add(compared).unwrap_err(), "DiffResponse");
}

/// A graph from the depths of its nodes with their numbers of inputs, and its edges.
fn graph(nodes: &[(u32, u32)], edges: &[(u32, u32, u32)], left_out: u64) -> Graph {
    let mut graph = Graph::default();
    for (depth, inputs) in nodes {
        let mut node = GraphNode::new(CAddr::MIN, NodeState::Absent, *depth);
        node.inputs = *inputs;
        graph.nodes.push(node);
    }
    let edges = edges.iter();
    graph.edges = edges
        .map(|(from, to, input)| GraphEdge::new(*from, *to, *input))
        .collect();
    graph.left_out = left_out;
    graph
}

fn put_together(graph: Graph) -> Result<Graph, Error> {
    let message = v1::WalkResponse {
        nodes: graph.nodes.iter().map(Into::into).collect(),
        edges: graph.edges.iter().map(|edge| (*edge).into()).collect(),
        left_out: Some(graph.left_out),
    };
    let mut parts = GraphParts::at_most(100);
    parts.add(message)?;
    parts.finish()
}

#[test]
fn of_graphs() {
    let two = [(0, 1), (1, 1)];
    for (found, field) in [
        (graph(&[(1, 0)], &[], 0), "GraphNode.depth"),
        (graph(&[(0, 0), (0, 0)], &[], 0), "GraphNode.depth"),
        (graph(&[(0, 1), (2, 0)], &[(1, 0, 0)], 0), "GraphNode.depth"),
        (
            graph(
                &[(0, 1), (1, 1), (2, 0), (1, 0)],
                &[(1, 0, 0), (2, 1, 0)],
                0,
            ),
            "GraphNode.depth",
        ),
        (graph(&two, &[(2, 1, 0)], 0), "GraphEdge"),
        (graph(&two, &[(1, 2, 0)], 0), "GraphEdge"),
        (graph(&two, &[(1, 0, 1)], 0), "GraphEdge"),
        (graph(&two, &[(u32::MAX, u32::MAX, 0)], 0), "GraphEdge"),
        (
            graph(&[(0, 2), (1, 0)], &[(1, 0, 0), (1, 0, 0)], 0),
            "GraphEdge.input",
        ),
        (graph(&two, &[(1, 0, 0)], 0), "WalkResponse.left_out"),
        (graph(&two, &[(1, 0, 0)], 2), "WalkResponse.left_out"),
        (graph(&two, &[(1, 0, 0)], u64::MAX), "WalkResponse.left_out"),
        (graph(&[], &[], 0), "WalkResponse.edges"),
        (graph(&two, &[], 2), "WalkResponse.edges"),
        (
            graph(&two, &[(1, 0, 0), (0, 1, 0)], 0),
            "WalkResponse.edges",
        ),
        (
            graph(&two, &[(1, 0, 0), (1, 1, 0)], 0),
            "WalkResponse.edges",
        ),
        (
            graph(
                &[(0, 1), (1, 1), (2, 1)],
                &[(1, 0, 0), (2, 1, 0), (1, 2, 0)],
                0,
            ),
            "WalkResponse.edges",
        ),
    ] {
        refused(&put_together(found).unwrap_err(), field);
    }
    put_together(graph(&two, &[(1, 0, 0)], 1)).unwrap();

    let mut parts = GraphParts::at_most(2);
    let message = |graph| parts::of_graph(graph).next().unwrap();
    let last = message(graph(&[(0, 1), (1, 0)], &[(1, 0, 0)], 0));
    too_much(&parts.add(last.clone()).unwrap_err(), "2");
    let mut parts = GraphParts::at_most(100);
    parts.add(last.clone()).unwrap();
    refused(&parts.add(last).unwrap_err(), "WalkResponse");
}

#[test]
fn of_results() {
    let stat = BlobStat {
        addr: CAddr::MIN,
        len: 1,
    };
    let mut done = Materialized::new(vec![Ok(stat); 2], vec![None; 2], Summary::default());
    done.doubted = vec![CAddr::MIN; 2];
    let add = |targets| {
        let mut parts = ResultParts::of(targets);
        for part in parts::of_result(&done) {
            parts.add(part)?;
        }
        parts.finish()
    };
    too_much(&add(1).unwrap_err(), "1");
    refused(&add(3).unwrap_err(), "RunResult.results");
    add(2).unwrap();
    let mut parts = ResultParts::of(0);
    let summary = v1::RunResult {
        summary: Some(v1::Summary::default()),
        ..Default::default()
    };
    parts.add(summary.clone()).unwrap();
    refused(&parts.add(summary).unwrap_err(), "RunResult");
}

/// The same bytes but for some.
fn changed<Wire: Message + Default>(message: &Wire, changes: &[(Index, u8)]) -> Option<Wire> {
    let mut bytes = message.encode_to_vec();
    for (at, byte) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    Wire::decode(&*bytes).ok()
}

proptest! {
    #![proptest_config(any::cases(512))]

    /// And whatever is taken is an answer as a runtime gives it: so many that rely on that can.
    #[test]
    fn parts_in_which_bytes_were_changed_make_no_panic(
        explanation in any::explanation(), graph in any::graph(), diff in any::diff(),
        changes in vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let mut parts = ExplanationParts::at_most(1000);
        for message in parts::of_explanation(explanation) {
            let _ = changed(&message, &changes).map(|message| parts.add(message));
        }
        let _ = parts.finish();
        let mut parts = DiffParts::at_most(1000);
        for message in parts::of_diff(&diff).unwrap() {
            let _ = changed(&message, &changes).map(|message| parts.add(message));
        }
        let _ = parts.finish();
        let mut parts = GraphParts::at_most(1000);
        for message in parts::of_graph(graph) {
            let _ = changed(&message, &changes).map(|message| parts.add(message));
        }
        if let Ok(graph) = parts.finish() {
            let places: Vec<_> = graph.edges.iter().map(|edge| (edge.to, edge.input)).collect();
            prop_assert!(places.is_sorted());
            for edge in &graph.edges {
                prop_assert!((edge.from as usize) < graph.nodes.len());
                prop_assert!(edge.input < graph.nodes[edge.to as usize].inputs);
            }
        }
    }
}

#[test]
fn an_empty_explanation_is_one() {
    let mut parts = ExplanationParts::at_most(0);
    for message in parts::of_explanation(Explanation::default()) {
        parts.add(message).unwrap();
    }
    assert_eq!(parts.finish().unwrap(), Explanation::default());
}
