//! What a runtime answers comes back as it went, through the bytes of its messages.

use deriva_api::{
    CAddr, CollectPolicy, ExplainedNode, Forecast, FunctionDoc, GraphEdge, GraphNode, Node,
    NodeState, Output, Snapshot, Status, Suspect,
};
use deriva_proto::v1;
use proptest::option::of;
use proptest::prelude::*;

use crate::any;
use crate::round_trip::{back, through};

proptest! {
    #![proptest_config(any::cases(256))]

    #[test]
    fn what_is_explained(node in any::explained_node(), forecast in any::forecast(), why in any::why()) {
        prop_assert_eq!(&back::<v1::ExplainedNode, ExplainedNode>((&node).into()), &node);
        prop_assert_eq!(&back::<v1::Forecast, Forecast>((&forecast).into()), &forecast);
        let wire = through(v1::WhyResponse::from(&why));
        prop_assert_eq!(&wire.of(why.addr, why.diff.clone()).unwrap(), &why);
    }

    #[test]
    fn nodes_and_edges_of_graphs(graph in any::graph()) {
        for node in &graph.nodes {
            prop_assert_eq!(&back::<v1::GraphNode, GraphNode>(node.into()), node);
        }
        for edge in graph.edges {
            prop_assert_eq!(back::<v1::GraphEdge, GraphEdge>(edge.into()), edge);
        }
    }

    #[test]
    fn statuses(status in any::status(), snapshot in any::snapshot()) {
        let wire = v1::StatusResponse::from((&status, &snapshot));
        prop_assert_eq!(back::<_, (Status, Snapshot)>(wire), (status, snapshot));
    }

    #[test]
    fn suspects_and_policies(suspect in any::suspect(), policy in any::policy(), dry_run: bool) {
        prop_assert_eq!(&back::<v1::Suspect, Suspect>((&suspect).into()), &suspect);
        let mut wire = v1::CollectRequest::from(policy);
        prop_assert!(!wire.dry_run);
        wire.dry_run = dry_run;
        prop_assert_eq!(back::<_, CollectPolicy>(wire), policy);
    }

    #[test]
    fn functions_and_roots(doc in any::function_doc(), name: String, addr in any::addr()) {
        prop_assert_eq!(&back::<v1::FunctionDoc, FunctionDoc>((&doc).into()), &doc);
        let root = (name, addr);
        prop_assert_eq!(back::<v1::Root, (String, CAddr)>(root.clone().into()), root);
    }

    #[test]
    fn what_is_said_of_an_address_that_was_asked_for(
        node in any::node(), other in any::addr(), output in of(any::output()),
    ) {
        let addr = node.recipe.addr();
        let wire = || through(v1::MaybeNode::from(Some(&node)));
        let found: Node = wire().of(addr).unwrap().unwrap();
        prop_assert_eq!((found.recipe.addr(), found.output), (addr, node.output));
        let error = wire().of(other).unwrap_err();
        prop_assert_eq!(error.kind(), deriva_api::ErrorKind::Corrupt);
        prop_assert!(v1::MaybeNode::from(None).of(addr).unwrap().is_none());
        prop_assert_eq!(back::<v1::MaybeOutput, Option<Output>>(output.into()), output);
    }
}

#[test]
fn every_state_of_a_node() {
    for state in any::STATES {
        let wire = v1::NodeState::from(state);
        assert_ne!(wire, v1::NodeState::Unspecified);
        assert_eq!(NodeState::try_from(wire).unwrap(), state);
    }
}

#[test]
fn a_status_of_an_earlier_server_has_nothing_under_way() {
    let wire = v1::StatusResponse {
        checks: Some(v1::Checks::default()),
        ledger_open: 3,
        ..Default::default()
    };
    let (_, snapshot) = wire.try_into().unwrap();
    let mut expected = Snapshot::default();
    expected.ledger_open = 3;
    assert_eq!(snapshot, expected);
}
