//! Cases for many requests at once, and steps at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deriva_api::{Blob, ComputeFunction, Error, ErrorKind, Params, Recipe, Result, StoreResults};
use futures::future::try_join_all;
use parking_lot::Mutex;

use super::materializer_determinism_support::{DUAL, checked, quorum};
use super::materializer_support::{
    Calls, Gate, Works, ask_for, begin, concat, ended, in_time, pause, until,
};
use super::meeting::Meeting;
use super::support::{kind, on_threads, random_blob, recipe};
use crate::functions::function;
use crate::{Materializer, SplitMix64};

/// A function that stays a moment, and notes in `meeting` how many of it stay at once.
fn stay(meeting: &Arc<Meeting>, millis: u64) -> Result<Arc<dyn ComputeFunction>> {
    let at = meeting.clone();
    function("stay/1", move |inputs, _| {
        at.meet(usize::MAX, Duration::from_millis(millis));
        Ok(inputs.concat().into())
    })
}

/// Steps of a priority between that of a request which waits and that of the one it waits for.
const CROWD: usize = 100;

/// A function that asks the materializer that will be in the slot for the first input's recipe.
type Slot = Arc<OnceLock<(Arc<dyn Materializer>, deriva_api::CAddr)>>;

fn ask(slot: &Slot) -> Result<Arc<dyn ComputeFunction>> {
    let slot = slot.clone();
    function("ask/1", move |_, _| {
        let none = || Error::new(ErrorKind::Internal, "nobody can be asked yet");
        let (materializer, addr) = slot.get().ok_or_else(none)?;
        futures::executor::block_on(materializer.get(*addr))
    })
}

crate::case::cases! { $ each_materializer_concurrency_case, Materializer, Concurrency:
    /// E3: of many requests at once for the same recipes one runs each, and all are answered.
    async fn many_requests_run_a_node_once(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, [gate.concat("wait/1", &calls)?]).await?;
        let leaf = works.leaf("once").await?;
        let below = works.recipe("wait/1", &[leaf]).await?;
        let tops = [works.recipe("wait/1", &[below]).await?, works.recipe("wait/1", &[below, below]).await?];
        let requests: Vec<_> = (0..12).map(|i| begin(&works.materializer, ask_for(&[tops[i % 2]]))).collect();
        calls.reach(1).await?;
        // Others would come to it now.
        pause(30).await;
        assert_eq!(calls.count(), 1);
        gate.open();
        let mut computed = 0;
        for (i, request) in requests.into_iter().enumerate() {
            let done = ended(request).await?;
            computed += done.summary.computed;
            assert_eq!(done.results[0].clone()?, Blob::new("once".repeat(1 + i % 2)).stat());
        }
        assert_eq!((calls.count(), computed), (3, 3));
        Ok(())
    }

    /// E4: a function that panics, or fails, while many wait for it fails all of them, and holds up none that
    /// comes later.
    async fn a_failure_answers_all_who_wait(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let (counted, at) = (calls.clone(), gate.clone());
        let bad = function("bad/1", move |_, params| {
            counted.add();
            at.pass();
            match params.int("n")? {
                Some(0) => panic!("on purpose"),
                _ => Err(Error::new(ErrorKind::Function, "on purpose")),
            }
        })?;
        let works = Works::open(trial, concat()?.into_iter().chain([bad])).await?;
        for n in 0..2 {
            let bad = works.recipe_with("bad/1", &[], &Params::new().with("n", n)).await?;
            let top = works.recipe("concat/1", &[bad]).await?;
            let before = calls.count();
            let requests: Vec<_> = (0..8).map(|_| begin(&works.materializer, ask_for(&[top]))).collect();
            calls.reach(before + 1).await?;
            pause(10).await;
            gate.open();
            for request in requests {
                let error = ended(request).await.expect_err("the function fails");
                assert_eq!((error.kind(), error.path()), (ErrorKind::Function, [top, bad].as_slice()));
            }
            let later = in_time(works.materialize(&[top])).await;
            assert_eq!(kind(later), Some(ErrorKind::Function));
        }
        Ok(())
    }

    /// E7: independent branches overlap: each waits until all are there.
    async fn independent_branches_overlap(trial) {
        let meeting = Arc::new(Meeting::default());
        let at = meeting.clone();
        let meet = function("meet/1", move |_, _| Ok(match at.meet(3, Duration::from_secs(4)) {
            true => "met".into(),
            false => "alone".into(),
        }))?;
        let works = Works::open_with(trial, concat()?.into_iter().chain([meet]), |setup| setup.jobs = 3).await?;
        let mut branches = Vec::new();
        for text in ["a", "b", "c"] {
            let leaf = works.leaf(text).await?;
            branches.push(works.recipe("meet/1", &[leaf]).await?);
        }
        let top = works.recipe("concat/1", &branches).await?;
        assert_eq!(works.get(top).await?, "metmetmet");
        Ok(())
    }

    /// E7: no request has more steps at once than it allows, and all together have no more than the setup
    /// allows.
    async fn jobs_are_limited(trial) {
        let meeting = Arc::new(Meeting::default());
        let works = Works::open_with(trial, [stay(&meeting, 10)?], |setup| setup.jobs = 3).await?;
        let mut recipes = Vec::new();
        for i in 0..48 {
            let leaf = works.leaf(&format!("leaf {i}")).await?;
            recipes.push(works.recipe("stay/1", &[leaf]).await?);
        }
        let (alone, together) = recipes.split_at(12);
        works.materializer.materialize(ask_for(alone).jobs(2)).await?;
        assert!(meeting.most() <= 2, "{} steps where 2 were allowed", meeting.most());
        let requests = together.chunks(12).map(|recipes| works.materializer.materialize(ask_for(recipes).jobs(2)));
        try_join_all(requests).await?;
        assert!(meeting.most() <= 3, "{} steps where 3 were allowed to all", meeting.most());
        Ok(())
    }

    /// C2, C8: many threads that put the same blobs, insert overlapping batches in different orders and ask
    /// for overlapping addresses get the right bytes, and each recipe runs once.
    async fn overlapping_work_is_done_once(trial) {
        let (meeting, calls) = (Arc::new(Meeting::default()), Calls::default());
        let (at, counted) = (meeting.clone(), calls.clone());
        let work = function("work/1", move |inputs, _| {
            counted.add();
            at.meet(usize::MAX, Duration::from_millis(4));
            Ok(inputs.concat().into())
        })?;
        let works = Works::open(trial, [work]).await?;
        let leaves: Vec<Blob> = (0..6).map(|seed| random_blob(seed, 100)).collect();
        let mut recipes: Vec<Recipe> = Vec::new();
        for i in 0..24 {
            let below = match i {
                0..6 => leaves[i].addr(),
                _ => recipes[i - 6].addr(),
            };
            recipes.push(recipe("work/1", &[below, leaves[i % 6].addr()])?);
        }
        on_threads(6, async |thread| {
            let mut random = SplitMix64::new(thread as u64);
            let mut batch = recipes.clone();
            for i in (1..batch.len()).rev() {
                batch.swap(i, random.below(i as u64 + 1) as usize);
            }
            works.materializer.put(&leaves[thread % 3..]).await?;
            works.materializer.put(&leaves[..3 + thread % 3]).await?;
            for some in batch.chunks(7) {
                works.materializer.insert(some).await?;
            }
            for wanted in batch.iter().take(8) {
                let i = recipes.iter().position(|recipe| recipe.addr() == wanted.addr()).unwrap_or_default();
                let expected = leaves[i % 6].bytes().repeat(2 + i / 6);
                assert!(works.get(wanted.addr()).await? == expected, "recipe {i}");
            }
            Ok(())
        })?;
        let all: Vec<_> = recipes.iter().map(Recipe::addr).collect();
        works.materialize(&all).await?;
        assert_eq!(calls.count(), recipes.len());
        Ok(())
    }

    /// C1: a request that begins after an output was forgotten is never answered from what was computed, or
    /// begun, before; whatever else is under way.
    async fn no_answer_is_from_before_a_forget(trial) {
        let (calls, gate, meeting) = (Calls::default(), Arc::new(Gate::default()), Arc::new(Meeting::default()));
        let (counted, held, at) = (calls.clone(), gate.clone(), meeting.clone());
        // Its output tells which call it was.
        let count = function("count/1", move |_, _| {
            let call = counted.add();
            held.pass();
            at.meet(usize::MAX, Duration::from_millis(2));
            Ok(call.to_string().into())
        })?;
        let works = Works::open(trial, [count]).await?;
        let top = works.recipe("count/1", &[]).await?;
        // The first call goes on while its output is forgotten and asked for again.
        let before = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        in_time(works.materializer.forget(top)).await?;
        let after = begin(&works.materializer, ask_for(&[top]));
        pause(10).await;
        gate.open();
        let first = Blob::new("0").stat();
        assert_ne!(ended(after).await?.results[0].clone()?, first, "it was begun before the forget");
        ended(before).await?;
        assert_ne!(works.get(top).await?, "0", "recorded although it was forgotten");
        // Of the calls, how many had begun when the last forget began.
        let forgotten = Arc::new(Mutex::new(0));
        let asks = (0..4).map(|_| {
            let (materializer, forgotten) = (works.materializer.clone(), forgotten.clone());
            tokio::spawn(async move {
                for _ in 0..40 {
                    let old = *forgotten.lock();
                    let answer = materializer.get(top).await?;
                    let call: usize = String::from_utf8_lossy(&answer).parse().unwrap_or_default();
                    assert!(call >= old, "the answer of call {call}, though {old} calls were forgotten");
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
        });
        let asks: Vec<_> = asks.collect();
        while !asks.iter().all(|ask| ask.is_finished()) {
            let begun = calls.count();
            works.materializer.forget(top).await?;
            *forgotten.lock() = begun;
            pause(1).await;
        }
        for ask in asks {
            ended(ask).await?;
        }
        Ok(())
    }

    /// R2: of two materializers on the same stores, neither serves what was forgotten through the other.
    async fn what_is_forgotten_through_another_is_not_served(trial) {
        let calls = Calls::default();
        let counted = calls.clone();
        let count = function("count/1", move |_, _| Ok(counted.add().to_string().into()))?;
        let works = Works::open(trial, [count]).await?;
        let other = works.again().await?;
        let top = works.recipe("count/1", &[]).await?;
        let both = [&works.materializer, &other];
        for (round, [asks, forgets]) in [[0, 1], [1, 0], [0, 1]].into_iter().enumerate() {
            for _ in 0..3 {
                assert_eq!(both[asks].get(top).await?, round.to_string());
            }
            in_time(both[forgets].forget(top)).await?;
            assert_eq!(both[asks].get(top).await?, (round + 1).to_string(), "it was forgotten");
        }
        Ok(())
    }

    /// R2: a recipe that two materializers on the same stores are asked for runs once.
    async fn two_materializers_run_a_recipe_once(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, [gate.concat("wait/1", &calls)?]).await?;
        let other = works.again().await?;
        let leaf = works.leaf("once").await?;
        let top = works.recipe("wait/1", &[leaf, leaf]).await?;
        let leader = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        let joiner = begin(&other, ask_for(&[top]));
        // It would come to it now.
        pause(30).await;
        gate.open();
        for request in [leader, joiner] {
            assert_eq!(ended(request).await?.results[0].clone()?, Blob::new("onceonce").stat());
        }
        assert_eq!(calls.count(), 1);
        Ok(())
    }

    /// R3: what a request waits for, as another has begun it, has the priority of the request that waits.
    async fn priority_reaches_what_is_waited_for(trial) {
        // In one round the requests may come to the slot in another order than they began.
        let gates = ["wait/0", "wait/1", "wait/2", "wait/3"].map(|name| (name, Arc::new(Gate::default())));
        let (calls, log) = (Calls::default(), Arc::new(Mutex::new(Vec::new())));
        let logged = log.clone();
        let note = function("note/1", move |inputs, _| {
            logged.lock().push(inputs[0].clone());
            Ok(inputs.concat().into())
        })?;
        let mut functions = vec![note];
        for (name, gate) in &gates {
            functions.push(gate.concat(name, &calls)?);
        }
        let works = Works::open_with(trial, functions, |setup| setup.jobs = 1).await?;
        let begin = |targets: &[deriva_api::CAddr], priority| {
            // All of its steps wait at once: else there is a moment in which none does, as the next one is on its way.
            begin(&works.materializer, ask_for(targets).jobs(CROWD).priority(priority))
        };
        for (name, gate) in &gates {
            let blocker = works.recipe(name, &[works.leaf("blocker").await?]).await?;
            let before = calls.count();
            let mut requests = vec![begin(&[blocker], 1000)];
            calls.reach(before + 1).await?;
            let text = format!("wanted {name}");
            let wanted = works.recipe("note/1", &[works.leaf(&text).await?]).await?;
            let mut crowd = Vec::new();
            for i in 0..CROWD {
                let leaf = works.leaf(&format!("crowd {name} {i}")).await?;
                crowd.push(works.recipe("note/1", &[leaf]).await?);
            }
            // Each has begun to wait for the one slot when the next one comes.
            for (targets, priority) in [(&[wanted][..], -10), (&crowd, 0), (&[wanted], 100)] {
                requests.push(begin(targets, priority));
                pause(30).await;
            }
            log.lock().clear();
            gate.open();
            for request in requests {
                ended(request).await?;
            }
            let before = log.lock().iter().position(|ran| ran == text.as_bytes()).unwrap_or(CROWD);
            assert!(before < CROWD / 2, "{before} of {CROWD} of a lower priority ran before");
        }
        Ok(())
    }

    /// E20: a request of a lower priority begins a step only where those of higher ones have none to begin.
    async fn a_lower_priority_waits(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let logged = log.clone();
        let note = function("note/1", move |inputs, _| {
            logged.lock().push(inputs[0].clone());
            Ok(inputs.concat().into())
        })?;
        let functions = [note, gate.concat("wait/1", &calls)?];
        let works = Works::open_with(trial, functions, |setup| setup.jobs = 1).await?;
        let blocker = works.recipe("wait/1", &[works.leaf("blocker").await?]).await?;
        let low = works.recipe("note/1", &[works.leaf("low").await?]).await?;
        let mut crowd = Vec::new();
        for i in 0..CROWD {
            let leaf = works.leaf(&format!("crowd {i}")).await?;
            crowd.push(works.recipe("note/1", &[leaf]).await?);
        }
        let mut requests = vec![begin(&works.materializer, ask_for(&[blocker]).priority(1000))];
        calls.reach(1).await?;
        // Each waits for the one slot when the next one comes, all of the crowd at once.
        for (targets, priority) in [(&[low][..], -10), (&crowd, 0)] {
            let planned = Arc::new(AtomicBool::new(false));
            let is_planned = planned.clone();
            let request = ask_for(targets).jobs(CROWD).priority(priority);
            let request = request.progress(move |_| planned.store(true, Ordering::SeqCst));
            requests.push(begin(&works.materializer, request));
            until(|| is_planned.load(Ordering::SeqCst)).await?;
            pause(30).await;
        }
        gate.open();
        for request in requests {
            ended(request).await?;
        }
        let before = log.lock().iter().position(|ran| ran == "low").unwrap_or_default();
        assert!(before > CROWD / 2, "it ran after {before} of {CROWD} of a higher priority");
        Ok(())
    }

    /// E18: what is to be stored is a matter of each request: what one computes and does not store is stored for another
    /// that waits for it, where that one is to.
    async fn what_another_does_not_store_is_stored(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, [gate.concat("wait/1", &calls)?]).await?;
        let below = works.recipe("wait/1", &[works.leaf("leaf").await?]).await?;
        let top = works.recipe("wait/1", &[below, below]).await?;
        let leader = begin(&works.materializer, ask_for(&[top]).store_results(StoreResults::None));
        calls.reach(1).await?;
        let joiner = begin(&works.materializer, ask_for(&[top, below]));
        // It comes to wait now.
        pause(30).await;
        gate.open();
        for request in [leader, joiner] {
            assert_eq!(ended(request).await?.results[0].clone()?, Blob::new("leafleaf").stat());
        }
        assert_eq!(works.recorded(&[top, below]).await?, 2);
        assert_eq!(works.again().await?.get(top).await?, "leafleaf");
        Ok(())
    }

    /// C6: a function may ask the materializer for other addresses, also where there is room for one step
    /// alone.
    async fn a_function_may_call_back(trial) {
        if !trial.fixture.knows_its_functions() {
            return trial.unsupported("functions that call back");
        }
        let slot = Slot::default();
        let functions = concat()?.into_iter().chain([ask(&slot)?]);
        let works = Works::open_with(trial, functions, |setup| setup.jobs = 1).await?;
        let leaf = works.leaf("deep").await?;
        let below = works.recipe("concat/1", &[leaf, leaf]).await?;
        slot.set((works.materializer.clone(), below)).ok();
        let mut tops = Vec::new();
        for text in ["1", "2", "3"] {
            let leaf = works.leaf(text).await?;
            tops.push(works.recipe("ask/1", &[leaf]).await?);
        }
        let done = in_time(works.materialize(&tops)).await?;
        assert_eq!(done.summary.failed, 0);
        assert_eq!(works.get(tops[2]).await?, "deepdeep");
        // So it is where each runs several times.
        for mode in [DUAL, quorum(3, 3)] {
            for addr in tops.iter().chain([&below]) {
                works.materializer.forget(*addr).await?;
            }
            let done = in_time(works.materializer.materialize(checked(&tops, mode))).await?;
            assert_eq!((done.summary.failed, done.summary.checked), (0, 3), "{mode}");
        }
        Ok(())
    }

    /// C6: a function that asks for the recipe that it computes is told so.
    async fn a_function_that_waits_for_itself_is_told(trial) {
        if !trial.fixture.knows_its_functions() {
            return trial.unsupported("functions that call back");
        }
        let slot = Slot::default();
        let works = Works::open(trial, concat()?.into_iter().chain([ask(&slot)?])).await?;
        let itself = works.recipe("ask/1", &[]).await?;
        let above = works.recipe("concat/1", &[itself]).await?;
        slot.set((works.materializer.clone(), above)).ok();
        for addr in [itself, above] {
            let answer = in_time(works.materialize(&[addr])).await;
            assert_eq!(kind(answer), Some(ErrorKind::Invalid));
        }
        Ok(())
    }
}
