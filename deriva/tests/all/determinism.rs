//! Checks of computations: what they catch, what follows, and what it cannot be talked out of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use deriva::determinism::{FoundBy, Violation};
use deriva::prelude::*;
use deriva::{Materialize, Materialized};
use deriva_testkit::functions::{Shows, coin, liars, light};
use futures::TryStreamExt;

use crate::common::{Stores, recipe};

const DUAL: Determinism = Determinism::Dual;

/// Gives another number with each call, also in other handles.
fn counting(calls: &Arc<AtomicU64>) -> impl Fn(&[Bytes], &Params) -> Result<Bytes> + use<> {
    let calls = Arc::clone(calls);
    move |_, _| Ok(calls.fetch_add(1, Ordering::Relaxed).to_string().into())
}

/// `lie/1` lies, `honest/1` joins its inputs.
fn builder(stores: &Stores, calls: &Arc<AtomicU64>) -> DerivaBuilder {
    let honest = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().into());
    let builder = Deriva::builder().store(&stores.uri()).jobs(2);
    builder
        .function("lie", "1", counting(calls))
        .light_function("light-lie", "1", counting(calls))
        .function("honest", "1", honest)
        .light_function("light-honest", "1", honest)
}

async fn open(stores: &Stores) -> Deriva {
    builder(stores, &Arc::default()).build().await.unwrap()
}

fn violation(error: &Error) -> Violation {
    let source = std::error::Error::source(error);
    source.unwrap().downcast_ref::<Violation>().unwrap().clone()
}

#[tokio::test]
async fn an_entry_that_is_being_finished_is_listed_once() {
    for stores in Stores::all() {
        let deriva = open(&stores).await;
        let lie = recipe(&deriva, "lie", &[]).await;
        let request = deriva.materialize(lie).determinism(DUAL);
        assert!(request.await.is_err());
        let entry = deriva.ledger().await.unwrap();
        let dag = deriva.dag();
        let open_name = format!("deriva:ledger/open/{lie}");
        let mut roots = dag.roots(Some("deriva:"));
        let blob = loop {
            match roots.try_next().await.unwrap() {
                Some((name, addr)) if name == open_name => break addr,
                Some(_) => {}
                None => panic!("the entry has a root"),
            }
        };
        drop(roots);
        let new_name = format!("deriva:ledger/new/{lie}");
        dag.set_root(&new_name, blob).await.unwrap();
        assert_eq!(deriva.ledger().await.unwrap(), entry);
    }
}

#[tokio::test]
async fn a_lie_fails_and_is_in_the_ledger_and_nothing_is_recorded() {
    for stores in Stores::all() {
        for name in ["lie", "light-lie"] {
            let deriva = open(&stores).await;
            let leaf = deriva.put(name).await.unwrap();
            let below = recipe(&deriva, "honest", &[leaf]).await;
            let lie = recipe(&deriva, name, &[below]).await;
            let above = recipe(&deriva, "light-honest", &[lie]).await;
            let violated = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&violated);
            let request = deriva.materialize(above).determinism(DUAL);
            let request = request.progress(move |event| {
                if let Event::Violated { addr, .. } = event {
                    heard.lock().unwrap().push(*addr);
                }
            });
            let error = request.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Nondeterministic, "{error}");
            assert_eq!(error.path(), [above, lie]);
            let violation = violation(&error);
            assert_eq!((violation.recipe, violation.answers.len()), (lie, 2));
            assert_eq!(violation.difference.as_ref().unwrap().offset, 0);
            assert!(violation.perturbed && violation.at_millis > 0);
            assert_eq!(*violated.lock().unwrap(), [lie]);
            let outputs = deriva.dag().outputs(&[lie, above]).await.unwrap();
            assert_eq!(outputs, [None, None]);
            let ledger = deriva.ledger().await.unwrap();
            let entry = ledger.iter().find(|entry| entry.recipe == lie).unwrap();
            assert_eq!(entry.violation.as_ref(), Some(&violation));
            assert!(!entry.released);
            // Nobody gets any of it, however he asks, and however it is opened.
            for _ in 0..2 {
                let error = deriva.get(lie).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Nondeterministic);
                assert_eq!(error.context("entry"), Some(lie.to_string().as_str()));
            }
            if stores.uri() != "memory:" {
                drop(deriva);
                let again = open(&stores).await;
                let error = again.get(above).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Nondeterministic, "{error}");
                again.release(lie).await.unwrap();
                again.get(above).await.unwrap();
                assert!(
                    again
                        .ledger()
                        .await
                        .unwrap()
                        .iter()
                        .any(|entry| entry.released)
                );
                let none = again.release(lie).await.unwrap_err();
                assert_eq!(none.kind(), ErrorKind::NotFound);
            }
        }
    }
}

#[tokio::test]
async fn honest_functions_pass_every_mode_and_are_counted() {
    let stores = Stores::new("memory");
    for perturb in [true, false] {
        for mode in [
            "dual",
            "sampled:1",
            "quorum:2/3",
            "quorum:3/5",
            "quorum:4/4",
        ] {
            let deriva = open(&stores).await;
            let leaf = deriva.put("leaf").await.unwrap();
            let heavy = recipe(&deriva, "honest", &[leaf, leaf]).await;
            let top = recipe(&deriva, "light-honest", &[heavy, leaf]).await;
            let request = deriva.materialize(top).determinism(mode.parse().unwrap());
            let done = request.perturb(perturb).await.unwrap();
            assert_eq!(
                (done.summary.checked, done.summary.violations),
                (2, 0),
                "{mode}"
            );
            let all = deriva.verification();
            assert_eq!((all.total.checked, all.total.agreed), (2, 2), "{mode}");
            assert_eq!(all.functions.len(), 2);
            assert!(all.total.rate_at_most > 0.7 && all.total.rate_at_most < 0.8);
        }
    }
}

/// Which liars a mode catches, heavy and light.
async fn caught(mode: Determinism, perturb: bool, is_light: bool) -> Vec<(String, Shows, bool)> {
    let mut found = Vec::new();
    for liar in liars() {
        let id = liar.function.id().clone();
        let function = match is_light {
            true => light(liar.function),
            false => liar.function,
        };
        let mut functions = FunctionRegistry::new();
        functions.register(function).unwrap();
        let builder = Deriva::builder().store("memory:").functions(functions);
        let deriva = builder.jobs(1).perturb(perturb).build().await.unwrap();
        let leaf = deriva.put("an input of some length").await.unwrap();
        // What a thread did before is nothing at its first call.
        let warm = deriva
            .recipe(id.name(), id.version())
            .insert()
            .await
            .unwrap();
        let _first = deriva.get(warm).await;
        let recipe = deriva.recipe(id.name(), id.version()).input(leaf);
        let recipe = recipe.insert().await.unwrap();
        let done = deriva.materialize(recipe).determinism(mode).await;
        let is_caught = done.is_err_and(|error| error.kind() == ErrorKind::Nondeterministic);
        found.push((id.to_string(), liar.shows, is_caught));
    }
    found
}

#[tokio::test]
async fn liars_are_caught_where_their_lie_shows() {
    for is_light in [false, true] {
        for (name, shows, is_caught) in caught(DUAL, true, is_light).await {
            match shows {
                // Two sums may be alike; milliseconds of light functions are.
                _ if name.starts_with("liar.float-sum") => {}
                _ if is_light && name.starts_with("liar.milliseconds") => {}
                _ if !cfg!(target_os = "linux") && name.starts_with("liar.folder") => {}
                Shows::Elsewhere => assert!(!is_caught, "{name}"),
                _ => assert!(is_caught, "{name}, light: {is_light}"),
            }
        }
    }
}

#[tokio::test]
async fn a_floor_cannot_be_lowered_by_a_request_unless_that_is_allowed() {
    let stores = Stores::new("memory");
    let calls = Arc::default();
    for (lowers, fails) in [(false, true), (true, false)] {
        let mut builder = builder(&stores, &calls).determinism(DUAL);
        if lowers {
            builder = builder.requests_may_lower_determinism();
        }
        let deriva = builder.build().await.unwrap();
        let lie = recipe(&deriva, "lie", &[]).await;
        let lowered = deriva.materialize(lie).determinism(Determinism::Off).await;
        assert_eq!(lowered.is_err(), fails, "{lowered:?}");
    }
    // A function may be checked less than the others, and a request raises that again.
    let calls = Arc::new(AtomicU64::new(0));
    let own = builder(&stores, &calls).determinism(DUAL);
    let deriva = own
        .determinism_of("lie", "1", Determinism::Off)
        .build()
        .await
        .unwrap();
    let lie = recipe(&deriva, "lie", &[]).await;
    deriva.get(lie).await.unwrap();
    let other = recipe(&deriva, "lie", &[lie]).await;
    let raised = deriva.materialize(other).determinism(DUAL).await;
    assert_eq!(raised.unwrap_err().kind(), ErrorKind::Nondeterministic);
}

#[tokio::test]
async fn a_reported_lie_is_served_doubted_and_never_kept() {
    for stores in Stores::all() {
        let calls = Arc::new(AtomicU64::new(0));
        let builder = builder(&stores, &calls).on_violation_of("lie", "1", OnViolation::Report);
        let deriva = builder.build().await.unwrap();
        let lie = recipe(&deriva, "lie", &[]).await;
        let above = recipe(&deriva, "honest", &[lie]).await;
        let done = deriva.materialize(above).determinism(DUAL).await.unwrap();
        assert_eq!(done.doubted, [above]);
        assert_eq!((done.summary.violations, done.summary.doubted), (1, 2));
        let first = done.held[0].clone().unwrap();
        assert_eq!(first.bytes(), "0");
        let outputs = deriva.dag().outputs(&[lie, above]).await.unwrap();
        assert_eq!(outputs, [None, None]);
        // Later it is computed again, checked or not; a checking request is not content with what others have.
        let before = calls.load(Ordering::Relaxed);
        let again = deriva.get(above).await.unwrap();
        assert_ne!(again, first.bytes());
        assert_eq!(deriva.cache_stats().bytes, 0, "a doubted output is cached");
        let checked = deriva.materialize(above).determinism(DUAL).await.unwrap();
        assert_eq!(
            (checked.doubted, checked.summary.violations),
            (vec![above], 1)
        );
        assert_eq!(calls.load(Ordering::Relaxed), before + 3);
        let entry = &deriva.ledger().await.unwrap()[0];
        let seen = entry.violation.as_ref().unwrap();
        assert_eq!((seen.times, seen.answers.len()), (2, 4));
    }
}

#[tokio::test]
async fn a_quorum_accepts_what_most_runs_gave_and_remembers_the_others() {
    let stores = Stores::new("sled");
    // The second answer of each recipe is another one.
    let calls = AtomicU64::new(0);
    let once = move |_: &[Bytes], _: &Params| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        Ok(if nth == 1 { "flipped" } else { "right" }.into())
    };
    let builder = Deriva::builder()
        .store(&stores.uri())
        .function("once", "1", once);
    let deriva = builder.build().await.unwrap();
    let flipped = recipe(&deriva, "once", &[]).await;
    let quorum = Determinism::Quorum { agree: 2, of: 3 };
    let done = deriva
        .materialize(flipped)
        .determinism(quorum)
        .await
        .unwrap();
    assert_eq!((done.summary.checked, done.summary.violations), (1, 1));
    assert!(done.doubted.is_empty());
    assert_eq!(deriva.get(flipped).await.unwrap(), "right");
    let entry = &deriva.ledger().await.unwrap()[0];
    let seen = entry.violation.as_ref().unwrap();
    let right = Blob::new("right").addr();
    assert_eq!((seen.accepted, seen.answers.len()), (Some(right), 2));
    let output = deriva.dag().outputs(&[flipped]).await.unwrap()[0].unwrap();
    assert_eq!(output.addr, right);
    // What most runs gave is served by whoever opens the store, and nothing else is.
    drop(deriva);
    let builder = Deriva::builder().store(&stores.uri());
    let deriva = builder
        .function("once", "1", |_, _| Ok("third".into()))
        .build()
        .await
        .unwrap();
    assert_eq!(deriva.get(flipped).await.unwrap(), "right");
    deriva.invalidate(flipped).await.unwrap();
    let error = deriva.get(flipped).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Nondeterministic);
}

/// A function that lies in its first two calls, and above it one that does not.
fn lies_at_first(builder: DerivaBuilder) -> DerivaBuilder {
    let calls = AtomicU64::new(0);
    let lies = move |_: &[Bytes], _: &Params| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        Ok(["first", "second"]
            .get(nth as usize)
            .unwrap_or(&"right")
            .as_bytes()
            .into())
    };
    let above = |inputs: &[Bytes], _: &Params| Ok([b"above ", &inputs[0][..]].concat().into());
    builder
        .function("lies", "1", lies)
        .function("above", "1", above)
}

/// Where nothing is recorded of a recipe, what it gave may lie in memory, and in what was made from it and is recorded.
#[tokio::test]
async fn what_a_quorum_did_not_accept_is_not_served_from_memory() {
    for results in [StoreResults::None, StoreResults::Roots] {
        let builder = lies_at_first(Deriva::builder().store("memory:"));
        let deriva = builder.store_results(results).build().await.unwrap();
        let lies = recipe(&deriva, "lies", &[]).await;
        let above = recipe(&deriva, "above", &[lies]).await;
        deriva.set_root("above", above).await.unwrap();
        assert_eq!(deriva.get(above).await.unwrap(), "above first");
        let recorded = deriva.dag().outputs(&[lies, above]).await.unwrap();
        let is_kept = results == StoreResults::Roots;
        assert_eq!(
            [recorded[0].is_some(), recorded[1].is_some()],
            [false, is_kept]
        );
        let quorum = Determinism::Quorum { agree: 2, of: 3 };
        let request = deriva.materialize(lies).determinism(quorum);
        assert_eq!(request.bytes().await.unwrap(), "right");
        assert_eq!(deriva.get(lies).await.unwrap(), "right", "{results:?}");
        let above = deriva.get(above).await.unwrap();
        assert_eq!(above, "above right", "{results:?}");
    }
}

/// What was made from an output goes also where a later check takes back that it is accepted, and nothing is recorded of it.
#[tokio::test]
async fn what_was_made_from_an_output_goes_when_it_is_not_accepted_any_more() {
    let calls = AtomicU64::new(0);
    // Agreed on: `right`; then, in a check of two, not.
    let lies = move |_: &[Bytes], _: &Params| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        Ok(if nth == 0 || nth > 3 {
            format!("lie {nth}")
        } else {
            "right".into()
        }
        .into())
    };
    let above = |inputs: &[Bytes], _: &Params| Ok([b"above ", &inputs[0][..]].concat().into());
    let builder = Deriva::builder().store("memory:").cache_bytes(0);
    let builder = builder
        .function("lies", "1", lies)
        .function("above", "1", above);
    let deriva = builder
        .store_results(StoreResults::Roots)
        .build()
        .await
        .unwrap();
    let lies = recipe(&deriva, "lies", &[]).await;
    let above = recipe(&deriva, "above", &[lies]).await;
    deriva.set_root("above", above).await.unwrap();
    let quorum = Determinism::Quorum { agree: 2, of: 3 };
    let request = deriva.materialize(lies).determinism(quorum);
    assert_eq!(request.bytes().await.unwrap(), "right");
    assert_eq!(deriva.get(above).await.unwrap(), "above right");
    let recorded = || async { deriva.dag().outputs(&[above]).await.unwrap()[0] };
    assert!(recorded().await.is_some());
    let request = deriva.materialize(lies).determinism(DUAL);
    let error = request.bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Nondeterministic);
    assert_eq!(recorded().await, None);
    let error = deriva.get(above).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Nondeterministic);
}

/// A function that waits for a gate, and gives another number each time.
fn gated(
    open: &Arc<AtomicBool>,
    calls: &Arc<AtomicU64>,
    lies: bool,
) -> impl Fn(&[Bytes], &Params) -> Result<Bytes> + use<> {
    let (open, calls) = (Arc::clone(open), Arc::clone(calls));
    move |_, _| {
        let nth = calls.fetch_add(1, Ordering::SeqCst);
        while !open.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(if lies { nth } else { 0 }.to_string().into())
    }
}

/// Begins a request, and waits until it has joined what others compute.
async fn planned(request: Materialize) -> tokio::task::JoinHandle<Result<Materialized>> {
    let is_planned = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&is_planned);
    let request = request.progress(move |event| {
        if let Event::Planned { .. } = event {
            tells.store(true, Ordering::SeqCst);
        }
    });
    let request = tokio::spawn(request.into_future());
    while !is_planned.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_checks_is_not_content_with_what_others_run_without() {
    for stores in Stores::all() {
        for lies in [false, true] {
            for results in [StoreResults::All, StoreResults::None] {
                let (gate, calls) = (
                    Arc::new(AtomicBool::new(false)),
                    Arc::new(AtomicU64::new(0)),
                );
                let function = gated(&gate, &calls, lies);
                let builder = Deriva::builder().store(&stores.uri()).jobs(2);
                let deriva = builder
                    .function("gated", "1", function)
                    .build()
                    .await
                    .unwrap();
                let leaf = deriva.put(format!("{lies} {results:?}")).await.unwrap();
                let addr = recipe(&deriva, "gated", &[leaf]).await;
                let unchecked = deriva.materialize(addr).store_results(results);
                let unchecked = tokio::spawn(unchecked.into_future());
                while calls.load(Ordering::SeqCst) == 0 {
                    tokio::task::yield_now().await;
                }
                let checked = deriva
                    .materialize(addr)
                    .determinism(DUAL)
                    .store_results(results);
                let checked = planned(checked).await;
                gate.store(true, Ordering::SeqCst);
                unchecked.await.unwrap().unwrap();
                let checked = checked.await.unwrap();
                assert_eq!(calls.load(Ordering::SeqCst), 2, "{results:?}");
                match lies {
                    false => assert_eq!(checked.unwrap().summary.checked, 1),
                    true => {
                        let error = checked.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::Nondeterministic, "{error}");
                        assert_eq!(violation(&error).answers.len(), 2);
                        let outputs = deriva.dag().outputs(&[addr]).await.unwrap();
                        assert_eq!(outputs, [None], "what the other one recorded is forgotten");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_a_check_has_what_was_checked() {
    let stores = Stores::new("memory");
    let (gate, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let builder = Deriva::builder().store(&stores.uri()).jobs(2);
    let function = gated(&gate, &calls, true);
    let deriva = builder
        .function("gated", "1", function)
        .build()
        .await
        .unwrap();
    let addr = recipe(&deriva, "gated", &[]).await;
    let leader = tokio::spawn(deriva.materialize(addr).determinism(DUAL).into_future());
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let mut joined = Vec::new();
    for mode in [Determinism::Off, DUAL, Determinism::Sampled { rate: 0.5 }] {
        joined.push(planned(deriva.materialize(addr).determinism(mode)).await);
    }
    gate.store(true, Ordering::SeqCst);
    for request in [leader].into_iter().chain(joined) {
        let error = request.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Nondeterministic);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2, "one check for all of them");
}

#[tokio::test]
async fn what_was_recorded_before_goes_with_what_was_made_from_it() {
    for stores in Stores::all() {
        let version = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&version);
        let builder = Deriva::builder().store(&stores.uri());
        let builder = builder.function("edited", "1", move |_, _| {
            Ok(now.load(Ordering::Relaxed).to_string().into())
        });
        let builder = builder.function("honest", "1", |inputs, _| Ok(inputs.concat().into()));
        let deriva = builder.build().await.unwrap();
        let leaf = deriva.put("leaf").await.unwrap();
        let same = recipe(&deriva, "honest", &[leaf]).await;
        let edited = recipe(&deriva, "edited", &[leaf]).await;
        // The same computation under another name, as `same` gives the leaf.
        let alias = recipe(&deriva, "edited", &[same]).await;
        let above = recipe(&deriva, "honest", &[alias]).await;
        let other = recipe(&deriva, "honest", &[leaf, leaf]).await;
        deriva
            .materialize_many([edited, above, other])
            .await
            .unwrap();
        let all = deriva.audit().await.unwrap();
        assert_eq!((all.audited, all.violated, all.skipped), (5, 0, 0));
        version.store(1, Ordering::Relaxed);
        let dry = deriva.audit().dry_run().await.unwrap();
        assert_eq!((dry.violated, deriva.ledger().await.unwrap().len()), (2, 0));
        let audited = deriva.audit().addr(edited).await.unwrap();
        assert_eq!((audited.outputs, audited.violations), (1, vec![edited]));
        let outputs = deriva
            .dag()
            .outputs(&[edited, alias, above, other])
            .await
            .unwrap();
        let there: Vec<bool> = outputs.iter().map(Option::is_some).collect();
        assert_eq!(there, [false, false, false, true]);
        for addr in [edited, alias, above] {
            let error = deriva.get(addr).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Nondeterministic);
        }
        let entry = &deriva.ledger().await.unwrap()[0];
        assert_eq!(entry.violation.as_ref().unwrap().found_by, FoundBy::Audit);
        let suspects = deriva.suspects();
        assert_eq!(
            (suspects.len(), suspects[0].entries.clone()),
            (1, vec![edited])
        );
        let released = deriva
            .release_function(&suspects[0].function)
            .await
            .unwrap();
        assert_eq!((released, deriva.suspects().len()), (1, 0));
        assert_eq!(deriva.get(above).await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_function_with_too_many_violations_is_refused_until_it_is_released() {
    let stores = Stores::new("sled");
    let calls = Arc::default();
    let deriva = builder(&stores, &calls)
        .quarantine_after(2)
        .build()
        .await
        .unwrap();
    let mut lies = Vec::new();
    for n in 0..4 {
        let leaf = deriva.put(format!("{n}")).await.unwrap();
        lies.push(recipe(&deriva, "lie", &[leaf]).await);
    }
    for lie in &lies[..2] {
        deriva
            .materialize(*lie)
            .determinism(DUAL)
            .await
            .unwrap_err();
    }
    drop(deriva);
    let deriva = builder(&stores, &calls)
        .quarantine_after(2)
        .build()
        .await
        .unwrap();
    let before = calls.load(Ordering::Relaxed);
    let error = deriva.get(lies[2]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Nondeterministic);
    let entries = error.context("entries").unwrap();
    assert!(
        lies[..2]
            .iter()
            .all(|lie| entries.contains(&lie.to_string())),
        "{error}"
    );
    let with = deriva
        .materialize_many([lies[2], lies[3]])
        .keep_going()
        .await
        .unwrap();
    assert!(with.results.iter().all(Result::is_err));
    assert_eq!(calls.load(Ordering::Relaxed), before);
    assert!(deriva.suspects()[0].quarantined);
    deriva
        .release_function(&"lie/1".parse().unwrap())
        .await
        .unwrap();
    deriva.get(lies[2]).await.unwrap();
}

#[tokio::test]
async fn bad_settings_are_told_when_it_is_built() {
    let build = |builder: DerivaBuilder| async { builder.build().await.unwrap_err() };
    let memory = || Deriva::builder().store("memory:");
    let nan = Determinism::Sampled { rate: f64::NAN };
    let quorum = Determinism::Quorum { agree: 3, of: 2 };
    for error in [
        build(memory().determinism(nan)).await,
        build(memory().determinism_of("text.upper", "1", quorum)).await,
        build(memory().determinism_of("text.uper", "1", DUAL)).await,
        build(memory().on_violation_of("nobody", "1", OnViolation::Report)).await,
        build(memory().quarantine_after(0)).await,
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let misspelt = build(memory().determinism_of("text.uper", "1", DUAL)).await;
    assert_eq!(misspelt.advice(), Some("did you mean `text.upper/1`?"));
    let deriva = memory().build().await.unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let asked = deriva
        .materialize(leaf)
        .determinism(quorum)
        .await
        .unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Invalid);
    let audit = deriva.audit().addr(leaf).await.unwrap_err();
    assert_eq!(audit.kind(), ErrorKind::Invalid);
    let unknown = deriva.audit().root("nothing").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let reserved = deriva
        .set_root("deriva:ledger/open/x", leaf)
        .await
        .unwrap_err();
    assert_eq!(reserved.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn bisection_finds_the_recipe_that_differs_and_reads_little() {
    let calls = Arc::new(AtomicU64::new(0));
    let open = |lies: bool| {
        let builder = Deriva::builder().store("memory:");
        let builder = builder.light_function("node", "1", move |inputs, params| {
            let name = params.int("n")?.unwrap_or(0);
            let lie = if lies && name == 517 { "!" } else { "" };
            let joined = blake(&inputs.concat());
            Ok(format!("{name}{joined}{lie}").into())
        });
        builder.build()
    };
    let (one, other) = (open(false).await.unwrap(), open(true).await.unwrap());
    let mut tops = Vec::new();
    for deriva in [&one, &other] {
        // A binary tree: node n has the inputs 2n + 1 and 2n + 2.
        let mut recipes: Vec<CAddr> = Vec::new();
        for n in (0..1023i64).rev() {
            let children = [2 * n + 1, 2 * n + 2]
                .into_iter()
                .filter(|child| *child < 1023);
            let inputs = children.map(|child| recipes[1022 - child as usize]);
            let recipe = deriva.recipe("node", "1").inputs(inputs).param("n", n);
            recipes.push(recipe.insert().await.unwrap());
        }
        tops.push(*recipes.last().unwrap());
        deriva.get(*recipes.last().unwrap()).await.unwrap();
    }
    assert_eq!(tops[0], tops[1]);
    let found = one.bisect(&other).target(tops[0]).await.unwrap();
    assert_eq!((found.culprits.len(), found.unknown.len()), (1, 0));
    assert!(found.compared < 25, "{}", found.compared);
    let node = one
        .dag()
        .get_one(found.culprits[0].recipe)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(node.recipe.params().unwrap().int("n").unwrap(), Some(517));
    drop(calls);
    let nothing = one.bisect(&other).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Invalid);
    for deriva in [&one, &other] {
        deriva.set_root("top", tops[0]).await.unwrap();
    }
    assert_eq!(one.bisect(&other).await.unwrap().culprits, found.culprits);
}

fn blake(bytes: &[u8]) -> String {
    Blob::new(bytes.to_vec()).addr().to_string()
}

/// How many of N computations that lie with probability `p` a mode catches.
async fn caught_of(mode: Determinism, p: f64, count: u64) -> u64 {
    let mut functions = FunctionRegistry::new();
    functions.register(coin("coin/1", p, 7).unwrap()).unwrap();
    let builder = Deriva::builder().store("memory:").functions(functions);
    // Under other conditions it lies as often.
    let deriva = builder.perturb(false).build().await.unwrap();
    let recipe = |n: u64| {
        deriva
            .recipe("coin", "1")
            .param("n", n as i64)
            .build()
            .unwrap()
    };
    let recipes: Vec<Recipe> = (0..count).map(recipe).collect();
    deriva.insert(&recipes).await.unwrap();
    let request = deriva
        .materialize_many(recipes.iter().map(Recipe::addr))
        .determinism(mode);
    let done = request.keep_going().await.unwrap();
    let failed = done.results.iter().filter(|result| result.is_err()).count() as u64;
    assert_eq!(failed, done.summary.violations);
    let of_all = deriva.verification().total;
    assert_eq!(
        (of_all.checked, of_all.violated),
        (done.summary.checked, failed)
    );
    failed
}

/// Whether a count of events of this probability is within 4.5 standard deviations of what is expected.
fn is_likely(count: u64, of: u64, probability: f64) -> bool {
    let expected = of as f64 * probability;
    let deviation = (of as f64 * probability * (1.0 - probability)).sqrt();
    (count as f64 - expected).abs() <= 4.5 * deviation
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_are_caught_as_often_as_the_formula_says() {
    let sampled = |rate| Determinism::Sampled { rate };
    for p in [0.5, 0.1, 0.01] {
        let count = 10_000;
        let caught = caught_of(DUAL, p, count).await;
        assert!(
            is_likely(caught, count, 2.0 * p * (1.0 - p)),
            "dual, {p}: {caught}"
        );
        let caught = caught_of(sampled(0.25), p, count).await;
        assert!(
            is_likely(caught, count, 0.5 * p * (1.0 - p)),
            "sampled, {p}: {caught}"
        );
        let all = Determinism::Quorum { agree: 3, of: 3 };
        let caught = caught_of(all, p, count).await;
        let q = 1.0 - p;
        assert!(
            is_likely(caught, count, 1.0 - p.powi(3) - q.powi(3)),
            "3 of 3, {p}: {caught}"
        );
    }
}

#[tokio::test]
async fn the_second_run_may_be_elsewhere() {
    use deriva::executors::InlineExecutor;
    let honest = |text: &'static str| {
        let mut functions = FunctionRegistry::new();
        let call = move |_: &[Bytes], _: &Params| Ok(Bytes::from(text));
        functions
            .register_fn("where", "1", Weight::Heavy, call)
            .unwrap();
        Arc::new(functions)
    };
    // As two machines, of which one has another library.
    for (other, agrees) in [("here", true), ("there", false)] {
        let elsewhere = InlineExecutor::new(honest(other), Arc::new(SystemClock::new()));
        let builder = Deriva::builder().store("memory:");
        let builder = builder.functions((*honest("here")).clone());
        let builder = builder
            .determinism_executor(Arc::new(elsewhere))
            .keep_evidence();
        let deriva = builder.build().await.unwrap();
        let addr = recipe(&deriva, "where", &[]).await;
        let done = deriva.materialize(addr).determinism(DUAL).await;
        assert_eq!(done.is_ok(), agrees, "{done:?}");
        if !agrees {
            let entry = &deriva.ledger().await.unwrap()[0];
            let mut kept = Vec::new();
            for addr in &entry.evidence {
                kept.push(deriva.get(*addr).await.unwrap());
            }
            kept.sort();
            assert_eq!(kept, ["here", "there"]);
            // They are kept from collection, with the entry.
            deriva
                .collect()
                .policy(CollectPolicy::default().unreferenced_blobs(true))
                .await
                .unwrap();
            assert!(kept.contains(&deriva.get(entry.evidence[0]).await.unwrap()));
            assert!(deriva.ledger().await.unwrap()[0].violation.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_others_wait_for_is_finished_for_them() {
    for lies in [false, true] {
        let (gate, calls) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let builder = Deriva::builder().store("memory:").jobs(2);
        let function = gated(&gate, &calls, lies);
        let deriva = builder
            .function("gated", "1", function)
            .build()
            .await
            .unwrap();
        let addr = recipe(&deriva, "gated", &[]).await;
        let leader = tokio::spawn(deriva.materialize(addr).determinism(DUAL).into_future());
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let waits = planned(deriva.materialize(addr).determinism(DUAL)).await;
        leader.abort();
        assert!(leader.await.is_err());
        gate.store(true, Ordering::SeqCst);
        let done = waits.await.unwrap();
        assert_eq!(done.is_ok(), !lies, "{done:?}");
        let entries = deriva.ledger().await.unwrap().len();
        assert_eq!(entries, usize::from(lies));
        let recorded = deriva.dag().outputs(&[addr]).await.unwrap()[0].is_some();
        assert_eq!(recorded, !lies);
        drop(deriva);
    }
}

/// Takes the first bytes of its inputs together, so that nothing grows.
fn firsts(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let firsts: Vec<u8> = inputs
        .iter()
        .flat_map(|input| input.iter().take(4))
        .copied()
        .collect();
    Ok(firsts.into())
}

#[tokio::test]
async fn doubts_are_carried_from_stage_to_stage() {
    let calls = Arc::new(AtomicU64::new(0));
    let builder = Deriva::builder().store("memory:").memory(64 << 10);
    let builder = builder.light_function("lie", "1", counting(&calls));
    let builder = builder
        .light_function("firsts", "1", firsts)
        .on_violation(OnViolation::Report);
    let deriva = builder.build().await.unwrap();
    let lie = recipe(&deriva, "lie", &[]).await;
    let leaf = deriva.put("leaf").await.unwrap();
    let mut layer = vec![lie, leaf];
    let mut all = Vec::new();
    for depth in 0..40i64 {
        let node = |n: usize| {
            let inputs = [layer[n % layer.len()], layer[(n + 1) % layer.len()]];
            let node = deriva.recipe("firsts", "1").inputs(inputs);
            node.param("n", depth * 1000 + n as i64).build().unwrap()
        };
        let next: Vec<Recipe> = (0..100).map(node).collect();
        deriva.insert(&next).await.unwrap();
        layer = next.iter().map(Recipe::addr).collect();
        all.extend_from_slice(&layer);
    }
    let done = deriva
        .materialize_many(layer.clone())
        .determinism(DUAL)
        .await
        .unwrap();
    assert_eq!(done.doubted.len(), 100, "everything rests on the lie");
    // Once more, as what was in hand was let go of when what was recorded was forgotten.
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls <= 4, "it is computed and checked {calls} times");
    let outputs = deriva.dag().outputs(&all).await.unwrap();
    assert_eq!(
        outputs.iter().flatten().count(),
        0,
        "none of it is recorded"
    );
    let honest = recipe(&deriva, "firsts", &[leaf, leaf]).await;
    assert!(
        deriva
            .materialize(honest)
            .determinism(DUAL)
            .await
            .unwrap()
            .doubted
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_while_it_is_audited_is_no_violation() {
    use std::sync::OnceLock;
    type Slot = Arc<OnceLock<(Deriva, [CAddr; 2])>>;
    let slot = Slot::default();
    let (asked, version) = (Arc::clone(&slot), Arc::new(AtomicU64::new(0)));
    let now = Arc::clone(&version);
    let edited = move |inputs: &[Bytes], _: &Params| {
        let version = now.load(Ordering::SeqCst);
        // Somebody mends what was made before the version was new, as soon as an audit has begun.
        if let (1, Some((deriva, recipes))) = (version, asked.get()) {
            now.store(2, Ordering::SeqCst);
            for recipe in recipes {
                futures::executor::block_on(deriva.invalidate(*recipe).into_future())?;
            }
        }
        Ok([&inputs.concat(), version.to_string().as_bytes()]
            .concat()
            .into())
    };
    let builder = Deriva::builder()
        .store("memory:")
        .function("edited", "1", edited);
    let deriva = builder.build().await.unwrap();
    let mut recipes = Vec::new();
    for text in ["one", "other"] {
        let leaf = deriva.put(text).await.unwrap();
        recipes.push(recipe(&deriva, "edited", &[leaf]).await);
    }
    deriva.materialize_many(recipes.clone()).await.unwrap();
    slot.set((deriva.clone(), [recipes[0], recipes[1]]))
        .unwrap();
    version.store(1, Ordering::SeqCst);
    let audited = deriva.audit().await.unwrap();
    assert_eq!((audited.violated, audited.skipped), (0, 2), "{audited:?}");
    assert!(deriva.ledger().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_that_passes_the_deadline_is_late_and_no_violation() {
    use std::time::Duration;
    for stores in Stores::all() {
        let calls = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(AtomicBool::new(false));
        let (counts, opens) = (Arc::clone(&calls), Arc::clone(&gate));
        let slower = move |_: &[Bytes], _: &Params| {
            let nth = counts.fetch_add(1, Ordering::SeqCst);
            while nth > 0 && !opens.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok("the same".into())
        };
        let builder = Deriva::builder().store(&stores.uri()).jobs(2);
        let builder = builder.function("slower", "1", slower);
        let deriva = builder.build().await.unwrap();
        let addr = recipe(&deriva, "slower", &[]).await;
        for perturb in [true, false] {
            gate.store(false, Ordering::SeqCst);
            calls.store(0, Ordering::SeqCst);
            let request = deriva.materialize(addr).determinism(DUAL).perturb(perturb);
            let request = request.deadline(Duration::from_millis(500)).into_future();
            let late = tokio::time::timeout(Duration::from_secs(60), request);
            let late = late.await.unwrap().unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
            assert_eq!(calls.load(Ordering::SeqCst), 2);
            let outputs = deriva.dag().outputs(&[addr]).await.unwrap();
            assert_eq!(outputs, [None], "what was not compared is not recorded");
            assert_eq!(deriva.verification().total.checked, 0);
            assert!(deriva.ledger().await.unwrap().is_empty());
            gate.store(true, Ordering::SeqCst);
            let left = deriva.given_back(Duration::from_secs(60)).await;
            assert!(left.is_zero(), "{left:?}");
        }
        // It is asked for again, and is what it is.
        let done = deriva.materialize(addr).determinism(DUAL).await.unwrap();
        assert_eq!((done.summary.checked, done.summary.violations), (1, 0));
        assert_eq!(deriva.get(addr).await.unwrap(), "the same");
        assert!(deriva.ledger().await.unwrap().is_empty());
    }
}
