//! The graph below an address, and that all who tell of a node tell the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use deriva::admin::{DifferenceKind, Graph, GraphNode, NodeState};
use deriva::layers::{BlobLayer, DagLayer};
use deriva::prelude::*;
use deriva::stores::memory::MemoryStore;
use deriva_testkit::{
    CountingLayer, FaultLayer, ModelStore, Operation, SplitMix64, Workload, functions, random,
};
use proptest::prelude::*;

async fn memory() -> Deriva {
    Deriva::builder().store("memory:").build().await.unwrap()
}

/// A recipe that is stored whoever knows its function.
async fn insert(deriva: &Deriva, function: &str, inputs: &[CAddr]) -> CAddr {
    let recipe = Recipe::new(&function.parse().unwrap(), inputs, &Params::new()).unwrap();
    deriva.dag().insert(&[recipe]).await.unwrap()[0]
}

async fn output(deriva: &Deriva, addr: CAddr) -> CAddr {
    let node = deriva.dag().get_one(addr).await.unwrap().unwrap();
    node.output.unwrap().addr
}

fn states(graph: &Graph) -> Vec<NodeState> {
    graph.nodes.iter().map(|node| node.state).collect()
}

/// Each edge by the places of its ends, and which input it is.
fn edges(graph: &Graph) -> Vec<(u32, u32, u32)> {
    let edges = graph.edges.iter();
    edges.map(|edge| (edge.from, edge.to, edge.input)).collect()
}

fn node(graph: &Graph, addr: CAddr) -> &GraphNode {
    graph.nodes.iter().find(|node| node.addr == addr).unwrap()
}

#[tokio::test]
async fn a_diamond_is_listed_once_and_each_place_of_an_input_is_an_edge() {
    let deriva = memory().await;
    let leaf = deriva.put("leaf").await.unwrap();
    let left = insert(&deriva, "text.upper/1", &[leaf]).await;
    let right = insert(&deriva, "bytes.concat/1", &[leaf, left, leaf]).await;
    let top = insert(&deriva, "bytes.concat/1", &[left, right]).await;

    let graph = deriva.graph(top).await.unwrap();
    let addrs: Vec<CAddr> = graph.nodes.iter().map(|node| node.addr).collect();
    assert_eq!(addrs, [top, left, right, leaf]);
    let depths: Vec<u32> = graph.nodes.iter().map(|node| node.depth).collect();
    assert_eq!(depths, [0, 1, 1, 2]);
    let inputs: Vec<u32> = graph.nodes.iter().map(|node| node.inputs).collect();
    assert_eq!(inputs, [2, 1, 3, 0]);
    assert_eq!(
        edges(&graph),
        [
            (1, 0, 0),
            (2, 0, 1),
            (3, 1, 0),
            (3, 2, 0),
            (1, 2, 1),
            (3, 2, 2)
        ]
    );
    assert!(graph.is_complete());
    use NodeState::{Absent, Leaf, Present};
    assert_eq!(states(&graph), [Absent, Absent, Absent, Leaf]);
    assert_eq!((graph.nodes[3].len, graph.nodes[0].len), (Some(4), None));
    assert_eq!(graph.nodes[3].function, None);
    assert_eq!(
        graph.nodes[2].function,
        Some("bytes.concat/1".parse().unwrap())
    );

    // What is there is gone on below, unlike in a plan.
    deriva.get(top).await.unwrap();
    let graph = deriva.graph(top).await.unwrap();
    assert_eq!(states(&graph), [Present, Present, Present, Leaf]);
    let made = graph.nodes[0].output.unwrap();
    assert_eq!((made.addr, made.len), (output(&deriva, top).await, 16));
    assert_eq!(graph.nodes[0].len, Some(16));
    assert_eq!(deriva.explain(top).await.unwrap().nodes.len(), 1);
}

#[tokio::test]
async fn what_is_lost_missing_or_unknown_is_told_and_no_error() {
    let deriva = memory().await;
    let leaf = deriva.put("leaf").await.unwrap();
    let upper = insert(&deriva, "text.upper/1", &[leaf]).await;
    let nowhere = CAddr::of_blob(b"nowhere");
    let own = insert(&deriva, "my.own/1", &[upper, nowhere]).await;
    deriva.get(upper).await.unwrap();
    let lost = output(&deriva, upper).await;
    deriva.blobs().remove(&[lost]).await.unwrap();

    let graph = deriva.graph(own).await.unwrap();
    let state = |addr| node(&graph, addr).state;
    assert_eq!(state(own), NodeState::UnknownFunction);
    assert_eq!(
        node(&graph, own).function,
        Some("my.own/1".parse().unwrap())
    );
    assert_eq!(state(upper), NodeState::Lost);
    // The record tells what the bytes were.
    let recorded = node(&graph, upper);
    assert_eq!(
        (recorded.output.unwrap().addr, recorded.len),
        (lost, Some(4))
    );
    assert_eq!(state(nowhere), NodeState::Missing);
    assert_eq!(state(leaf), NodeState::Leaf);
    assert_eq!(graph.nodes.len(), 4);

    let nothing = deriva.graph(nowhere).await.unwrap();
    assert_eq!(states(&nothing), [NodeState::Missing]);
    assert!(nothing.is_complete() && nothing.edges.is_empty());
}

#[tokio::test]
async fn what_another_request_computes_is_in_flight_for_all_who_tell() {
    let ((begins, begun), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let (begins, released) = (Mutex::new(begins), Mutex::new(released));
    let builder = Deriva::builder().store("memory:");
    let builder = builder.function("wait", "1", move |inputs, _| {
        begins.lock().unwrap().send(()).ok();
        released.lock().unwrap().recv().ok();
        Ok(inputs[0].clone())
    });
    let deriva = builder.build().await.unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let wait = insert(&deriva, "wait/1", &[leaf]).await;
    let request = tokio::spawn(deriva.materialize(wait).into_future());
    tokio::task::spawn_blocking(move || begun.recv())
        .await
        .unwrap()
        .unwrap();

    let told = told(&deriva, wait).await;
    release.send(()).unwrap();
    request.await.unwrap().unwrap();
    assert_eq!(told, [NodeState::InFlight; 4]);
    assert_eq!(self::told(&deriva, wait).await, [NodeState::Present; 4]);
}

/// What each of those who tell of a node says of this one.
async fn told(deriva: &Deriva, addr: CAddr) -> [NodeState; 4] {
    [
        deriva.graph(addr).await.unwrap().nodes[0].state,
        deriva.explain(addr).await.unwrap().nodes[0].state,
        deriva.why(addr, None).await.unwrap().state,
        deriva.states(&[addr]).await.unwrap()[0],
    ]
}

#[tokio::test]
async fn a_store_that_fails_fails_the_walk_with_its_error() {
    let (store, faults) = (ModelStore::new(), FaultLayer::new());
    let deriva = Deriva::builder()
        .blobs(BlobLayer::wrap(&faults, Arc::new(store.clone())))
        .dag(DagLayer::wrap(&faults, Arc::new(store.clone())));
    let deriva = deriva.build().await.unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let below = insert(&deriva, "text.upper/1", &[leaf]).await;
    let top = insert(&deriva, "text.upper/1", &[below]).await;
    // Of three levels, each looked up by itself; only the last one has a blob to look for.
    for (operation, nth) in [(Operation::DagGetMany, 2), (Operation::BlobStat, 1)] {
        faults.faults().fail_nth(operation, nth, ErrorKind::Corrupt);
        let error = deriva.graph(top).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(deriva.graph(top).await.unwrap().nodes.len(), 3);
    }
}

#[tokio::test]
async fn a_depth_cuts_off_what_lies_deeper_and_says_so() {
    let deriva = memory().await;
    let leaf = deriva.put("leaf").await.unwrap();
    let low = insert(&deriva, "text.upper/1", &[leaf]).await;
    let mid = insert(&deriva, "bytes.concat/1", &[low, leaf, low]).await;
    // The deepest one is near, too.
    let top = insert(&deriva, "bytes.concat/1", &[mid, leaf]).await;
    let cut = async |depth| {
        let graph = deriva.graph(top).depth(depth).await.unwrap();
        let addrs: Vec<CAddr> = graph.nodes.iter().map(|node| node.addr).collect();
        (addrs, edges(&graph), graph.left_out)
    };
    assert_eq!(cut(0).await, (vec![top], vec![], 2));
    let (addrs, edges, left_out) = cut(1).await;
    assert_eq!(addrs, [top, mid, leaf]);
    // The leaf is listed, so the edge to it is, too; `low` is left out twice.
    assert_eq!(edges, [(1, 0, 0), (2, 0, 1), (2, 1, 1)]);
    assert_eq!(left_out, 2);
    for depth in [2, 3, u32::MAX] {
        let (addrs, edges, left_out) = cut(depth).await;
        assert_eq!((addrs.len(), edges.len(), left_out), (4, 6, 0));
    }
}

#[tokio::test]
async fn a_limit_lists_the_nearest_and_says_what_it_left_out() {
    let deriva = memory().await;
    let mut leaves = Vec::new();
    for n in 0..5 {
        leaves.push(deriva.put(format!("{n}")).await.unwrap());
    }
    let top = insert(&deriva, "bytes.concat/1", &leaves).await;
    for limit in 1..=6 {
        let graph = deriva.graph(top).limit(limit).await.unwrap();
        let listed: Vec<CAddr> = graph.nodes[1..].iter().map(|node| node.addr).collect();
        let most = limit as usize - 1;
        assert_eq!(listed, leaves[..most]);
        assert_eq!((graph.edges.len(), graph.nodes[0].inputs), (most, 5));
        assert_eq!(graph.left_out, 5 - most as u64);
        assert_eq!(graph.is_complete(), limit == 6);
    }
    let refused = deriva.graph(top).limit(0).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.context("setting")),
        (ErrorKind::Invalid, Some("limit"))
    );
}

/// A handle on stores in memory whose calls are counted.
async fn counted() -> (Deriva, CountingLayer) {
    let (counting, store) = (CountingLayer::new(), Arc::new(MemoryStore::new()));
    let deriva = Deriva::builder()
        .blobs(BlobLayer::wrap(&counting, store.clone()))
        .dag(DagLayer::wrap(&counting, store));
    (deriva.build().await.unwrap(), counting)
}

#[tokio::test]
async fn a_wide_graph_takes_few_calls_to_the_stores() {
    let (deriva, counting) = counted().await;
    let wide = Workload::FanIn { width: 20_000 };
    let (blobs, dag) = (&**deriva.blobs(), &**deriva.dag());
    let top = wide.load(blobs, dag).await.unwrap();
    let counts = counting.counts();

    counts.reset();
    let graph = deriva.graph(top).await.unwrap();
    assert_eq!((graph.nodes.len(), graph.edges.len()), (40_001, 40_000));
    assert!(counts.total() <= 50, "{} calls", counts.total());

    // The same addresses, all at once.
    counts.reset();
    let addrs: Vec<CAddr> = graph.nodes.iter().map(|node| node.addr).collect();
    assert_eq!(deriva.states(&addrs).await.unwrap(), states(&graph));
    assert!(counts.total() <= 50, "{} calls", counts.total());

    // Where the limit cuts it off, nothing is looked up that is not listed.
    counts.reset();
    let some = deriva.graph(top).limit(1000).await.unwrap();
    assert_eq!((some.nodes.len(), some.left_out), (1000, 20_000));
    assert!(counts.total() <= 4, "{} calls", counts.total());
}

#[tokio::test]
async fn a_deep_graph_is_walked_without_recursion() {
    let (deriva, counting) = counted().await;
    let deep = Workload::Chain { length: 100_000 };
    let (blobs, dag) = (&**deriva.blobs(), &**deriva.dag());
    let top = deep.load(blobs, dag).await.unwrap();
    let counts = counting.counts();
    counts.reset();
    let graph = deriva.graph(top).await.unwrap();
    assert_eq!((graph.nodes.len(), graph.edges.len()), (100_001, 100_000));
    assert_eq!(graph.nodes.last().unwrap().depth, 100_000);
    assert_eq!(counts.of(Operation::DagGetMany), 100_001);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_who_tell_of_a_node_tell_the_same(graph in random::graphs(40), seed in any::<u64>()) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(compare(graph, seed));
    }
}

/// Computes some of a random graph, forgets and loses some of that, and asks a handle that lacks a function.
async fn compare(graph: random::Graph, seed: u64) {
    let mut random = SplitMix64::new(seed);
    let store = ModelStore::new();
    let handle = async |lacking: &str| {
        let mut known = FunctionRegistry::new();
        for function in functions::graph() {
            if function.id().to_string() != lacking {
                known.register(function).unwrap();
            }
        }
        let builder = DerivaBuilder::new()
            .blobs(Arc::new(store.clone()) as Arc<dyn BlobStore>)
            .dag(Arc::new(store.clone()) as Arc<dyn DagStore>);
        builder.functions(known).build().await.unwrap()
    };
    let (all, some) = (handle("").await, handle("hash.blake3/1").await);
    all.put_many(&graph.leaves).await.unwrap();
    all.insert(&graph.recipes).await.unwrap();
    let recipes: Vec<CAddr> = graph.recipes.iter().map(Recipe::addr).collect();
    let leaves = graph.leaves.iter().map(Blob::addr);
    let mut addrs: BTreeSet<CAddr> = recipes.iter().copied().chain(leaves).collect();
    for recipe in &recipes {
        if random.below(3) == 0 {
            all.materialize(*recipe).await.unwrap();
        }
    }
    for recipe in &recipes {
        match random.below(6) {
            0 => drop(store.forget(&[*recipe]).await.unwrap()),
            1 => {
                if let Some(output) = store.outputs(&[*recipe]).await.unwrap()[0] {
                    BlobStore::remove(&store, &[output.addr]).await.unwrap();
                }
            }
            _ => {}
        }
    }
    for leaf in &graph.leaves {
        if random.below(4) == 0 {
            BlobStore::remove(&store, &[leaf.addr()]).await.unwrap();
        }
    }
    addrs.insert(CAddr::of_blob(b"nowhere"));

    let listed: Vec<CAddr> = addrs.into_iter().collect();
    let mut told = BTreeMap::new();
    for (addr, state) in listed.iter().zip(some.states(&listed).await.unwrap()) {
        assert_eq!(state, expected(&store, *addr).await, "{addr}");
        assert_eq!(some.why(*addr, None).await.unwrap().state, state, "{addr}");
        told.insert(*addr, state);
    }
    for top in &listed {
        let whole = some.graph(*top).await.unwrap();
        check_shape(&store, &whole).await;
        for node in &whole.nodes {
            assert_eq!(node.state, told[&node.addr], "graph of {}", node.addr);
        }
        let explained = some.explain(*top).await.unwrap();
        let mut computed = 0;
        for node in &explained.nodes {
            assert_eq!(node.state, told[&node.addr], "explain of {}", node.addr);
            let same = self::node(&whole, node.addr);
            assert_eq!(
                (&same.function, same.output, same.len, same.inputs as usize),
                (&node.function, node.output, node.len, node.inputs.len())
            );
            computed += u64::from(node.state.is_computed());
        }
        assert_eq!(explained.forecast.computed, computed);

        let other = listed[random.below(listed.len() as u64) as usize];
        check_kind(&some, &whole.nodes[0], other).await;
        let depth = random.below(6) as u32;
        let near = |node: &&GraphNode| node.depth <= depth;
        let cut = some.graph(*top).depth(depth).await.unwrap();
        check_part(&whole, &cut, whole.nodes.iter().take_while(near).count());
        let limit = 1 + random.below(whole.nodes.len() as u64 + 2) as usize;
        let cut = some.graph(*top).limit(limit as u32).await.unwrap();
        check_part(&whole, &cut, limit.min(whole.nodes.len()));
    }
}

/// The state of an address for a handle that lacks `hash.blake3/1`, by calls for it alone.
async fn expected(store: &ModelStore, addr: CAddr) -> NodeState {
    let there = async |addr| store.stat(&[addr]).await.unwrap()[0].is_some();
    let Some(node) = store.get_one(addr).await.unwrap() else {
        return match there(addr).await {
            true => NodeState::Leaf,
            false => NodeState::Missing,
        };
    };
    let lacking = node.recipe.name() == "hash.blake3";
    match node.output {
        Some(output) if there(output.addr).await => NodeState::Present,
        _ if lacking => NodeState::UnknownFunction,
        Some(_) => NodeState::Lost,
        None => NodeState::Absent,
    }
}

/// Each node once, its edges as its recipe says, and what is listed is what the address is made from.
async fn check_shape(store: &ModelStore, graph: &Graph) {
    let top = graph.nodes[0].addr;
    let mut below = store.ancestors(top, Default::default()).await.unwrap();
    below.insert(0, top);
    let listed: Vec<CAddr> = graph.nodes.iter().map(|node| node.addr).collect();
    assert_eq!(listed, below);
    let mut edges = graph.edges.iter();
    let mut depths = vec![0; listed.len()];
    for (to, node) in graph.nodes.iter().enumerate() {
        let recipe = store.get_one(node.addr).await.unwrap();
        let inputs = recipe.iter().flat_map(|node| node.recipe.inputs());
        for (input, addr) in (0..).zip(inputs) {
            let edge = edges.next().unwrap();
            assert_eq!((edge.to as usize, edge.input), (to, input));
            assert_eq!(listed[edge.from as usize], addr);
            let depth = &mut depths[edge.from as usize];
            if *depth == 0 {
                *depth = node.depth + 1;
            }
        }
    }
    assert!(edges.next().is_none() && graph.is_complete());
    let told: Vec<u32> = graph.nodes.iter().map(|node| node.depth).collect();
    assert_eq!(told, depths);
}

/// What is cut off after some nodes lists all edges between these, and counts the others.
fn check_part(whole: &Graph, part: &Graph, nodes: usize) {
    assert_eq!(part.nodes, whole.nodes[..nodes]);
    let listed = |at: u32| (at as usize) < nodes;
    let within = |edge: &&deriva::admin::GraphEdge| listed(edge.from) && listed(edge.to);
    let edges: Vec<_> = whole.edges.iter().filter(within).copied().collect();
    assert_eq!(part.edges, edges);
    let all = whole.edges.iter().filter(|edge| listed(edge.to)).count();
    assert_eq!(part.left_out, (all - edges.len()) as u64);
}

/// What differs at the top between two addresses, by what is known of both.
async fn check_kind(deriva: &Deriva, now: &GraphNode, before: CAddr) {
    let diff = deriva.diff(before, now.addr).await.unwrap();
    let before = &deriva.graph(before).depth(0).await.unwrap().nodes[0];
    let top = diff
        .differences
        .iter()
        .find(|difference| difference.path.is_empty());
    let kind = top.map(|difference| &difference.kind);
    let is_blob = |node: &GraphNode| matches!(node.state, NodeState::Leaf | NodeState::Missing);
    let (before_is_blob, is_blob) = (is_blob(before), is_blob(now));
    if before.addr == now.addr {
        assert_eq!(kind, None);
    } else {
        assert_eq!(
            kind == Some(&DifferenceKind::BlobChanged),
            before_is_blob && is_blob
        );
        assert_eq!(
            kind == Some(&DifferenceKind::BlobBecameRecipe),
            before_is_blob && !is_blob
        );
        assert_eq!(
            kind == Some(&DifferenceKind::RecipeBecameBlob),
            !before_is_blob && is_blob
        );
    }
}
