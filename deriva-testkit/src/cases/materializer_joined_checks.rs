//! Cases for checks that meet other requests for the same recipes.

use std::sync::Arc;

use deriva_api::{
    ComputeFunction, Cutoff, Determinism, ErrorKind, Event, OnViolation, Result, StoreResults,
};
use tokio::task::JoinHandle;

use super::materializer_determinism_support::{DUAL, checked, lie, quorum, seen};
use super::materializer_support::{
    Calls, Gate, Works, ask_for, begin, concat, ended, pause, until,
};
use super::support::kind;
use crate::functions::function;
use crate::{Materialized, Request};

/// Waits for the gate; then gives the number of the call where it lies, else always the same.
fn gated(
    id: &str,
    gate: &Arc<Gate>,
    calls: &Calls,
    lies: bool,
) -> Result<Arc<dyn ComputeFunction>> {
    let (gate, calls) = (gate.clone(), calls.clone());
    function(id, move |_, _| {
        let nth = calls.add();
        gate.pass();
        Ok(if lies { nth } else { 7 }.to_string().into())
    })
}

/// `lie/1`, held up by the gate; and what joins its inputs.
fn lying_in_wait(gate: &Arc<Gate>, calls: &Calls) -> Result<Vec<Arc<dyn ComputeFunction>>> {
    let lie = gated("lie/1", gate, calls, true)?;
    Ok(concat()?.into_iter().chain([lie]).collect())
}

/// Begins a request, and waits until it has made its plan.
async fn planned(works: &Works, request: Request) -> Result<JoinHandle<Result<Materialized>>> {
    let plans = Calls::default();
    let told = plans.clone();
    let request = request.progress(move |event: &Event| {
        if matches!(event, Event::Planned { .. }) {
            told.add();
        }
    });
    let task = begin(&works.materializer, request);
    until(|| plans.count() > 0).await?;
    // By now it waits for the others.
    pause(20).await;
    Ok(task)
}

crate::case::cases! { $ each_materializer_joined_checks_case, Materializer, Concurrency:
    /// V3: a request that asks for checks is not content with what another runs without, or with less: it has the recipe run
    /// once more, and compares, whether the other one stores what it computes or not.
    async fn a_check_is_not_satisfied_by_less(trial) {
        let two = || [(); 6].map(|()| (Arc::new(Gate::default()), Calls::default()));
        let (lying, honest) = (two(), two());
        let mut functions = Vec::new();
        for (n, (gate, calls)) in lying.iter().enumerate() {
            functions.push(gated(&format!("lie/{n}"), gate, calls, true)?);
        }
        for (n, (gate, calls)) in honest.iter().enumerate() {
            functions.push(gated(&format!("honest/{n}"), gate, calls, false)?);
        }
        let works = Works::open(trial, functions).await?;
        let none = Determinism::Sampled { rate: 0.0 };
        let asked = [
            (Determinism::Off, DUAL, StoreResults::All, 1),
            (none, DUAL, StoreResults::All, 1),
            (Determinism::Off, quorum(3, 3), StoreResults::All, 1),
            (Determinism::Off, DUAL, StoreResults::None, 1),
            (none, Determinism::Sampled { rate: 1.0 }, StoreResults::All, 1),
            (Determinism::Off, quorum(2, 2), StoreResults::None, 1),
        ];
        for (n, (less, more, results, begun)) in asked.into_iter().enumerate() {
            for (name, (gate, calls)) in [("lie", &lying[n]), ("honest", &honest[n])] {
                let told = format!("{name}: {less}, then {more}, {results:?}");
                let recipe = works.recipe(&format!("{name}/{n}"), &[]).await?;
                let ask = |mode| checked(&[recipe], mode).store_results(results);
                let first = begin(&works.materializer, ask(less));
                calls.reach(begun).await?;
                let second = planned(&works, ask(more)).await?;
                gate.open();
                ended(first).await?;
                let second = ended(second).await;
                assert!(calls.count() >= 2, "{told}: {} runs", calls.count());
                match name {
                    "honest" => assert_eq!(second?.summary.checked, 1, "{told}"),
                    _ => {
                        assert_eq!(kind(second), Some(ErrorKind::Nondeterministic), "{told}");
                        assert_eq!(works.recorded(&[recipe]).await?, 0, "{told}");
                        assert!(seen(&works.materializer, recipe).await?.answers.len() >= 2, "{told}");
                        assert_eq!(kind(works.get(recipe).await), Some(ErrorKind::Nondeterministic), "{told}");
                    }
                }
            }
        }
        let (gate, calls) = (Arc::new(Gate::default()), Calls::default());
        let works = works.with(lying_in_wait(&gate, &calls)?).await?;
        let leaf = works.leaf("leaf").await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        works.materialize(&[same]).await?;
        // The same computation under two names, of which one is to be checked.
        let (one, other) = (works.recipe("lie/1", &[leaf]).await?, works.recipe("lie/1", &[same]).await?);
        let request = ask_for(&[one, other]).cutoff(Cutoff::Always).determinism_at([other], DUAL).keep_going();
        let request = planned(&works, request).await?;
        calls.reach(1).await?;
        gate.open();
        let mut results = ended(request).await?.results;
        assert_eq!(kind(results.remove(1)), Some(ErrorKind::Nondeterministic), "under another name");
        assert_eq!(works.recorded(&[one, other]).await?, 0);
        Ok(())
    }

    /// V3: a request joins a check of another that is as strict, whatever it asks for itself: one check is made for all of
    /// them, and all have its answer.
    async fn one_check_is_for_all_who_wait(trial) {
        let gates = [(); 2].map(|()| (Arc::new(Gate::default()), Calls::default()));
        let functions = [gated("lie/1", &gates[0].0, &gates[0].1, true)?, gated("honest/1", &gates[1].0, &gates[1].1, false)?];
        let works = Works::open(trial, functions).await?;
        for (name, (gate, calls)) in ["lie/1", "honest/1"].into_iter().zip(&gates) {
            let recipe = works.recipe(name, &[]).await?;
            let first = begin(&works.materializer, checked(&[recipe], DUAL));
            calls.reach(1).await?;
            let mut others = Vec::new();
            for mode in [Determinism::Off, DUAL, Determinism::Sampled { rate: 0.5 }, quorum(2, 3)] {
                others.push(planned(&works, checked(&[recipe], mode)).await?);
            }
            gate.open();
            for request in std::iter::once(first).chain(others) {
                let done = ended(request).await;
                let expected = (name == "lie/1").then_some(ErrorKind::Nondeterministic);
                assert_eq!(kind(done), expected, "{name}");
            }
            assert_eq!(calls.count(), 2, "{name}: one check for all of them");
        }
        // Where who began it is dropped, the others have a check all the same.
        let again = [(); 2].map(|()| (Arc::new(Gate::default()), Calls::default()));
        let functions = [gated("lie/1", &again[0].0, &again[0].1, true)?, gated("honest/1", &again[1].0, &again[1].1, false)?];
        let works = works.with(functions).await?;
        let leaf = works.leaf("leaf").await?;
        for (name, (gate, calls)) in ["lie/1", "honest/1"].into_iter().zip(&again) {
            let recipe = works.recipe(name, &[leaf]).await?;
            let first = begin(&works.materializer, checked(&[recipe], DUAL));
            calls.reach(1).await?;
            let other = planned(&works, checked(&[recipe], DUAL)).await?;
            first.abort();
            first.await.ok();
            gate.open();
            let expected = (name == "lie/1").then_some(ErrorKind::Nondeterministic);
            assert_eq!(kind(ended(other).await), expected, "{name}, dropped");
            assert!(calls.count() >= 2, "{name}, dropped");
            assert_eq!(works.recorded(&[recipe]).await?, usize::from(expected.is_none()), "{name}, dropped");
            assert_eq!(works.materializer.ledger().await?.iter().filter(|it| it.recipe == recipe).count(), usize::from(expected.is_some()), "{name}, dropped");
        }
        Ok(())
    }

    /// V3: who joins what turns out to be doubted is served a doubted output, marked as such and not recorded, where it
    /// asks for no checks; one that asks for checks makes its own.
    async fn a_doubted_output_satisfies_no_check(trial) {
        let (gate, calls) = (Arc::new(Gate::default()), Calls::default());
        let functions = concat()?.into_iter().chain([gated("lie/1", &gate, &calls, true)?]);
        let works = Works::open_with(trial, functions, |setup| setup.on_violation = OnViolation::Report).await?;
        let bad = works.recipe("lie/1", &[]).await?;
        let top = works.recipe("concat/1", &[bad]).await?;
        let first = begin(&works.materializer, checked(&[top], DUAL));
        calls.reach(1).await?;
        let plain = planned(&works, ask_for(&[top])).await?;
        let strict = planned(&works, checked(&[top], DUAL)).await?;
        gate.open();
        let (first, plain, strict) = (ended(first).await?, ended(plain).await?, ended(strict).await?);
        for done in [first, plain, strict] {
            assert_eq!(done.doubted, [top]);
            assert!(matches!(done.held.as_slice(), [Some(_)]), "{:?}", done.held);
        }
        assert_eq!(seen(&works.materializer, bad).await?.times, 2, "it made no check of its own");
        assert!(calls.count() >= 4, "{} runs", calls.count());
        assert_eq!(works.recorded(&[bad, top]).await?, 0);
        // What is made from one stays doubted where who began it is dropped, and another goes on with it.
        let (gate, made) = (Arc::new(Gate::default()), Calls::default());
        let functions = concat()?.into_iter().chain([lie("lie/1", &calls)?, gate.concat("wait/1", &made)?]);
        let works = works.with(functions).await?;
        let above = works.recipe("wait/1", &[bad]).await?;
        let first = begin(&works.materializer, ask_for(&[above]));
        made.reach(1).await?;
        let other = planned(&works, ask_for(&[above])).await?;
        first.abort();
        first.await.ok();
        gate.open();
        assert_eq!(ended(other).await?.doubted, [above]);
        assert_eq!(works.recorded(&[bad, above]).await?, 0);
        Ok(())
    }
}
