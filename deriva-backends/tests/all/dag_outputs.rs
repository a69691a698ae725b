//! Outputs: the first stays, resolved rows lie beside the others, counts are exact.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use crate::common::{Store, leaf, output, recipe, record};
use deriva_api::{DagUsage, Divergence, ErrorKind, Record};
use rstest::rstest;

#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("sled:PATH?durability=buffered")]
#[case("redb:PATH?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?durability=buffered"))]
#[tokio::test]
async fn the_first_output_stays_until_it_is_forgotten(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let dag = store.dag();
    let (a, b) = (recipe("f/1", &[leaf(1)]), recipe("g/1", &[leaf(1)]));
    dag.insert(&[a.clone(), b.clone()]).await.unwrap();

    let unknown = recipe("h/1", &[]);
    let batch = [
        record(a.addr(), output("x")),
        record(unknown.addr(), output("x")),
    ];
    let error = dag.record(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.context("addr"),
        Some(unknown.addr().to_string().as_str())
    );
    assert_eq!(
        dag.outputs(&[a.addr()]).await.unwrap(),
        [None],
        "nothing of it"
    );

    assert_eq!(
        dag.record(&[record(a.addr(), output("x"))]).await.unwrap(),
        []
    );
    let mut again = output("x");
    again.cost *= 9;
    assert_eq!(dag.record(&[record(a.addr(), again)]).await.unwrap(), []);
    let divergence = Divergence {
        addr: a.addr(),
        recorded: output("x"),
        offered: output("y"),
    };
    let batch = [record(a.addr(), output("y")), record(b.addr(), output("b"))];
    assert_eq!(dag.record(&batch).await.unwrap(), [divergence]);
    drop(dag);
    store.reopen().await;

    let dag = store.dag();
    let both = [a.addr(), b.addr()];
    let expected = [Some(output("x")), Some(output("b"))];
    assert_eq!(dag.outputs(&both).await.unwrap(), expected);
    let nodes = dag
        .get_many(&[b.addr(), unknown.addr(), b.addr()])
        .await
        .unwrap();
    assert!(nodes[1].is_none());
    for node in [&nodes[0], &nodes[2]] {
        let node = node.as_ref().unwrap();
        assert_eq!((&node.recipe, node.output), (&b, Some(output("b"))));
    }
    assert_eq!(
        dag.forget(&[a.addr(), unknown.addr(), a.addr()])
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        dag.record(&[record(a.addr(), output("y"))]).await.unwrap(),
        []
    );
    assert_eq!(dag.remove(&[a.addr()]).await.unwrap(), 1);
    assert_eq!(dag.outputs(&both).await.unwrap(), [None, Some(output("b"))]);
    let expected = DagUsage {
        recipes: 1,
        outputs: 1,
        roots: 0,
    };
    assert_eq!(dag.usage().await.unwrap(), Some(expected));
}

#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn resolved_rows_count_only_once_they_are_recipes(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let dag = store.dag();
    let a = recipe("f/1", &[leaf(1)]);
    let resolved = recipe("f/1", &[leaf(2)]);
    let row = |output| Record {
        addr: a.addr(),
        resolved: Some(resolved.addr()),
        output,
    };
    let usage = |recipes, outputs| {
        Some(DagUsage {
            recipes,
            outputs,
            roots: 0,
        })
    };

    dag.insert(&[a.clone()]).await.unwrap();
    assert_eq!(dag.record(&[row(output("x"))]).await.unwrap(), []);
    let diverged = dag.record(&[row(output("y"))]).await.unwrap();
    let addrs: Vec<_> = diverged.iter().map(|divergence| divergence.addr).collect();
    assert_eq!(addrs, [a.addr(), resolved.addr()]);
    assert_eq!(
        dag.outputs(&[resolved.addr()]).await.unwrap(),
        [Some(output("x"))]
    );
    assert!(dag.get_many(&[resolved.addr()]).await.unwrap()[0].is_none());
    assert_eq!(dag.usage().await.unwrap(), usage(1, 1));
    drop(dag);
    store.reopen().await;

    let dag = store.dag();
    dag.insert(&[resolved.clone()]).await.unwrap();
    assert_eq!(dag.usage().await.unwrap(), usage(2, 2));
    let node = dag
        .get_many(&[resolved.addr()])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(node.output, Some(output("x")));
    assert_eq!(dag.forget(&[resolved.addr()]).await.unwrap(), 1);
    assert_eq!(dag.usage().await.unwrap(), usage(2, 1));
    assert_eq!(dag.remove(&[resolved.addr(), a.addr()]).await.unwrap(), 2);
    assert_eq!(dag.usage().await.unwrap(), usage(0, 0));
    // An output of a resolved recipe that never was a recipe goes with `forget`.
    dag.insert(&[a.clone()]).await.unwrap();
    dag.record(&[row(output("x"))]).await.unwrap();
    assert_eq!(dag.forget(&[resolved.addr(), a.addr()]).await.unwrap(), 2);
    assert_eq!(dag.usage().await.unwrap(), usage(1, 0));
}
