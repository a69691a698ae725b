//! What those are told who wait for somebody else's work.

use std::future::IntoFuture;
use std::sync::atomic::Ordering::SeqCst;

use deriva::{Cutoff, DerivaBuilder, ErrorKind, StoreResults};

use crate::steps::{Works, in_time, settle, until};

/// E4: a step that its own request failed for want of time is made again by who joined it. Nothing tells them
/// apart but the kind of the error.
#[tokio::test]
async fn a_timeout_of_the_leader_is_not_that_of_who_joined() {
    for kind in [ErrorKind::Timeout, ErrorKind::Cancelled] {
        let works = Works::new().await;
        let leaf = works.leaf("leaf").await;
        let top = works.recipe("concat", &[leaf]).await;
        works.steps.hold(true);
        let leader = tokio::spawn(works.deriva.materialize(top).into_future());
        works.steps.reach(1).await;
        let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
        settle().await;
        works.steps.fail_next(kind);
        works.steps.hold(false);
        assert_eq!(
            in_time("the leader", leader)
                .await
                .unwrap()
                .unwrap_err()
                .kind(),
            kind
        );
        let done = in_time("the joiner", joiner).await.unwrap().unwrap();
        assert_eq!((done.summary.computed, works.steps.begun()), (1, 2));
        assert_eq!(works.output(top).await, Some(true));
        works.is_idle().await;
    }
}

/// E4: the same where the leader was dropped, and its step was left to who joined it.
#[tokio::test]
async fn a_timeout_of_a_step_that_was_handed_over_is_not_that_of_who_joined() {
    for kind in [ErrorKind::Timeout, ErrorKind::Cancelled] {
        let works = Works::new().await;
        let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
        works.steps.hold(true);
        let leader = tokio::spawn(works.deriva.materialize(top).into_future());
        works.steps.reach(1).await;
        let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
        settle().await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(works.steps.under_way(), 1, "it was left to who joined");
        works.steps.fail_next(kind);
        works.steps.hold(false);
        let done = in_time("the joiner", joiner).await.unwrap().unwrap();
        assert_eq!((done.summary.computed, works.steps.begun()), (1, 2));
        works.is_idle().await;
    }
}

/// E4: a failure, and a value, of a step that was handed over reach who joined it.
#[tokio::test]
async fn what_comes_of_a_step_that_was_handed_over_reaches_who_joined() {
    for fails in [false, true] {
        let works = Works::new().await;
        let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
        works.steps.hold(true);
        let leader = tokio::spawn(works.deriva.materialize(top).into_future());
        works.steps.reach(1).await;
        let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
        settle().await;
        leader.abort();
        settle().await;
        if fails {
            works.steps.fail_next(ErrorKind::Function);
        }
        works.steps.hold(false);
        let done = in_time("the joiner", joiner).await.unwrap();
        match fails {
            true => assert_eq!(done.unwrap_err().kind(), ErrorKind::Function),
            false => assert_eq!(done.unwrap().summary.joined, 1),
        }
        assert_eq!(works.steps.begun(), 1);
        works.is_idle().await;
    }
}

/// E11: a step that nobody waits for is given up with its request.
#[tokio::test]
async fn a_step_ends_with_the_last_who_waits_for_it() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.steps.hold(true);
    let request = tokio::spawn(works.deriva.materialize(top).into_future());
    works.steps.reach(1).await;
    request.abort();
    until("the step is given up", || works.steps.under_way() == 0).await;
    works.is_idle().await;
}

/// E4: a request whose handler panics fails alone; who joined it takes over.
#[tokio::test]
async fn a_leader_that_panics_leaves_an_answer() {
    crate::simulation::silence_planned_panics();
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.steps.hold(true);
    let leader = works.deriva.materialize(top).progress(|event| {
        assert!(
            !matches!(event, deriva::events::Event::Computed { .. }),
            "a planned panic"
        );
    });
    let leader = tokio::spawn(leader.into_future());
    works.steps.reach(1).await;
    let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
    settle().await;
    works.steps.hold(false);
    let error = in_time("the leader", leader).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let done = in_time("the joiner", joiner).await.unwrap().unwrap();
    assert_eq!(done.summary.computed, 1);
    works.is_idle().await;
}

/// What one request computed and did not store is stored by the one that joined it, if that keeps results.
#[tokio::test]
async fn what_the_leader_does_not_store_the_joiner_does() {
    let works = Works::new().await;
    let top = works.recipe("concat", &[works.leaf("leaf").await]).await;
    works.steps.hold(true);
    let leader = works
        .deriva
        .materialize(top)
        .store_results(StoreResults::None);
    let leader = tokio::spawn(leader.into_future());
    works.steps.reach(1).await;
    let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
    settle().await;
    works.steps.hold(false);
    let done = in_time("the joiner", joiner).await.unwrap().unwrap();
    assert_eq!((done.summary.joined, works.steps.begun()), (1, 1));
    assert_eq!(
        works.output(top).await,
        Some(true),
        "acknowledged and not stored"
    );
    leader.await.unwrap().unwrap();
    works.is_idle().await;
}

/// The same where the leader found the result under another name, stored, and did not record it under this one.
#[tokio::test]
async fn what_the_leader_cuts_off_and_does_not_record_the_joiner_does() {
    let works = Works::new().await;
    let (leaf, empty) = (works.leaf("leaf").await, works.leaf("").await);
    let (one, two) = (
        works.recipe("light", &[leaf]).await,
        works.recipe("concat", &[leaf, empty]).await,
    );
    let (known, top) = (
        works.recipe("big", &[one]).await,
        works.recipe("big", &[two]).await,
    );
    works
        .deriva
        .materialize(known)
        .cutoff(Cutoff::Always)
        .await
        .unwrap();
    works.steps.hold(true);
    let leader = works
        .deriva
        .materialize(top)
        .cutoff(Cutoff::Always)
        .store_results(StoreResults::None);
    let leader = tokio::spawn(leader.into_future());
    works.steps.reach(2).await;
    let joiner = tokio::spawn(works.deriva.materialize(top).into_future());
    settle().await;
    works.steps.hold(false);
    assert_eq!(
        in_time("the leader", leader)
            .await
            .unwrap()
            .unwrap()
            .summary
            .cutoff,
        1
    );
    let done = in_time("the joiner", joiner).await.unwrap().unwrap();
    assert_eq!((done.summary.joined, works.steps.begun()), (1, 2));
    assert_eq!(
        works.output(top).await,
        Some(true),
        "acknowledged and not recorded"
    );
    works.is_idle().await;
}

/// A request that begins after an invalidation is not answered from what another computed of a forgotten output,
/// whether that is recorded or not. The other has `two` of `one` at work while `one` is forgotten.
#[tokio::test]
async fn who_asks_after_an_invalidation_is_handed_nothing_from_before() {
    for results in [StoreResults::All, StoreResults::None] {
        let works = Works::new().await;
        let one = works.recipe("version", &[]).await;
        let two = works.recipe("concat", &[one]).await;
        works.deriva.get(one).await.unwrap();
        works.steps.hold(true);
        let before = works
            .deriva
            .materialize(two)
            .store_results(results)
            .cutoff(Cutoff::Never);
        let before = tokio::spawn(before.into_future());
        works.steps.reach(1).await;
        works.version.store(2, SeqCst);
        works.deriva.invalidate(one).await.unwrap();
        let deriva = works.deriva.clone();
        let after = tokio::spawn(async move { deriva.get(two).await });
        settle().await;
        works.steps.hold(false);
        assert_eq!(
            in_time("who asks", after).await.unwrap().unwrap(),
            "2",
            "{results:?}"
        );
        in_time("who asked before", before).await.unwrap().unwrap();
        works.deriva.cache().clear();
        assert_eq!(works.deriva.get(two).await.unwrap(), "2", "{results:?}");
        works.is_idle().await;
    }
}

/// What a request holds of an earlier plan of its own, and has not stored, is not built on in a later plan if
/// something was forgotten between. It has `one`; `two`, which it needs as well, is another's, who gives up.
#[tokio::test]
async fn what_is_carried_over_goes_where_something_was_forgotten() {
    let unstored =
        |builder: DerivaBuilder| builder.store_results_of("version", "1", StoreResults::None);
    let works = Works::with(unstored).await;
    let one = works.recipe("version", &[]).await;
    let two = works.recipe("concat", &[works.leaf("two").await]).await;
    let top = works.recipe("concat", &[one, two]).await;
    works.steps.hold(true);
    let other = tokio::spawn(works.deriva.materialize(two).into_future());
    works.steps.reach(1).await;
    let request = tokio::spawn(works.deriva.materialize(top).into_future());
    settle().await;
    works.version.store(2, SeqCst);
    works.deriva.invalidate(one).await.unwrap();
    works.steps.fail_next(ErrorKind::Timeout);
    works.steps.hold(false);
    in_time("the other", other).await.unwrap().unwrap_err();
    in_time("the request", request).await.unwrap().unwrap();
    assert_eq!(works.deriva.get(top).await.unwrap(), "2two");
    works.is_idle().await;
}
