//! In what order steps run, who shares the executor, and what becomes of requests that wait.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use bytes::Bytes;
use deriva::events::Event;
use deriva::layers::{BlobLayer, DagLayer};
use deriva::{CAddr, Cutoff, Deriva, Error, ErrorKind, StoreResults};
use deriva_testkit::{CountingLayer, ManualClock, ModelStore, Operation};

async fn recipe(deriva: &Deriva, name: &str, inputs: impl IntoIterator<Item = CAddr>) -> CAddr {
    let recipe = deriva.recipe(name, "1").inputs(inputs);
    recipe.insert().await.unwrap()
}

/// Writes down which texts the function `log/1` was called with, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, input: &Bytes) {
        let text = String::from_utf8_lossy(input).into_owned();
        self.0.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_remaining_path_comes_first() {
    let log = Log::default();
    let logged = log.clone();
    let deriva = deriva::builder()
        .store("memory:")
        .jobs(1)
        .function("log", "1", move |inputs, _| {
            logged.add(&inputs[0]);
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    // Three branches, of one, two and three recipes, met in that order.
    let mut branches = Vec::new();
    for (text, length) in [("short", 1), ("middle", 2), ("long", 3)] {
        let mut at = deriva.put(text).await.unwrap();
        for _ in 0..length {
            at = recipe(&deriva, "log", [at]).await;
        }
        branches.push(at);
    }
    let top = recipe(&deriva, "bytes.concat", branches).await;
    let request = deriva.materialize(top).cutoff(Cutoff::Never);
    assert_eq!(request.await.unwrap().summary.computed, 7);
    let order = log.take();
    assert_eq!(order[0], "long");
    let short = order.iter().position(|text| text == "short").unwrap();
    assert!(
        short >= 3,
        "what is left of the others is as short by then: {order:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_later_waits_for_no_more_than_one_step_and_priority_goes_first() {
    for priority in [0, 1] {
        let (log, start) = (Log::default(), Arc::new(Barrier::new(2)));
        let (logged, held) = (log.clone(), Arc::clone(&start));
        let deriva = deriva::builder()
            .store("memory:")
            .jobs(1)
            .function("log", "1", move |inputs, _| {
                if inputs[0] == "first" {
                    held.wait();
                }
                logged.add(&inputs[0]);
                Ok(inputs[0].clone())
            })
            .build()
            .await
            .unwrap();
        let mut many = Vec::new();
        for text in ["first", "a", "b", "c", "d", "e"] {
            let leaf = deriva.put(text).await.unwrap();
            many.push(recipe(&deriva, "log", [leaf]).await);
        }
        let mut few = Vec::new();
        for text in ["x", "y"] {
            let leaf = deriva.put(text).await.unwrap();
            few.push(recipe(&deriva, "log", [leaf]).await);
        }
        let started = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&started);
        let request = deriva.materialize_many(many).progress(move |event| {
            counted.fetch_add(
                usize::from(matches!(event, Event::Started { .. })),
                Ordering::SeqCst,
            );
        });
        let first = tokio::spawn(request.into_future());
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let request = deriva.materialize_many(few).priority(priority);
        let request = request.progress(move |event| {
            counted.fetch_add(
                usize::from(matches!(event, Event::Planned { .. })),
                Ordering::SeqCst,
            );
        });
        let second = tokio::spawn(request.into_future());
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Planned; it asks for its slot in the same poll or the next.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::task::spawn_blocking(move || start.wait())
            .await
            .unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let order = log.take();
        let place = |text: &str| order.iter().position(|it| it == text).unwrap();
        match priority {
            0 => assert!(place("y") <= 5, "turns are taken: {order:?}"),
            _ => assert!(place("y") <= 3, "priority goes first: {order:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_may_call_back_also_where_the_pool_has_one_thread() {
    let slot: Arc<std::sync::OnceLock<(Deriva, CAddr)>> = Arc::default();
    let (outer, inner) = (Arc::clone(&slot), Arc::clone(&slot));
    let ask = |slot: &std::sync::OnceLock<(Deriva, CAddr)>| {
        let (deriva, addr) = slot.get().unwrap().clone();
        futures::executor::block_on(deriva.get(addr))
    };
    let deriva = deriva::builder()
        .store("memory:")
        .jobs(1)
        .cache_bytes(0)
        .function("outer", "1", move |_, _| ask(&outer))
        .function("inner", "1", |inputs, _| Ok(inputs[0].clone()))
        .function("itself", "1", move |_, _| ask(&inner))
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("deep").await.unwrap();
    let below = recipe(&deriva, "inner", [leaf]).await;
    slot.set((deriva.clone(), below)).unwrap();
    let mut tops = Vec::new();
    for text in ["1", "2", "3"] {
        let leaf = deriva.put(text).await.unwrap();
        tops.push(recipe(&deriva, "outer", [leaf]).await);
    }
    let done = deriva.materialize_many(tops.iter().copied()).await.unwrap();
    assert!(done.results.iter().all(Result::is_ok));
    assert_eq!(deriva.get(tops[2]).await.unwrap(), "deep");

    // A recipe that asks for itself would wait for ever.
    let slot: Arc<std::sync::OnceLock<(Deriva, CAddr)>> = Arc::default();
    let itself = Arc::clone(&slot);
    let deriva = deriva::builder()
        .store("memory:")
        .function("itself", "1", move |_, _| ask(&itself))
        .build()
        .await
        .unwrap();
    let top = recipe(&deriva, "itself", []).await;
    slot.set((deriva.clone(), top)).unwrap();
    let error = deriva.get(top).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

/// Each of some requests runs a function that asks for what the next one is making; the last asks for the first's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_wait_for_each_other_in_several_requests_are_told() {
    for requests in [2, 3, 5] {
        let tops: Arc<std::sync::OnceLock<(Deriva, Vec<CAddr>)>> = Arc::default();
        let (begun, all_run) = (AtomicUsize::new(0), Barrier::new(requests));
        let asked = Arc::clone(&tops);
        let deriva = deriva::builder()
            .store("memory:")
            .jobs(requests)
            .function("ask", "1", move |inputs, _| {
                // Who asks once more finds the others gone.
                if begun.fetch_add(1, Ordering::SeqCst) < requests {
                    all_run.wait();
                }
                let (deriva, tops) = asked.get().unwrap();
                let next = usize::from(inputs[0][0] + 1) % requests;
                futures::executor::block_on(deriva.get(tops[next]))
            })
            .function("same", "1", |inputs, _| Ok(inputs[0].clone()))
            .build()
            .await
            .unwrap();
        let mut made = Vec::new();
        for request in 0..requests as u8 {
            let leaf = deriva.put(vec![request]).await.unwrap();
            let ask = recipe(&deriva, "ask", [leaf]).await;
            made.push(recipe(&deriva, "same", [ask]).await);
        }
        tops.set((deriva.clone(), made.clone())).unwrap();
        let answers = made.iter().map(|top| deriva.get(*top).into_future());
        let answers = futures::future::join_all(answers);
        let answers = tokio::time::timeout(Duration::from_secs(30), answers).await;
        for answer in answers.expect("nobody waits for ever") {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_deadline_is_measured_by_the_clock() {
    let (clock, gate) = (ManualClock::new(), Arc::new(Barrier::new(2)));
    let (held, started) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&started);
    let deriva = deriva::builder()
        .store("memory:")
        .clock(Arc::new(clock.clone()))
        .function("wait", "1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait();
            Ok(Bytes::new())
        })
        .build()
        .await
        .unwrap();
    let top = recipe(&deriva, "wait", []).await;
    let request = deriva.materialize(top).deadline(Duration::from_secs(60));
    let request = tokio::spawn(request.into_future());
    while started.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(59));
    assert!(!request.is_finished());
    clock.advance(Duration::from_secs(1));
    let error = request.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    tokio::task::spawn_blocking(move || gate.wait())
        .await
        .unwrap();
}

#[tokio::test]
async fn early_cutoff_is_forced_or_forbidden_by_function_and_by_request() {
    for (of_function, of_request, looked_up) in [
        (None, None, false),
        (Some(Cutoff::Always), None, true),
        (Some(Cutoff::Always), Some(Cutoff::Never), false),
        (Some(Cutoff::Never), Some(Cutoff::Always), true),
    ] {
        let (layer, model) = (CountingLayer::new(), Arc::new(ModelStore::new()));
        let mut builder = deriva::builder()
            .blobs(BlobLayer::wrap(&layer, model.clone()))
            .dag(DagLayer::wrap(&layer, model));
        if let Some(cutoff) = of_function {
            builder = builder.cutoff_of("text.upper", "1", cutoff);
        }
        let deriva = builder.build().await.unwrap();
        let leaf = deriva.put("x").await.unwrap();
        let lower = recipe(&deriva, "text.lower", [leaf]).await;
        let upper = recipe(&deriva, "text.upper", [lower]).await;
        let mut request = deriva.materialize(upper);
        if let Some(cutoff) = of_request {
            request = request.cutoff(cutoff);
        }
        request.await.unwrap();
        let lookups = layer.counts().of(Operation::DagOutputs);
        assert_eq!(lookups > 0, looked_up, "{of_function:?} {of_request:?}");
    }
}

#[tokio::test]
async fn results_are_kept_by_policy() {
    // A step of the clock for each call makes the cost of every function a millisecond.
    let roots = StoreResults::Roots;
    let worth = |millis| StoreResults::Worth {
        per_mib: Duration::from_millis(millis),
    };
    for (policy, of_function, kept) in [
        (StoreResults::All, None, 3),
        (StoreResults::None, None, 0),
        (roots, None, 1),
        (StoreResults::None, Some(StoreResults::All), 1),
        (worth(0), None, 3),
        (worth(u64::MAX), None, 1),
    ] {
        let mut builder = deriva::builder().store("memory:").store_results(policy);
        if let Some(own) = of_function {
            builder = builder.store_results_of("text.lower", "1", own);
        }
        let deriva = builder.cache_bytes(0).build().await.unwrap();
        let leaf = deriva.put("x").await.unwrap();
        let lower = recipe(&deriva, "text.lower", [leaf]).await;
        let upper = recipe(&deriva, "text.upper", [lower]).await;
        let top = recipe(&deriva, "bytes.concat", [upper, lower]).await;
        deriva.set_root("middle", upper).await.unwrap();
        assert_eq!(deriva.get(top).await.unwrap(), "Xx");
        let status = deriva.status().await.unwrap();
        assert_eq!(status.outputs, Some(kept), "{policy:?} {of_function:?}");
        let root = deriva.dag().outputs(&[upper]).await.unwrap()[0];
        assert_eq!(
            root.is_some(),
            kept == 3 || policy == roots || policy == worth(u64::MAX)
        );
    }
}

#[tokio::test]
async fn progress_tells_counts_and_what_is_left() {
    let deriva = deriva::builder().store("memory:").build().await.unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let top = recipe(&deriva, "text.upper", [leaf]).await;
    let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let events = Arc::clone(&seen);
    let request = deriva.materialize(top).progress(move |event| {
        if let Event::Progress { done, planned, .. } = event {
            events.lock().unwrap().push((*done, *planned));
        }
    });
    request.await.unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&(1, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_after_its_request_is_gone_fails_those_who_wait() {
    let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let (counted, held) = (Arc::clone(&started), Arc::clone(&gate));
    let deriva = deriva::builder()
        .store("memory:")
        .function("fail", "1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait();
            Err(Error::new(ErrorKind::Function, "as it should"))
        })
        .build()
        .await
        .unwrap();
    let top = recipe(&deriva, "fail", []).await;
    let leader = tokio::spawn(deriva.materialize(top).into_future());
    while started.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let planned = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&planned);
    let waiter = deriva.materialize(top).progress(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let waiter = tokio::spawn(waiter.into_future());
    while planned.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    tokio::task::spawn_blocking(move || gate.wait())
        .await
        .unwrap();
    let error = waiter.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Function);
    assert_eq!(started.load(Ordering::SeqCst), 1);
}
