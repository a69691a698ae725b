//! What a collection leaves alone because somebody relies on it.

use std::future::IntoFuture;

use deriva::admin::{CollectPolicy, Collected};
use deriva::{CAddr, ErrorKind, Result};
use deriva_testkit::Operation;
use tokio::task::JoinHandle;

use crate::steps::{Works, in_time, settle};

fn begin(works: &Works) -> JoinHandle<Result<Collected>> {
    let policy = CollectPolicy::default().unreferenced_blobs(true);
    tokio::spawn(works.deriva.collect().policy(policy).into_future())
}

/// Collects everything that nobody needs, and is held up at its first call of `operation` while `work` is done.
async fn beside(works: &Works, operation: Operation, work: impl Future<Output = ()>) {
    works.faults.faults().hang(operation);
    let collecting = begin(works);
    settle().await;
    assert!(!collecting.is_finished());
    in_time("what is done beside a collection", work).await;
    works.faults.faults().clear();
    in_time("the collection", collecting)
        .await
        .unwrap()
        .unwrap();
    works.is_idle().await;
}

/// What is put while a collection runs that has found it unreferenced stays, whichever way it is put.
#[tokio::test]
async fn what_is_put_again_stays() {
    for way in ["put", "put_many", "put_missing", "put_reader"] {
        let works = Works::new().await;
        let leaf = works.leaf("leaf").await;
        let other = works.leaf("other").await;
        beside(&works, Operation::DagRoots, async {
            match way {
                "put" => drop(works.deriva.put("leaf").await.unwrap()),
                "put_many" => works
                    .deriva
                    .put_many(&[deriva::Blob::new("leaf")])
                    .await
                    .unwrap(),
                "put_missing" => works
                    .deriva
                    .put_missing(&[deriva::Blob::new("leaf")])
                    .await
                    .unwrap(),
                _ => drop(works.deriva.put_reader(&b"leaf"[..]).await.unwrap()),
            }
        })
        .await;
        assert!(works.has_blob(leaf).await, "{way}: acknowledged and taken");
        assert!(!works.has_blob(other).await);
    }
}

/// So do a recipe that is inserted again, and what a new recipe names.
#[tokio::test]
async fn what_is_inserted_and_what_it_needs_stays() {
    let works = Works::new().await;
    let leaf = works.leaf("leaf").await;
    let below = works.recipe("light", &[leaf]).await;
    let again = works.build("concat", &[leaf]);
    works.recipe("concat", &[leaf]).await;
    let above = works.build("concat", &[below, leaf]);
    works.deriva.get(below).await.unwrap();
    beside(&works, Operation::DagRoots, async {
        works
            .deriva
            .insert(&[again.clone(), above.clone()])
            .await
            .unwrap();
    })
    .await;
    assert_eq!(works.output(below).await, Some(true));
    works.deriva.cache().clear();
    assert_eq!(works.deriva.get(again.addr()).await.unwrap(), "leaf");
    assert_eq!(works.deriva.get(above.addr()).await.unwrap(), "leafleaf");
}

/// So does what an insert that is under way will name, before there is anything to see of it.
#[tokio::test]
async fn what_an_insert_under_way_needs_stays() {
    let works = Works::new().await;
    let below = works.recipe("light", &[works.leaf("leaf").await]).await;
    works.deriva.get(below).await.unwrap();
    let above = works.build("concat", &[below]);
    works.faults.faults().hang(Operation::DagInsert);
    let (deriva, recipe) = (works.deriva.clone(), above.clone());
    let inserting = tokio::spawn(async move { deriva.insert(&[recipe]).await });
    settle().await;
    let collecting = begin(&works);
    settle().await;
    works.faults.faults().clear();
    inserting.await.unwrap().unwrap();
    in_time("the collection", collecting)
        .await
        .unwrap()
        .unwrap();
    works.deriva.cache().clear();
    assert_eq!(works.deriva.get(above.addr()).await.unwrap(), "leaf");
    works.is_idle().await;
}

/// So does what is rooted or leased, before the first batch is taken.
#[tokio::test]
async fn what_is_rooted_or_leased_stays() {
    for is_rooted in [false, true] {
        let works = Works::new().await;
        let below = works.recipe("light", &[works.leaf("leaf").await]).await;
        let top = works.recipe("concat", &[below]).await;
        works.deriva.get(top).await.unwrap();
        let lease = works.deriva.lease();
        // The roots are read; it looks for recipes that nothing depends on.
        works.faults.faults().hang(Operation::DagDependents);
        let collecting = begin(&works);
        settle().await;
        match is_rooted {
            true => works.deriva.set_root("top", top).await.unwrap(),
            false => lease.protect(top).await,
        }
        drop(lease);
        works.faults.faults().clear();
        in_time("the collection", collecting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(works.output(top).await, Some(true));
        assert_eq!(works.output(below).await, Some(true));
        works.is_idle().await;
    }
}

/// Collects everything that nobody needs, and roots `addr` while the first batch waits until nobody adds: that is the
/// last moment.
async fn rooted_at_the_last_moment(works: &Works, addr: CAddr) -> Collected {
    works.faults.faults().hang(Operation::BlobPut);
    let deriva = works.deriva.clone();
    let putting = tokio::spawn(async move { deriva.put("it holds the batch up").await });
    settle().await;
    let collecting = begin(works);
    settle().await;
    let deriva = works.deriva.clone();
    let rooting = tokio::spawn(async move { deriva.set_root("root", addr).await });
    settle().await;
    assert!(!collecting.is_finished() && !rooting.is_finished());
    works.faults.faults().clear();
    putting.await.unwrap().unwrap();
    rooting.await.unwrap().unwrap();
    let collected = in_time("the collection", collecting).await.unwrap();
    collected.unwrap()
}

/// So does what is rooted at the last moment.
#[tokio::test]
async fn what_is_leased_at_the_last_moment_stays() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.deriva.get(top).await.unwrap();
    assert_eq!(rooted_at_the_last_moment(&works, top).await.recipes, 0);
    assert_eq!(works.output(top).await, Some(true));
    works.is_idle().await;
}

/// So does a blob.
#[tokio::test]
async fn a_blob_that_is_rooted_at_the_last_moment_stays() {
    let works = Works::new().await;
    let leaf = works.leaf("leaf").await;
    assert_eq!(rooted_at_the_last_moment(&works, leaf).await.blobs, 0);
    assert!(works.has_blob(leaf).await);
    works.is_idle().await;
}

/// So does an output that a quota is about to drop.
#[tokio::test]
async fn what_is_leased_before_a_quota_drops_it_stays() {
    for is_leased in [false, true] {
        let works = Works::new().await;
        let below = works.recipe("big", &[works.leaf("leaf").await]).await;
        let top = works.recipe("big", &[below]).await;
        works.deriva.materialize(top).await.unwrap();
        works.deriva.set_root("top", top).await.unwrap();
        works.faults.faults().hang(Operation::BlobPut);
        let deriva = works.deriva.clone();
        let putting = tokio::spawn(async move { deriva.put("it holds the batch up").await });
        settle().await;
        let policy = CollectPolicy::default().derived_bytes_at_most(0);
        let collecting = works.deriva.collect().policy(policy);
        let collecting = tokio::spawn(collecting.into_future());
        settle().await;
        assert!(!collecting.is_finished());
        let lease = works.deriva.lease();
        let leasing = async {
            if is_leased {
                lease.protect(below).await;
            }
        };
        let going_on = async {
            settle().await;
            works.faults.faults().clear();
        };
        futures::join!(leasing, going_on);
        putting.await.unwrap().unwrap();
        in_time("the collection", collecting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(works.output(below).await.is_some(), is_leased);
        drop(lease);
        works.is_idle().await;
    }
}

/// So does what a request needs from its first step to its last, though nothing names it.
#[tokio::test]
async fn what_a_request_needs_stays() {
    let works = Works::new().await;
    let (leaf, late) = (works.leaf("leaf").await, works.leaf("late").await);
    let known = works.recipe("light", &[leaf]).await;
    works.deriva.get(known).await.unwrap();
    let held = works.recipe("concat", &[leaf]).await;
    let top = works.recipe("concat", &[held, known, late]).await;
    works.steps.hold(true);
    let request = tokio::spawn(works.deriva.materialize(top).into_future());
    works.steps.reach(1).await;
    in_time("the collection", begin(&works))
        .await
        .unwrap()
        .unwrap();
    works.steps.hold(false);
    in_time("the request", request).await.unwrap().unwrap();
    assert_eq!(works.deriva.get(top).await.unwrap(), "leafleaflate");
    works.is_idle().await;
}

/// A request records its outputs while a collection runs that has found their blobs, of an earlier life,
/// unreferenced. No output is without its blob afterwards.
#[tokio::test]
async fn what_is_being_recorded_stays() {
    for is_dropped in [false, true] {
        let works = Works::new().await;
        let below = works.recipe("light", &[works.leaf("leaf").await]).await;
        let top = works.recipe("concat", &[below, below]).await;
        works.deriva.set_root("top", top).await.unwrap();
        works.deriva.get(top).await.unwrap();
        for addr in [below, top] {
            works.deriva.invalidate(addr).await.unwrap();
        }
        works.steps.hold(true);
        let begun = works.steps.begun();
        let request = tokio::spawn(works.deriva.materialize(top).into_future());
        works.steps.reach(begun + 1).await;
        beside(&works, Operation::DagRoots, async {
            works.steps.hold(false);
            if is_dropped {
                settle().await;
                request.abort();
                request.await.ok();
            } else {
                request.await.unwrap().unwrap();
            }
            settle().await;
        })
        .await;
        for addr in [below, top] {
            assert_ne!(
                works.output(addr).await,
                Some(false),
                "an output without its blob"
            );
        }
    }
}

/// A reader keeps what it reads until it is dropped, and no longer.
#[tokio::test]
async fn a_reader_keeps_what_it_reads() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    let mut reader = works.deriva.open(top).await.unwrap();
    in_time("the collection", begin(&works))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(reader.next_chunk().await.unwrap().unwrap(), "leaf");
    drop(reader);
    in_time("the collection", begin(&works))
        .await
        .unwrap()
        .unwrap();
    let gone: Result<_> = works.deriva.get(top).await;
    assert!(
        works.deriva.cache().get(top).is_some() || gone.unwrap_err().kind() == ErrorKind::NotFound
    );
    assert_eq!(works.output(top).await, None);
    works.is_idle().await;
}

/// `get` keeps what it asks for until it has the bytes in hand.
#[tokio::test]
async fn what_is_got_stays_until_it_is_read() {
    let works = Works::with(|builder| builder.cache_bytes(0).memory(1 << 9)).await;
    let top = works.recipe("big", &[works.leaf("leaf").await]).await;
    works.faults.faults().hang(Operation::BlobGet);
    let deriva = works.deriva.clone();
    let getting = tokio::spawn(async move { deriva.get(top).await });
    settle().await;
    let collecting = begin(&works);
    settle().await;
    works.faults.faults().clear();
    assert_eq!(
        in_time("the read", getting).await.unwrap().unwrap().len(),
        64 << 10
    );
    in_time("the collection", collecting)
        .await
        .unwrap()
        .unwrap();
    works.is_idle().await;
}
