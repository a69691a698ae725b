//! What a request computes, reuses, heals, shares and reports.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deriva::prelude::*;

async fn memory() -> Deriva {
    Deriva::builder().store("memory:").build().await.unwrap()
}

async fn recipe(deriva: &Deriva, name: &str, inputs: &[CAddr]) -> CAddr {
    let inputs = inputs.iter().copied();
    deriva
        .recipe(name, "1")
        .inputs(inputs)
        .insert()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_graph_of_light_and_heavy_functions_computes_each_node_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let deriva = Deriva::builder()
        .store("memory:")
        .function("heavy", "1", move |inputs, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(inputs.concat().into())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("ab").await.unwrap();
    let shared = recipe(&deriva, "heavy", &[leaf]).await;
    let left = recipe(&deriva, "text.upper", &[shared]).await;
    let right = recipe(&deriva, "heavy", &[shared, leaf]).await;
    let top = recipe(&deriva, "bytes.concat", &[left, right, shared]).await;
    assert_eq!(deriva.get(top).await.unwrap(), "ABababab");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let again = deriva.materialize(top).await.unwrap().summary;
    assert_eq!((again.computed, again.reused), (0, 1));
}

#[tokio::test]
async fn missing_inputs_and_unknown_functions_are_all_listed_before_any_work() {
    let deriva = memory().await;
    let gone = [CAddr::of_blob(b"gone 1"), CAddr::of_blob(b"gone 2")];
    let one = recipe(&deriva, "text.upper", &[gone[0]]).await;
    let two = deriva
        .recipe("no.such", "7")
        .inputs([one, gone[1]])
        .insert()
        .await
        .unwrap();
    let top = recipe(&deriva, "bytes.concat", &[one, two]).await;
    let error = deriva.get(top).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.context("unknown_functions"), Some("no.such/7"));
    assert!(
        error
            .context("missing")
            .unwrap()
            .contains(&gone[0].to_string()),
        "{error}"
    );
    assert_eq!(error.path().first(), Some(&top));
    let explained = deriva.explain(top).await.unwrap();
    assert_eq!(explained.unknown_functions.len(), 1);
}

#[tokio::test]
async fn a_failure_and_a_panic_carry_the_path() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("fail", "1", |_, _| {
            Err(Error::new(ErrorKind::Function, "as it should"))
        })
        .light_function("panic", "1", |_, _| panic!("on purpose"))
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    for name in ["fail", "panic"] {
        let bad = deriva.recipe(name, "1").input(leaf).insert().await.unwrap();
        let mid = recipe(&deriva, "text.lower", &[bad]).await;
        let top = recipe(&deriva, "text.upper", &[mid]).await;
        for _ in 0..2 {
            let error = deriva.get(top).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::Function, &[top, mid, bad][..])
            );
        }
    }
}

#[tokio::test]
async fn keep_going_finishes_what_does_not_depend_on_the_failure() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("fail", "1", |_, _| {
            Err(Error::new(ErrorKind::Function, "no"))
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let good = recipe(&deriva, "text.upper", &[leaf]).await;
    let bad = recipe(&deriva, "fail", &[leaf]).await;
    let above = recipe(&deriva, "bytes.concat", &[good, bad]).await;
    let done = deriva
        .materialize_many([good, above])
        .keep_going()
        .await
        .unwrap();
    assert!(done.results[0].is_ok() && done.results[1].is_err());
    assert_eq!(
        (
            done.summary.failed,
            done.summary.skipped,
            done.summary.computed
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_lost_or_forgotten_blob_is_computed_again() {
    let deriva = Deriva::builder()
        .store("memory:")
        .cache_bytes(0)
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x y x").await.unwrap();
    let counts = recipe(&deriva, "text.word_count", &[leaf]).await;
    let top = recipe(&deriva, "text.upper", &[counts]).await;
    let bytes = deriva.get(top).await.unwrap();
    let made: Vec<CAddr> = deriva
        .dag()
        .outputs(&[top, counts])
        .await
        .unwrap()
        .iter()
        .flatten()
        .map(|o| o.addr)
        .collect();
    deriva.blobs().remove(&made).await.unwrap();
    let healed = deriva.materialize(top).await.unwrap();
    assert_eq!(healed.summary.healed, 2);
    assert_eq!(deriva.get(top).await.unwrap(), bytes);
}

#[tokio::test]
async fn equal_work_under_another_name_is_cut_off() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let deriva = Deriva::builder()
        .store("memory:")
        .function("heavy", "1", move |inputs, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    let (a, b) = (
        deriva.put("  x").await.unwrap(),
        deriva.put("x").await.unwrap(),
    );
    let trim = |leaf| {
        deriva
            .recipe("text.replace", "1")
            .input(leaf)
            .param("pattern", " ")
            .param("with", "")
            .insert()
    };
    let (ta, tb) = (trim(a).await.unwrap(), trim(b).await.unwrap());
    let (ha, hb) = (
        recipe(&deriva, "heavy", &[ta]).await,
        recipe(&deriva, "heavy", &[tb]).await,
    );
    let done = deriva.materialize_many([ha, hb]).await.unwrap();
    assert_eq!((calls.load(Ordering::SeqCst), done.summary.cutoff), (1, 1));
    assert_eq!(deriva.get(ha).await.unwrap(), deriva.get(hb).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_run_a_node_once_also_when_the_leader_is_dropped() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(std::sync::Barrier::new(2));
    let (counted, held) = (Arc::clone(&calls), Arc::clone(&gate));
    let deriva = Deriva::builder()
        .store("memory:")
        .jobs(2)
        .function("slow", "1", move |inputs, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait();
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let slow = recipe(&deriva, "slow", &[leaf]).await;
    let get = |deriva: Deriva| async move { deriva.get(slow).await };
    let leader = tokio::spawn(get(deriva.clone()));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // Polled here, so that each has joined before the leader goes.
    let mut waiters: Vec<_> = (0..16).map(|_| Box::pin(get(deriva.clone()))).collect();
    let joined = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&joined);
    let joining = deriva.materialize(slow).progress(move |event| {
        seen.fetch_add(
            usize::from(matches!(event, Event::Planned { .. })),
            Ordering::SeqCst,
        );
    });
    let joining = tokio::spawn(joining.into_future());
    while joined.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    tokio::task::spawn_blocking(move || gate.wait())
        .await
        .unwrap();
    for waiter in &mut waiters {
        assert_eq!(waiter.await.unwrap(), "x");
    }
    assert_eq!(joining.await.unwrap().unwrap().summary.joined, 1);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn results_that_are_not_stored_leave_no_trace() {
    let deriva = memory().await;
    let leaf = deriva.put("x").await.unwrap();
    let mid = recipe(&deriva, "text.upper", &[leaf]).await;
    let top = recipe(&deriva, "compress.gzip", &[mid]).await;
    let done = deriva
        .materialize(top)
        .store_results(StoreResults::None)
        .await
        .unwrap();
    assert_eq!(done.summary.computed, 2);
    let status = deriva.status().await.unwrap();
    assert_eq!(
        (status.recipes, status.outputs, status.blobs),
        (Some(2), Some(0), Some(1))
    );
}

#[tokio::test]
async fn a_cut_off_result_is_not_recorded_where_nothing_is_to_be_stored() {
    let deriva = memory().await;
    let (a, b) = (
        deriva.put("x y").await.unwrap(),
        deriva.put("x Y").await.unwrap(),
    );
    let (lower_a, lower_b) = (
        recipe(&deriva, "text.lower", &[a]).await,
        recipe(&deriva, "text.lower", &[b]).await,
    );
    let (zip_a, zip_b) = (
        recipe(&deriva, "compress.gzip", &[lower_a]).await,
        recipe(&deriva, "compress.gzip", &[lower_b]).await,
    );
    let bytes = deriva.get(zip_a).await.unwrap();
    let before = deriva.status().await.unwrap().outputs;
    let request = deriva.materialize(zip_b).store_results(StoreResults::None);
    let done = request.await.unwrap();
    assert_eq!((done.summary.cutoff, done.summary.computed), (1, 1));
    assert_eq!(deriva.status().await.unwrap().outputs, before);
    assert_eq!(deriva.get(zip_b).await.unwrap(), bytes);
}
