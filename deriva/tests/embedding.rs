//! deriva as an application embeds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deriva::prelude::*;
use deriva::{Executor, InlineExecutor, SystemClock};

async fn memory() -> Deriva {
    Deriva::builder().store("memory:").build().await.unwrap()
}

#[tokio::test]
async fn the_example_of_the_design_runs() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("shout", "1", |inputs, _params| {
            Ok(inputs[0].to_ascii_uppercase().into())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("hello").await.unwrap();
    let recipe = deriva
        .recipe("shout", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    assert_eq!(deriva.get(recipe).await.unwrap(), "HELLO");
    assert_eq!(deriva.get(leaf).await.unwrap(), "hello");
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
    let shared = deriva
        .recipe("heavy", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let left = deriva
        .recipe("text.upper", "1")
        .input(shared)
        .insert()
        .await
        .unwrap();
    let right = deriva
        .recipe("heavy", "1")
        .inputs([shared, leaf])
        .insert()
        .await
        .unwrap();
    let top = deriva
        .recipe("bytes.concat", "1")
        .inputs([left, right, shared])
        .insert()
        .await
        .unwrap();
    assert_eq!(deriva.get(top).await.unwrap(), "ABababab");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let again = deriva.materialize(top).await.unwrap().summary;
    assert_eq!((again.computed, again.reused), (0, 1));
}

#[tokio::test]
async fn missing_inputs_and_unknown_functions_are_all_listed_before_any_work() {
    let deriva = memory().await;
    let gone = [CAddr::of_blob(b"gone 1"), CAddr::of_blob(b"gone 2")];
    let one = deriva
        .recipe("text.upper", "1")
        .input(gone[0])
        .insert()
        .await
        .unwrap();
    let two = deriva
        .recipe("no.such", "7")
        .inputs([one, gone[1]])
        .insert()
        .await
        .unwrap();
    let top = deriva
        .recipe("bytes.concat", "1")
        .inputs([one, two])
        .insert()
        .await
        .unwrap();
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
        let mid = deriva
            .recipe("text.lower", "1")
            .input(bad)
            .insert()
            .await
            .unwrap();
        let top = deriva
            .recipe("text.upper", "1")
            .input(mid)
            .insert()
            .await
            .unwrap();
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
    let good = deriva
        .recipe("text.upper", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let bad = deriva
        .recipe("fail", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let above = deriva
        .recipe("bytes.concat", "1")
        .inputs([good, bad])
        .insert()
        .await
        .unwrap();
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
    let counts = deriva
        .recipe("text.word_count", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let top = deriva
        .recipe("text.upper", "1")
        .input(counts)
        .insert()
        .await
        .unwrap();
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
        deriva
            .recipe("heavy", "1")
            .input(ta)
            .insert()
            .await
            .unwrap(),
        deriva
            .recipe("heavy", "1")
            .input(tb)
            .insert()
            .await
            .unwrap(),
    );
    let done = deriva.materialize_many([ha, hb]).await.unwrap();
    assert_eq!((calls.load(Ordering::SeqCst), done.summary.cutoff), (1, 1));
    assert_eq!(deriva.get(ha).await.unwrap(), deriva.get(hb).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_run_a_node_once_and_a_dropped_leader_hands_over() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(std::sync::Barrier::new(2));
    let (counted, held) = (Arc::clone(&calls), Arc::clone(&gate));
    let deriva = Deriva::builder()
        .store("memory:")
        .jobs(2)
        .function("slow", "1", move |inputs, _| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                held.wait();
            }
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let slow = deriva
        .recipe("slow", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let get = |deriva: Deriva| async move { deriva.get(slow).await };
    let leader = tokio::spawn(get(deriva.clone()));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let waiters: Vec<_> = (0..16).map(|_| tokio::spawn(get(deriva.clone()))).collect();
    tokio::task::yield_now().await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    leader.abort();
    let waited = futures_join(waiters).await;
    gate.wait();
    assert!(waited.iter().all(|bytes| bytes == "x"));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

async fn futures_join(waiters: Vec<tokio::task::JoinHandle<Result<Bytes>>>) -> Vec<Bytes> {
    let mut all = Vec::new();
    for waiter in waiters {
        all.push(waiter.await.unwrap().unwrap());
    }
    all
}

#[tokio::test]
async fn results_that_are_not_stored_leave_no_trace() {
    let deriva = memory().await;
    let leaf = deriva.put("x").await.unwrap();
    let mid = deriva
        .recipe("text.upper", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let top = deriva
        .recipe("compress.gzip", "1")
        .input(mid)
        .insert()
        .await
        .unwrap();
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
async fn what_a_function_cannot_take_is_refused_when_the_recipe_is_inserted() {
    let deriva = memory().await;
    let leaf = deriva.put("x").await.unwrap();
    let wrong_type = deriva
        .recipe("text.top", "1")
        .input(leaf)
        .param("n", "three")
        .insert()
        .await
        .unwrap_err();
    let wrong_count = deriva.recipe("text.upper", "1").insert().await.unwrap_err();
    let nan = deriva
        .recipe("text.upper", "1")
        .input(leaf)
        .param("x", f64::NAN)
        .insert()
        .await
        .unwrap_err();
    for error in [wrong_type, wrong_count, nan] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[tokio::test]
async fn builders_report_mistakes() {
    let twice = Deriva::builder()
        .store("memory:")
        .function("text.upper", "1", |_, _| Ok(Bytes::new()));
    assert_eq!(twice.build().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        Deriva::builder().build().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let unknown = Deriva::builder().store("slad:x").build().await.unwrap_err();
    assert!(unknown.advice().unwrap().contains("sled"), "{unknown}");
}

#[tokio::test]
async fn addresses_are_found_by_prefix() {
    let deriva = memory().await;
    let addr = deriva.put("x").await.unwrap();
    let prefix = |text: &str| text.parse::<AddrPrefix>().unwrap();
    assert_eq!(
        deriva.find(&prefix(&addr.to_string()[..6])).await.unwrap(),
        addr
    );
    let absent = if addr.to_string().starts_with('0') {
        "1"
    } else {
        "0"
    };
    assert_eq!(
        deriva.find(&prefix(absent)).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for i in 0..200 {
        deriva.put(format!("{i}")).await.unwrap();
    }
    let error = deriva
        .find(&prefix(&addr.to_string()[..1]))
        .await
        .unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && error.context("candidates").is_some(),
        "{error}"
    );
}

#[tokio::test]
async fn blobs_stream_in_and_out() {
    let deriva = memory().await;
    let bytes: Vec<u8> = (0..3_500_000u32)
        .map(|i| i.wrapping_mul(2_654_435_761) as u8)
        .collect();
    let stat = deriva.put_reader(&bytes[..]).await.unwrap();
    assert_eq!(stat, Blob::new(bytes.clone()).stat());
    let mut reader = deriva.open(stat.addr).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = reader.next_chunk().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == bytes);
}

#[test]
fn a_long_chain_needs_no_stack_and_any_executor_serves() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let functions = Arc::new(deriva::FunctionRegistry::builtin());
            let inline: Arc<dyn Executor> =
                Arc::new(InlineExecutor::new(functions, Arc::new(SystemClock::new())));
            let deriva = Deriva::builder()
                .store("memory:")
                .executor(inline)
                .build()
                .await
                .unwrap();
            let mix: FunctionId = "bench.mix/1".parse().unwrap();
            let mut addr = deriva.put("x").await.unwrap();
            let mut recipes = Vec::new();
            for _ in 0..50_000 {
                let recipe = Recipe::new(&mix, &[addr], &Params::new()).unwrap();
                addr = recipe.addr();
                recipes.push(recipe);
            }
            deriva.insert(&recipes).await.unwrap();
            let done = deriva.materialize(addr).await.unwrap();
            assert_eq!(done.summary.computed, 50_000);
        });
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}
