//! Cases for computations that are checked: what is caught, what passes, and which are checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use deriva_api::{
    Blob, Bytes, CAddr, Cutoff, Determinism, Error, ErrorKind, Event, OnViolation, Params, Recipe,
    Result, StoreResults, is_sampled,
};
use parking_lot::Mutex;

use super::materializer_determinism_support::{
    DUAL, answers, checked, entry, lie, once, quorum, script, seen,
};
use super::materializer_support::{Calls, Works, ask_for, concat, stats};
use super::support::kind;
use crate::functions::{function, honest, liars, light};
use crate::{Materializer, Request};

/// Of these recipes over a leaf each, those that run twice when they are checked by this.
async fn chosen(
    materializer: &Arc<dyn Materializer>,
    recipes: &[CAddr],
    mode: Determinism,
    runs: &Mutex<Vec<Bytes>>,
) -> Result<BTreeSet<String>> {
    for recipe in recipes {
        materializer.forget(*recipe).await?;
    }
    runs.lock().clear();
    let done = materializer.materialize(checked(recipes, mode)).await?;
    let runs = runs.lock().clone();
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for run in runs {
        let text = String::from_utf8_lossy(&run).into_owned();
        if !seen.insert(text.clone()) {
            twice.insert(text);
        }
    }
    assert_eq!(done.summary.checked, twice.len() as u64, "{mode}");
    Ok(twice)
}

/// Fails where a request is not `Invalid`, or runs something.
async fn is_invalid(works: &Works, request: Request, calls: &Calls) {
    let said = format!("{request:?}");
    let refused = works.materializer.materialize(request).await;
    assert_eq!(kind(refused), Some(ErrorKind::Invalid), "{said}");
    assert_eq!(calls.count(), 0, "{said}");
}

crate::case::cases! { $ each_materializer_determinism_case, Materializer, Core:
    /// E10: a check of each computation catches a function that looks at a clock, at random numbers, at the order of a hash
    /// map, at a counter or at its thread, heavy or light; the error has the path to it.
    async fn functions_that_are_not_deterministic_are_caught(trial) {
        let names = ["monotonic-clock", "random", "hash-map", "counter", "thread"];
        let liars = || liars().into_iter().map(|liar| liar.function);
        let named = liars().filter(|liar| names.iter().any(|name| liar.id().name() == format!("liar.{name}")));
        let functions: Vec<_> = named.collect();
        assert_eq!(functions.len(), names.len());
        // Both weights of a function have one name, so that there are two materializers for them.
        let works = Works::open(trial, functions.iter().cloned().chain(concat()?)).await?;
        let lighter = works.again_with(|setup| {
            let all = setup.functions.drain(..).map(light);
            setup.functions = all.collect();
        }).await?;
        for (materializer, weight) in [(&works.materializer, "heavy"), (&lighter, "light")] {
            let leaf = works.leaf(weight).await?;
            for liar in &functions {
                let id = liar.id().to_string();
                let below = works.recipe(&id, &[leaf]).await?;
                let top = works.recipe("concat/1", &[below, leaf]).await?;
                let request = checked(&[top], DUAL).perturb(true);
                let failed = materializer.materialize(request).await.map(drop);
                let path = failed.as_ref().err().map(|error| error.path().to_vec());
                assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic), "{weight} {id}");
                assert_eq!(path, Some(vec![top, below]), "{weight} {id}");
                assert_eq!(works.recorded(&[below, top]).await?, 0, "{weight} {id}");
                let seen = seen(materializer, below).await?;
                assert_eq!((seen.function.to_string(), seen.answers.len()), (id, 2));
            }
        }
        Ok(())
    }

    /// E10: deterministic functions, heavy and light, pass every check, with the bytes that they give without, and nothing
    /// comes into the ledger; how many were checked is counted.
    async fn deterministic_functions_pass_every_check(trial) {
        let functions = honest();
        let ids: Vec<String> = functions.iter().map(|function| function.id().to_string()).collect();
        let works = Works::open(trial, functions.into_iter().chain(concat()?)).await?;
        let (a, b) = (works.leaf("b a").await?, works.leaf("a c").await?);
        let mut recipes = Vec::new();
        for id in &ids {
            let params = Params::new().with("n", 7);
            let heavy = works.recipe_with(id, &[a, b], &params).await?;
            recipes.extend([heavy, works.recipe("light/1", &[heavy, b]).await?]);
        }
        let plain = stats(works.materialize(&recipes).await?)?;
        let sampled = Determinism::Sampled { rate: 1.0 };
        for mode in [DUAL, sampled, quorum(2, 3), quorum(3, 5), quorum(4, 4)] {
            for recipe in &recipes {
                works.materializer.forget(*recipe).await?;
            }
            let done = works.materializer.materialize(checked(&recipes, mode)).await?;
            let summary = done.summary;
            assert_eq!((summary.checked, summary.violations), (recipes.len() as u64, 0), "{mode}");
            assert_eq!(stats(done)?, plain, "{mode}");
        }
        assert_eq!(works.recorded(&recipes).await?, recipes.len());
        assert_eq!(works.materializer.ledger().await?, []);
        Ok(())
    }

    /// E10: a function that fails, or panics, in some runs of a check and not in others is not deterministic; one that fails
    /// in all of them has failed, and nothing comes into the ledger.
    async fn a_failure_of_some_runs_is_a_difference(trial) {
        let calls: [Calls; 4] = std::array::from_fn(|_| Calls::default());
        let functions = [
            script("later/1", &calls[0], &["well", "fail"])?,
            script("panic/1", &calls[1], &["well", "panic"])?,
            script("first/1", &calls[2], &["fail", "well"])?,
            script("always/1", &calls[3], &["fail"])?,
        ];
        let works = Works::open(trial, functions).await?;
        for name in ["later/1", "panic/1", "first/1"] {
            let recipe = works.recipe(name, &[]).await?;
            let failed = works.materializer.materialize(checked(&[recipe], DUAL)).await;
            assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic), "{name}");
            assert_eq!(works.recorded(&[recipe]).await?, 0, "{name}");
            let seen = seen(&works.materializer, recipe).await?;
            let failures = seen.answers.iter().filter(|it| it.addr.is_none() && it.error.is_some());
            assert_eq!((seen.answers.len(), failures.count()), (2, 1), "{name}");
        }
        let recipe = works.recipe("always/1", &[]).await?;
        for _ in 0..2 {
            let failed = works.materializer.materialize(checked(&[recipe], DUAL)).await;
            assert_eq!(kind(failed), Some(ErrorKind::Function));
        }
        assert_eq!(entry(&works.materializer, recipe).await?, None);
        Ok(())
    }

    /// E10: of a quorum's runs what most of them gave is the output, whichever run was the first; the others are
    /// remembered. Nothing else is answered later: not by another materializer, nor when it is computed anew.
    async fn a_quorum_serves_what_most_runs_gave(trial) {
        let calls: [Calls; 2] = std::array::from_fn(|_| Calls::default());
        let functions = [
            script("second/1", &calls[0], &["right", "wrong", "right", "later", "right"])?,
            script("first/1", &calls[1], &["wrong", "right", "right", "later", "right"])?,
        ];
        let works = Works::open(trial, functions).await?;
        for (name, first) in [("second/1", "right"), ("first/1", "wrong")] {
            let recipe = works.recipe(name, &[]).await?;
            let done = works.materializer.materialize(checked(&[recipe], quorum(2, 3))).await?;
            assert_eq!((done.summary.checked, done.summary.violations, done.doubted.len()), (1, 1, 0), "{name}");
            assert_eq!(stats(done)?, [Blob::new("right").stat()], "{name}");
            let right = Blob::new("right").addr();
            let seen = seen(&works.materializer, recipe).await?;
            let mut counted = vec![(Some(right), 2), once("wrong")];
            if first == "wrong" {
                counted.reverse();
            }
            assert_eq!((seen.accepted, answers(&seen)), (Some(right), counted), "{name}");
            assert_eq!(works.get(recipe).await?, "right", "{name}");
            assert_eq!(works.again().await?.get(recipe).await?, "right", "{name}");
            works.materializer.forget(recipe).await?;
            assert_eq!(kind(works.get(recipe).await), Some(ErrorKind::Nondeterministic), "{name}");
            assert_eq!(works.recorded(&[recipe]).await?, 0, "{name}");
            assert_eq!(works.get(recipe).await?, "right", "{name}");
        }
        // What was recorded before and is outvoted goes; a record that is right stays.
        let calls = Calls::default();
        let works = works.with(concat()?.into_iter().chain([script("outvoted/1", &calls, &["wrong", "right", "right"])?])).await?;
        let leaf = works.leaf("leaf").await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        let first = works.recipe("outvoted/1", &[leaf]).await?;
        let above = works.recipe("light/1", &[first]).await?;
        assert_eq!(works.get(above).await?, "wrong");
        calls.restart();
        let alias = works.recipe("outvoted/1", &[same]).await?;
        let done = works.materializer.materialize(checked(&[alias], quorum(2, 3))).await?;
        assert_eq!(stats(done)?, [Blob::new("right").stat()]);
        assert_eq!(works.get(alias).await?, "right");
        assert_eq!(works.recorded(&[above]).await?, 0);
        assert_eq!((works.get(first).await?, works.get(above).await?), ("right".into(), "right".into()));
        Ok(())
    }

    /// E10: where no output can have enough of a quorum's runs any more, it is run no more, and none counts.
    async fn a_quorum_that_is_split_serves_nothing(trial) {
        let calls: [Calls; 2] = std::array::from_fn(|_| Calls::default());
        let functions = [
            lie("lie/1", &calls[0])?,
            script("halves/1", &calls[1], &["a", "b", "a", "b"])?,
        ];
        let works = Works::open(trial, functions).await?;
        for (name, mode, counts) in [("lie/1", quorum(2, 3), [1, 1, 1].as_slice()), ("halves/1", quorum(3, 4), &[2, 2])] {
            let recipe = works.recipe(name, &[]).await?;
            let failed = works.materializer.materialize(checked(&[recipe], mode)).await;
            assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic), "{name}");
            let seen = seen(&works.materializer, recipe).await?;
            let runs: Vec<u64> = seen.answers.iter().map(|answer| answer.runs).collect();
            assert_eq!((seen.accepted, runs.as_slice()), (None, counts), "{name}");
            assert_eq!(works.recorded(&[recipe]).await?, 0, "{name}");
            assert_eq!(kind(works.get(recipe).await), Some(ErrorKind::Nondeterministic), "{name}");
        }
        assert_eq!((calls[0].count(), calls[1].count()), (3, 4));
        Ok(())
    }

    /// V2: a sample of rate 0 has nothing and of rate 1 everything; between them the resolved address decides with the
    /// setup's key: the same in each materializer that has it, heavy or light, and another choice with another key.
    async fn a_sample_is_decided_by_the_resolved_address(trial) {
        let runs = Arc::new(Mutex::new(Vec::new()));
        let count = |id: &str| {
            let runs = runs.clone();
            function(id, move |inputs, _| {
                runs.lock().push(inputs.concat().into());
                Ok(inputs.concat().into())
            })
        };
        let key = [3; 32];
        let functions = [count("count/1")?, light(count("count-light/1")?)];
        let works = Works::open_with(trial, functions.into_iter().chain(concat()?), |setup| setup.sampling_key = key).await?;
        let (mut recipes, mut texts, mut resolved) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..64 {
            let text = format!("leaf {n}");
            let leaf = works.leaf(&text).await?;
            // What is below is recorded: it is not run again.
            let below = works.recipe("concat/1", &[leaf]).await?;
            works.materialize(&[below]).await?;
            let name = ["count/1", "count-light/1"][n % 2];
            recipes.push(works.recipe(name, &[below]).await?);
            resolved.push(Recipe::new(&name.parse()?, &[leaf], &Params::new())?.addr());
            texts.push(text);
        }
        let expected = |rate, key: &[u8; 32]| -> BTreeSet<String> {
            let all = texts.iter().zip(&resolved);
            all.filter(|(_, addr)| is_sampled(rate, key, **addr)).map(|(text, _)| text.clone()).collect()
        };
        works.materialize(&recipes).await?;
        let again = works.again().await?;
        let other = works.again_with(|setup| setup.sampling_key = [4; 32]).await?;
        for rate in [0.0, 0.3, 0.7, 1.0] {
            let mode = Determinism::Sampled { rate };
            for (materializer, key) in [(&works.materializer, [3; 32]), (&again, [3; 32]), (&other, [4; 32])] {
                assert_eq!(chosen(materializer, &recipes, mode, &runs).await?, expected(rate, &key), "rate {rate}");
            }
        }
        assert_eq!((expected(0.0, &key).len(), expected(1.0, &key).len()), (0, 64));
        Ok(())
    }

    /// V1: a rate outside of 0 to 1, and a quorum that is none, is `Invalid` in a request, for a recipe of it, and in a setup,
    /// and nothing runs.
    async fn a_mode_that_is_none_is_invalid(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let top = works.recipe("count/1", &[works.leaf("leaf").await?]).await?;
        let rates = [f64::NAN, f64::INFINITY, -0.1, 1.1].map(|rate| Determinism::Sampled { rate });
        let quorums = [(0, 0), (1, 1), (1, 2), (2, 4), (3, 2), (33, 65)].map(|(agree, of)| quorum(agree, of));
        for mode in rates.into_iter().chain(quorums) {
            is_invalid(&works, checked(&[top], mode), &calls).await;
            is_invalid(&works, ask_for(&[top]).determinism_at([top], mode), &calls).await;
            let opened = works.again_with(|setup| setup.determinism = mode).await;
            assert_eq!(kind(opened.map(drop)), Some(ErrorKind::Invalid), "{mode}");
        }
        works.materialize(&[top]).await?;
        assert_eq!(calls.count(), 1);
        Ok(())
    }

    /// V1: the strictest mode that applies wins: that of the setup, that of the request, that of the request for a recipe. A
    /// request asks for less than the setup only where the setup lets it.
    async fn the_strictest_mode_wins(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let top = works.recipe("count/1", &[works.leaf("leaf").await?]).await?;
        let (off, none) = (Determinism::Off, Determinism::Sampled { rate: 0.0 });
        // Setup, whether requests may lower it, request, recipe, and how often it runs.
        let all = [
            (off, false, None, None, 1),
            (off, false, Some(DUAL), None, 2),
            (off, false, None, Some(DUAL), 2),
            (off, false, Some(off), Some(quorum(3, 3)), 3),
            (off, false, Some(DUAL), Some(off), 2),
            (off, false, Some(quorum(4, 4)), Some(DUAL), 4),
            (none, false, Some(DUAL), None, 2),
            (DUAL, false, None, None, 2),
            (DUAL, false, Some(off), None, 2),
            (DUAL, false, None, Some(none), 2),
            (DUAL, false, Some(quorum(3, 4)), None, 3),
            (quorum(3, 3), false, Some(DUAL), Some(DUAL), 3),
            (DUAL, true, None, None, 2),
            (DUAL, true, Some(off), None, 1),
            (DUAL, true, Some(off), Some(none), 1),
            (quorum(3, 3), true, Some(DUAL), Some(off), 2),
            (off, true, Some(DUAL), None, 2),
        ];
        for (floor, may_lower, request, recipe, expected) in all {
            let told = format!("{floor}, {may_lower}, {request:?}, {recipe:?}");
            let materializer = works.again_with(|setup| {
                (setup.determinism, setup.requests_may_lower) = (floor, may_lower);
            }).await?;
            let mut asked = ask_for(&[top]);
            asked.determinism = request;
            if let Some(mode) = recipe {
                asked = asked.determinism_at([top], mode);
            }
            let before = calls.count();
            let done = materializer.materialize(asked).await?;
            assert_eq!(calls.count() - before, expected, "{told}");
            assert_eq!(done.summary.checked, u64::from(expected > 1), "{told}");
            materializer.forget(top).await?;
        }
        Ok(())
    }

    /// V1: a mode that a request has for a recipe is for that one alone.
    async fn a_mode_for_a_recipe_is_for_that_one(trial) {
        let calls: [Calls; 3] = std::array::from_fn(|_| Calls::default());
        let works = Works::open(trial, [calls[0].concat("a/1")?, calls[1].concat("b/1")?, light(calls[2].concat("c/1")?)]).await?;
        let a = works.recipe("a/1", &[works.leaf("leaf").await?]).await?;
        let b = works.recipe("b/1", &[a]).await?;
        let c = works.recipe("c/1", &[b]).await?;
        let request = ask_for(&[c]).determinism_at([a, c], DUAL).determinism_at([c], quorum(3, 3));
        let done = works.materializer.materialize(request).await?;
        assert_eq!(calls.each_ref().map(Calls::count), [2, 1, 3]);
        assert_eq!(done.summary.checked, 2);
        Ok(())
    }

    /// E10: only executions are checked: what is recorded, what is found under another name and what is a leaf runs nothing.
    async fn only_executions_are_checked(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([calls.concat("count/1")?])).await?;
        let leaf = works.leaf("leaf").await?;
        let below = works.recipe("count/1", &[leaf, leaf]).await?;
        let top = works.recipe("light/1", &[below]).await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        let alias = works.recipe("count/1", &[same, leaf]).await?;
        works.materialize(&[top, same]).await?;
        let done = works.materializer.materialize(checked(&[top, below, leaf], DUAL)).await?;
        assert_eq!((done.summary.checked, done.summary.computed, calls.count()), (0, 0, 1));
        let done = works.materializer.materialize(checked(&[alias], DUAL).cutoff(Cutoff::Always)).await?;
        assert_eq!((done.summary.checked, done.summary.cutoff, calls.count()), (0, 1, 1));
        Ok(())
    }

    /// V4: of a recipe whose runs differ nothing is recorded, nor of what needs it; the event and the error say what was
    /// seen. A request that keeps going records all that does not need it.
    async fn nothing_is_recorded_of_what_differs(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([lie("lie/1", &calls)?, light(lie("lie-light/1", &calls)?)])).await?;
        for name in ["lie/1", "lie-light/1"] {
            let leaf = works.leaf(name).await?;
            let below = works.recipe("concat/1", &[leaf]).await?;
            let bad = works.recipe(name, &[below]).await?;
            let above = works.recipe("light/1", &[bad, leaf]).await?;
            let top = works.recipe("concat/1", &[above, below]).await?;
            let good = works.recipe("light/1", &[below]).await?;
            let violated = Arc::new(Mutex::new(Vec::new()));
            let heard = violated.clone();
            let request = checked(&[top, good], DUAL).keep_going().progress(move |event: &Event| {
                if let Event::Violated { addr, violation } = event {
                    heard.lock().push((*addr, (**violation).clone()));
                }
            });
            let done = works.materializer.materialize(request).await?;
            let summary = &done.summary;
            assert_eq!((summary.checked, summary.violations, summary.failed, summary.skipped), (3, 1, 1, 2), "{name}");
            let mut results = done.results.into_iter();
            let failed = results.next().unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "no result")));
            let source = failed.as_ref().err().and_then(std::error::Error::source);
            let source = source.and_then(|it| it.downcast_ref::<deriva_api::Violation>()).cloned();
            assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic), "{name}");
            assert_eq!(kind(results.next().unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "no result")))), None);
            assert_eq!(works.recorded(&[below, good]).await?, 2, "{name}");
            assert_eq!(works.recorded(&[bad, above, top]).await?, 0, "{name}");
            let seen = seen(&works.materializer, bad).await?;
            assert_eq!(*violated.lock(), [(bad, seen.clone())], "{name}");
            assert_eq!(source, Some(seen), "{name}");
            let resolved = Recipe::new(&name.parse()?, &[leaf], &Params::new())?.addr();
            assert_eq!(works.dag.outputs(&[resolved]).await?, [None], "{name}");
        }
        Ok(())
    }

    /// V4: where violations are reported, the first output is served and marked as doubted, and so is what is made from it;
    /// none of it is recorded. The ledger has it, a request that asks for checks makes its own, and a materializer that
    /// fails for violations serves none of it.
    async fn a_doubted_output_is_served_and_not_kept(trial) {
        let calls = Calls::default();
        let functions = concat()?.into_iter().chain([lie("lie/1", &calls)?, light(lie("lie-light/1", &calls)?)]);
        let works = Works::open_with(trial, functions, |setup| setup.on_violation = OnViolation::Report).await?;
        for name in ["lie/1", "lie-light/1"] {
            let leaf = works.leaf(name).await?;
            let bad = works.recipe(name, &[leaf]).await?;
            let above = works.recipe("light/1", &[bad]).await?;
            let top = works.recipe("concat/1", &[above]).await?;
            let good = works.recipe("concat/1", &[leaf]).await?;
            let before = calls.count();
            let done = works.materializer.materialize(checked(&[top, good], DUAL)).await?;
            let first = Blob::new(before.to_string());
            assert_eq!((done.doubted.as_slice(), done.held.first().cloned()), ([top].as_slice(), Some(Some(first.clone()))), "{name}");
            assert_eq!((done.summary.violations, done.summary.doubted), (1, 3), "{name}");
            assert_eq!(stats(done)?, [first.stat(), Blob::new(name).stat()], "{name}");
            assert_eq!((works.recorded(&[bad, above, top]).await?, works.recorded(&[good]).await?), (0, 1), "{name}");
            assert_eq!(seen(&works.materializer, bad).await?.answers.len(), 2, "{name}");
            // Without a check it is computed once more, and no less doubted.
            let before = calls.count();
            let done = works.materializer.materialize(ask_for(&[top])).await?;
            assert_eq!((done.doubted.as_slice(), done.summary.violations, calls.count() - before), ([top].as_slice(), 0, 1), "{name}");
            assert_eq!(works.get(top).await?, (before + 1).to_string(), "{name}");
            let before = calls.count();
            let request = checked(&[top], DUAL).store_results(StoreResults::All);
            let done = works.materializer.materialize(request).await?;
            assert_eq!((done.doubted.as_slice(), done.summary.violations, calls.count() - before), ([top].as_slice(), 1, 2), "{name}");
            assert_eq!(works.recorded(&[bad, above, top]).await?, 0, "{name}");
            let seen = seen(&works.materializer, bad).await?;
            assert_eq!((seen.times, seen.answers.len()), (2, 4), "{name}");
            let strict = works.again_with(|setup| setup.on_violation = OnViolation::Fail).await?;
            assert_eq!(kind(strict.get(top).await), Some(ErrorKind::Nondeterministic), "{name}");
        }
        Ok(())
    }
}
