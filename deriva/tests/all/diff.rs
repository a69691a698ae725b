//! What `diff` and `why` answer, and that they look at no more than differs.

use std::sync::Arc;

use deriva::admin::{Diff, DifferenceKind, NodeState};
use deriva::events::{Event, Reason};
use deriva::layers::DagLayer;
use deriva::prelude::*;
use deriva::stores::memory::MemoryStore;
use deriva_testkit::{CountingLayer, Operation};
use parking_lot::Mutex;

async fn memory() -> Deriva {
    let builder = Deriva::builder().store("memory:");
    let builder = builder.light_function("join", "1", |inputs, _| Ok(inputs.concat().into()));
    builder.build().await.unwrap()
}

fn of(function: &str, inputs: &[CAddr], params: Params) -> Recipe {
    Recipe::new(&function.parse().unwrap(), inputs, &params).unwrap()
}

async fn insert(deriva: &Deriva, function: &str, inputs: &[CAddr], params: Params) -> CAddr {
    deriva
        .dag()
        .insert(&[of(function, inputs, params)])
        .await
        .unwrap()[0]
}

async fn join(deriva: &Deriva, inputs: &[CAddr]) -> CAddr {
    insert(deriva, "join/1", inputs, Params::new()).await
}

fn kinds(diff: &Diff) -> Vec<DifferenceKind> {
    diff.differences
        .iter()
        .map(|difference| difference.kind.clone())
        .collect()
}

fn blob(name: &str) -> CAddr {
    CAddr::of_blob(name.as_bytes())
}

#[tokio::test]
async fn each_difference_is_named_with_the_way_to_it() {
    let deriva = memory().await;
    let (a, b) = (blob("a"), blob("b"));
    let params = |n: i64, text: &str| Params::new().with("n", n).with(text, true);
    let old = insert(&deriva, "text.top/1", &[a], params(3, "old")).await;
    let new = insert(&deriva, "text.top/2", &[b], params(4, "new")).await;
    let same = join(&deriva, &[a, b]).await;
    let (before, after) = (
        join(&deriva, &[same, old]).await,
        join(&deriva, &[same, new]).await,
    );

    let diff = deriva.diff(before, after).await.unwrap();
    let id = |text: &str| text.parse::<FunctionId>().unwrap();
    let param = |name: &str, from: Option<Value>, to: Option<Value>| DifferenceKind::ParamChanged {
        name: name.to_owned(),
        from,
        to,
    };
    assert_eq!(
        kinds(&diff),
        [
            DifferenceKind::VersionChanged {
                from: id("text.top/1"),
                to: id("text.top/2")
            },
            param("n", Some(3.into()), Some(4.into())),
            param("new", None, Some(true.into())),
            param("old", Some(true.into()), None),
            DifferenceKind::BlobChanged,
        ]
    );
    let leaf = diff.differences.last().unwrap();
    assert_eq!((leaf.before, leaf.after, &leaf.function), (a, b, &None));
    let way: Vec<_> = leaf
        .path
        .iter()
        .map(|passed| (passed.after, passed.input))
        .collect();
    assert_eq!(way, [(after, 1), (new, 0)]);
    assert_eq!(leaf.path[1].function, id("text.top/2"));
    assert_eq!((diff.compared, diff.truncated), (3, false));
    assert!(
        deriva
            .diff(after, after)
            .await
            .unwrap()
            .differences
            .is_empty()
    );
}

#[tokio::test]
async fn another_function_and_a_change_of_kind_are_told_apart() {
    let deriva = memory().await;
    let leaf = blob("leaf");
    let upper = insert(&deriva, "text.upper/1", &[leaf], Params::new()).await;
    let lower = insert(&deriva, "text.lower/1", &[leaf], Params::new()).await;
    let id = |text: &str| text.parse::<FunctionId>().unwrap();
    let changed = deriva.diff(upper, lower).await.unwrap();
    let function = DifferenceKind::FunctionChanged {
        from: id("text.upper/1"),
        to: id("text.lower/1"),
    };
    assert_eq!(kinds(&changed), [function]);
    let kind = |diff: Diff| kinds(&diff).remove(0);
    assert_eq!(
        kind(deriva.diff(leaf, upper).await.unwrap()),
        DifferenceKind::BlobBecameRecipe
    );
    assert_eq!(
        kind(deriva.diff(upper, leaf).await.unwrap()),
        DifferenceKind::RecipeBecameBlob
    );
}

#[tokio::test]
async fn inputs_that_come_or_go_do_not_shift_the_others() {
    let deriva = memory().await;
    let leaves: Vec<CAddr> = (0..5).map(|i| blob(&format!("{i}"))).collect();
    let all = join(&deriva, &leaves).await;
    let fewer = join(&deriva, &[leaves[0], leaves[1], leaves[3], leaves[4]]).await;
    let removed = DifferenceKind::InputRemoved {
        input: 2,
        addr: leaves[2],
    };
    assert_eq!(kinds(&deriva.diff(all, fewer).await.unwrap()), [removed]);
    let added = DifferenceKind::InputAdded {
        input: 2,
        addr: leaves[2],
    };
    assert_eq!(kinds(&deriva.diff(fewer, all).await.unwrap()), [added]);

    let turned = join(&deriva, &[leaves[1], leaves[0], leaves[3], leaves[4]]).await;
    let diff = deriva.diff(fewer, turned).await.unwrap();
    assert_eq!(kinds(&diff), [DifferenceKind::InputsReordered]);

    // One more, and one that changed: the changed one is paired with what it was.
    let new = blob("new");
    let more = join(&deriva, &[leaves[0], new, leaves[3], leaves[4], leaves[2]]).await;
    let diff = deriva.diff(fewer, more).await.unwrap();
    let added = DifferenceKind::InputAdded {
        input: 4,
        addr: leaves[2],
    };
    assert_eq!(kinds(&diff), [added, DifferenceKind::BlobChanged]);
    assert_eq!(
        (diff.differences[1].before, diff.differences[1].after),
        (leaves[1], new)
    );
    // Twice the same input is two inputs.
    let twice = join(&deriva, &[leaves[0], leaves[0]]).await;
    let once = join(&deriva, &[leaves[0]]).await;
    let gone = DifferenceKind::InputRemoved {
        input: 1,
        addr: leaves[0],
    };
    assert_eq!(kinds(&deriva.diff(twice, once).await.unwrap()), [gone]);
}

#[tokio::test]
async fn a_limit_ends_it_and_says_so() {
    let deriva = memory().await;
    let leaves = |name: &str| {
        (0..50)
            .map(|i| blob(&format!("{name}{i}")))
            .collect::<Vec<_>>()
    };
    let (before, after) = (
        join(&deriva, &leaves("a")).await,
        join(&deriva, &leaves("b")).await,
    );
    let some = deriva.diff_up_to(before, after, 10).await.unwrap();
    assert_eq!((some.differences.len(), some.truncated), (10, true));
    let all = deriva.diff_up_to(before, after, 50).await.unwrap();
    assert_eq!((all.differences.len(), all.truncated), (50, false));
}

/// A tree of 111,111 recipes over 100,000 leaves, in which one leaf changed.
#[tokio::test]
async fn one_changed_leaf_of_a_hundred_thousand_is_found_along_one_path() {
    let counting = CountingLayer::new();
    let store = Arc::new(MemoryStore::new());
    let dag = DagLayer::wrap(&counting, store.clone());
    let deriva = Deriva::builder()
        .blobs(store as Arc<dyn BlobStore>)
        .dag(dag);
    let deriva = deriva.build().await.unwrap();
    let tree = async |changed: Option<usize>| {
        let name = |i: usize| {
            if Some(i) == changed {
                "changed".to_owned()
            } else {
                i.to_string()
            }
        };
        let mut layer: Vec<CAddr> = (0..100_000).map(|i| blob(&name(i))).collect();
        while layer.len() > 1 {
            let recipes: Vec<Recipe> = layer
                .chunks(10)
                .map(|inputs| of("join/1", inputs, Params::new()))
                .collect();
            layer = deriva.dag().insert(&recipes).await.unwrap();
        }
        layer[0]
    };
    let (before, after) = (tree(None).await, tree(Some(31_415)).await);
    let counts = counting.counts();
    counts.reset();
    let diff = deriva.diff(before, after).await.unwrap();
    assert_eq!(kinds(&diff), [DifferenceKind::BlobChanged]);
    let way: Vec<u32> = diff.differences[0]
        .path
        .iter()
        .map(|passed| passed.input)
        .collect();
    assert_eq!(way, [3, 1, 4, 1, 5]);
    // Five recipes above each other and a leaf: a look-up each, of two addresses.
    assert_eq!(
        (
            counts.of(Operation::DagGetMany),
            counts.total(),
            diff.compared
        ),
        (6, 6, 6)
    );
}

#[tokio::test]
async fn a_deep_graph_is_walked_without_recursion_and_its_path_is_cut() {
    let deriva = memory().await;
    let chain = async |leaf: &str| {
        let mut below = blob(leaf);
        let mut recipes = Vec::new();
        for _ in 0..20_000 {
            recipes.push(of("join/1", &[below], Params::new()));
            below = recipes[recipes.len() - 1].addr();
        }
        deriva.dag().insert(&recipes).await.unwrap();
        below
    };
    let (before, after) = (chain("a").await, chain("b").await);
    let diff = deriva.diff(before, after).await.unwrap();
    assert_eq!(kinds(&diff), [DifferenceKind::BlobChanged]);
    let leaf = &diff.differences[0];
    assert_eq!(
        (leaf.path.len() as u64 + leaf.above, diff.compared),
        (20_000, 20_001)
    );
    assert!(leaf.path.len() < 100);
}

#[tokio::test]
async fn why_tells_what_became_of_an_output() {
    let deriva = memory().await;
    let leaf = deriva.put("x").await.unwrap();
    let below = join(&deriva, &[leaf, leaf]).await;
    let top = join(&deriva, &[below, leaf]).await;
    let told = async |addr| {
        let why = deriva.why(addr, None).await.unwrap();
        (why.state, why.forgotten)
    };
    assert_eq!(told(leaf).await, (NodeState::Leaf, false));
    assert_eq!(told(blob("nowhere")).await, (NodeState::Missing, false));
    assert_eq!(told(below).await, (NodeState::Absent, false));
    deriva.get(top).await.unwrap();
    assert_eq!(told(below).await, (NodeState::Present, false));
    deriva.dag().forget(&[below]).await.unwrap();
    assert_eq!(told(below).await, (NodeState::Absent, true));
    let output = deriva
        .dag()
        .get_one(top)
        .await
        .unwrap()
        .unwrap()
        .output
        .unwrap();
    deriva.blobs().remove(&[output.addr]).await.unwrap();
    assert_eq!(told(top).await, (NodeState::Lost, false));

    let other = join(&deriva, &[below, below]).await;
    let why = deriva.why(other, Some(top)).await.unwrap();
    assert_eq!((why.state, why.forgotten), (NodeState::Absent, false));
    assert_eq!(
        kinds(&why.diff.unwrap()),
        [DifferenceKind::BlobBecameRecipe]
    );
}

#[tokio::test]
async fn events_carry_the_reason() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("heavy", "1", |inputs, _| Ok(inputs.concat().into()))
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let heavy = insert(&deriva, "heavy/1", &[leaf, leaf], Params::new()).await;
    let seen = async || {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::clone(&seen);
        let request = deriva
            .materialize(heavy)
            .progress(move |event| match event {
                Event::Started { reason, .. } => events.lock().push(("started", *reason)),
                Event::Computed { reason, .. } => events.lock().push(("computed", *reason)),
                _ => {}
            });
        request.await.unwrap();
        Arc::into_inner(seen).map(Mutex::into_inner)
    };
    let of = |reason| Some(vec![("started", reason), ("computed", reason)]);
    assert_eq!(seen().await, of(Reason::New));
    let output = deriva
        .dag()
        .get_one(heavy)
        .await
        .unwrap()
        .unwrap()
        .output
        .unwrap();
    deriva.blobs().remove(&[output.addr]).await.unwrap();
    assert_eq!(seen().await, of(Reason::Lost));
}
