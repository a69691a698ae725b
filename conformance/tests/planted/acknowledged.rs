//! What an answer promises is in the store when it is given.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use deriva::admin::CollectPolicy;
use deriva::layers::{BlobLayer, DagLayer};
use deriva::stores::{BlobStore, DagStore};
use deriva::{CAddr, ErrorKind, StoreResults};
use deriva_testkit::{FaultLayer, ModelStore, Operation};

use crate::steps::{Works, in_time, settle};

/// What the store refuses nobody is told to be done.
#[tokio::test]
async fn an_error_of_the_store_is_told() {
    let works = Works::new().await;
    let leaf = works.leaf("leaf").await;
    let top = works.recipe("concat", &[leaf]).await;
    let (deriva, faults) = (&works.deriva, works.faults.faults());
    deriva.set_root("old", leaf).await.unwrap();
    for operation in [
        Operation::BlobPut,
        Operation::BlobFinish,
        Operation::DagInsert,
        Operation::DagSetRoot,
        Operation::DagRemoveRoot,
        Operation::DagRecord,
        Operation::BlobFlush,
        Operation::DagFlush,
    ] {
        faults.fail_all(operation, ErrorKind::Full);
        let told = match operation {
            Operation::BlobPut => deriva.put("new").await.map(drop),
            Operation::BlobFinish => deriva.put_reader(&b"new"[..]).await.map(drop),
            Operation::DagInsert => deriva
                .insert(&[works.build("light", &[leaf])])
                .await
                .map(drop),
            Operation::DagSetRoot => deriva.set_root("new", leaf).await,
            Operation::DagRemoveRoot => deriva.remove_root("old").await.map(drop),
            Operation::DagRecord => deriva.materialize(top).await.map(drop),
            _ => deriva.flush().await,
        };
        faults.clear();
        assert_eq!(
            told.map_err(|error| error.kind()),
            Err(ErrorKind::Full),
            "{operation:?}"
        );
    }
    assert_eq!(deriva.get(top).await.unwrap(), "leaf");
    works.is_idle().await;
}

/// An invalidation waits for results that were let through to the store before it, and forgets them with the rest.
#[tokio::test]
async fn an_invalidation_forgets_what_was_on_its_way() {
    let works = Works::new().await;
    let one = works.recipe("version", &[]).await;
    works.faults.faults().hang(Operation::DagRecord);
    let request = tokio::spawn(works.deriva.materialize(one).into_future());
    settle().await;
    works.version.store(2, SeqCst);
    let forgetting = tokio::spawn(works.deriva.invalidate(one).into_future());
    settle().await;
    works.faults.faults().clear();
    in_time("the request", request).await.unwrap().unwrap();
    in_time("the invalidation", forgetting)
        .await
        .unwrap()
        .unwrap();
    works.is_idle().await;
    assert_eq!(
        works.output(one).await,
        None,
        "forgotten, and recorded after that"
    );
    assert_eq!(works.deriva.get(one).await.unwrap(), "2");
}

/// When an invalidation is told to be done, all of it is, however many batches that takes.
#[tokio::test]
async fn an_invalidation_is_done_when_it_says_so() {
    let works = Works::new().await;
    let mut recipes = Vec::new();
    for n in 0..1300 {
        recipes.push(works.build("light", &[works.leaf(&n.to_string()).await]));
    }
    let addrs = works.deriva.insert(&recipes).await.unwrap();
    works.deriva.materialize_many(addrs.clone()).await.unwrap();
    let id = deriva::FunctionId::new("light", "1").unwrap();
    let done = works.deriva.invalidate_function(&id).await.unwrap();
    assert_eq!((done.recipes, done.outputs), (1300, 1300));
    let left = works.raw.outputs(&addrs).await.unwrap();
    assert_eq!(left.iter().flatten().count(), 0);
    works.is_idle().await;
}

/// What is forgotten is served from nowhere, not even from memory.
#[tokio::test]
async fn what_is_forgotten_is_served_from_nowhere() {
    let works = Works::new().await;
    let one = works.recipe("version", &[]).await;
    for version in ["1", "2", "3"] {
        works.version.store(version.parse().unwrap(), SeqCst);
        works.deriva.invalidate(one).await.unwrap();
        for _ in 0..2 {
            assert_eq!(works.deriva.get(one).await.unwrap(), version);
        }
    }
    works.is_idle().await;
}

/// A collection takes no blob of an output whose loss it could not make durable: after a crash the output would
/// be there without its blob.
#[tokio::test]
async fn a_collection_removes_no_blob_before_the_graph_is_flushed() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    let content = works.deriva.materialize(top).await.unwrap().results[0]
        .clone()
        .unwrap()
        .addr;
    works
        .faults
        .faults()
        .fail_all(Operation::DagFlush, ErrorKind::Full);
    let collected = works.deriva.collect().await;
    assert_eq!(collected.unwrap_err().kind(), ErrorKind::Full);
    assert!(works.has_blob(content).await);
    works.faults.faults().clear();
    let policy = CollectPolicy::default().unreferenced_blobs(true);
    works.deriva.collect().policy(policy).await.unwrap();
    assert!(!works.has_blob(content).await);
    works.is_idle().await;
}

/// Nor does it take one before the output is forgotten.
#[tokio::test]
async fn a_collection_removes_no_blob_before_its_output_is_forgotten() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.deriva.materialize(top).await.unwrap();
    for operation in [Operation::DagForget, Operation::BlobRemove] {
        works.faults.faults().fail_all(operation, ErrorKind::Full);
        works.deriva.collect().await.unwrap_err();
        works.faults.faults().clear();
        assert_ne!(
            works.output(top).await,
            Some(false),
            "an output without its blob"
        );
    }
    works.is_idle().await;
}

/// A collection is told to be done when its last batch is taken.
#[tokio::test]
async fn a_collection_is_done_when_it_says_so() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.deriva.materialize(top).await.unwrap();
    works.faults.faults().hang(Operation::BlobRemove);
    let collecting = tokio::spawn(works.deriva.collect().into_future());
    settle().await;
    assert!(!collecting.is_finished());
    works.faults.faults().clear();
    assert_eq!(
        in_time("the collection", collecting)
            .await
            .unwrap()
            .unwrap()
            .blobs,
        1
    );
    works.is_idle().await;
}

/// A scrub counts as healed what is stored again, whatever results this runtime keeps, and nothing else.
#[tokio::test]
async fn what_a_scrub_healed_is_stored() {
    for results in [StoreResults::All, StoreResults::None] {
        let works = Works::with(|builder| builder.store_results(results)).await;
        let leaf = works.leaf("leaf").await;
        let top = works.recipe("concat", &[leaf, leaf]).await;
        let request = works
            .deriva
            .materialize(top)
            .store_results(StoreResults::All);
        let content = request.await.unwrap().results[0].clone().unwrap().addr;
        BlobStore::remove(&works.raw, &[content]).await.unwrap();
        works
            .faults
            .faults()
            .fail_all(Operation::BlobPut, ErrorKind::Full);
        let done = works.deriva.scrub().await.unwrap();
        works.faults.faults().clear();
        assert_eq!(
            (done.missing, done.healed, done.unhealed),
            (1, 0, 1),
            "{results:?}"
        );
        let done = works.deriva.scrub().await.unwrap();
        assert_eq!(
            (done.missing, done.healed, done.unhealed),
            (1, 1, 0),
            "{results:?}, {:?}",
            done.findings
        );
        assert!(
            works.has_blob(content).await,
            "healed and not stored: {results:?}"
        );
        works.is_idle().await;
    }
}

/// What a request computed that is dropped is stored all the same, also what waited for another batch.
#[tokio::test]
async fn a_dropped_request_stores_what_it_computed() {
    let works = Works::new().await;
    let below = works.recipe("light", &[works.leaf("leaf").await]).await;
    let top = works.recipe("concat", &[below]).await;
    works.faults.faults().hang(Operation::BlobPut);
    works.steps.hold(true);
    let request = tokio::spawn(works.deriva.materialize(top).into_future());
    works.steps.reach(1).await;
    settle().await;
    works.steps.hold(false);
    settle().await;
    assert!(!request.is_finished(), "answered before it is stored");
    request.abort();
    request.await.unwrap_err();
    works.faults.faults().clear();
    works.is_idle().await;
    for addr in [below, top] {
        assert_eq!(
            works.output(addr).await,
            Some(true),
            "computed and not stored"
        );
    }
}

/// Unstored results, and those of roots, are as the policy says when the request is answered.
#[tokio::test]
async fn what_a_policy_keeps_is_stored_when_the_request_is_answered() {
    let works = Works::new().await;
    let below = works.recipe("light", &[works.leaf("leaf").await]).await;
    let top = works.recipe("concat", &[below]).await;
    works.deriva.set_root("top", top).await.unwrap();
    let policies = [
        (StoreResults::None, [None, None]),
        (StoreResults::Roots, [None, Some(true)]),
        (StoreResults::All, [Some(true), Some(true)]),
    ];
    for (results, kept) in policies {
        let done = works
            .deriva
            .materialize(top)
            .store_results(results)
            .await
            .unwrap();
        assert!(done.results[0].is_ok());
        assert_eq!(
            [works.output(below).await, works.output(top).await],
            kept,
            "{results:?}"
        );
        works.deriva.invalidate(top).await.unwrap();
    }
    works.is_idle().await;
}

/// A store under layers that is flushed is flushed on both sides.
#[tokio::test]
async fn a_flush_reaches_both_stores() {
    for of_graph in [false, true] {
        let (store, layer) = (ModelStore::new(), FaultLayer::new());
        let (mut blobs, mut dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
            (Arc::new(store.clone()), Arc::new(store));
        match of_graph {
            true => dag = DagLayer::wrap(&layer, dag),
            false => blobs = BlobLayer::wrap(&layer, blobs),
        }
        let deriva = deriva::builder()
            .blobs(blobs)
            .dag(dag)
            .build()
            .await
            .unwrap();
        layer
            .faults()
            .fail_all(Operation::DagFlush, ErrorKind::Full);
        if !of_graph {
            layer
                .faults()
                .fail_all(Operation::BlobFlush, ErrorKind::Full);
        }
        assert_eq!(deriva.flush().await.unwrap_err().kind(), ErrorKind::Full);
    }
}

/// All that is taken by a collection may be put and inserted again.
#[tokio::test]
async fn what_a_collection_took_can_be_added_again() {
    let works = Works::new().await;
    let mut digests: Vec<CAddr> = Vec::new();
    for _ in 0..2 {
        let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
        assert_eq!(works.deriva.get(top).await.unwrap(), "leaf");
        digests.push(works.deriva.state_digest().await.unwrap());
        let policy = CollectPolicy::default().unreferenced_blobs(true);
        works.deriva.collect().policy(policy).await.unwrap();
    }
    assert_eq!(digests[0], digests[1]);
    works.is_idle().await;
}
