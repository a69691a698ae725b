//! Cases for many steps at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deriva_api::{Blob, Bytes, Error, Params};
use futures::future::try_join_all;
use parking_lot::Mutex;

use super::executor_support::{Bench, concat, function};
use super::meeting::Meeting;
use super::support::{on_threads, random_blob};
use super::support_faults::polled;

/// Wide executors are tried with this many steps at the most.
const WIDEST: usize = 64;
/// How long steps wait for each other.
const PATIENCE: Duration = Duration::from_secs(20);

crate::case::cases! { $ each_executor_concurrency_case, Executor, Concurrency:
    /// E7: as many steps as the executor is wide overlap: each waits until all are there.
    async fn steps_overlap(trial) {
        let meeting = Arc::new(Meeting::default());
        let wanted = Arc::new(Mutex::new(1));
        let (at, all) = (meeting.clone(), wanted.clone());
        let meet = function("meet/1", move |_, _| {
            let wanted = *all.lock();
            let met = at.meet(wanted, PATIENCE);
            Ok(Bytes::from_static(if met { b"met" } else { b"alone" }))
        })?;
        let bench = Bench::open(trial, vec![meet]).await?;
        let width = bench.executor.width();
        assert!(width >= 1, "a width of 0");
        *wanted.lock() = width.min(WIDEST);
        let all: Vec<Params> = (0..width.min(WIDEST) as i64).map(|i| Params::new().with("i", i)).collect();
        let runs = all.iter().map(|params| bench.run("meet/1", &[], params));
        for executed in try_join_all(runs).await? {
            assert_eq!(bench.read(&executed).await?, "met", "{width} steps do not overlap");
        }
        Ok(())
    }

    /// E7: never do more steps run at once than the executor is wide, however many there are; all come to
    /// their end.
    async fn the_width_is_respected(trial) {
        let meeting = Arc::new(Meeting::default());
        let at = meeting.clone();
        // They stay a little, so that too many would meet.
        let stay = function("stay/1", move |_, _| {
            at.meet(usize::MAX, Duration::from_millis(30));
            Ok(Bytes::new())
        })?;
        let bench = Bench::open(trial, vec![stay]).await?;
        let width = bench.executor.width().min(WIDEST);
        let all: Vec<Params> = (0..4 * width as i64).map(|i| Params::new().with("i", i)).collect();
        let runs = all.iter().map(|params| bench.run("stay/1", &[], params));
        try_join_all(runs).await?;
        let most = meeting.most();
        assert!(most <= bench.executor.width(), "{most} at once in a width of {}", bench.executor.width());
        Ok(())
    }

    /// E10: of steps that must be fresh and run at once each runs the function: none takes what another gives.
    async fn fresh_steps_at_once_each_run(trial) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let count = function("count/1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::from_static(b"same"))
        })?;
        let bench = Bench::open(trial, vec![count]).await?;
        let runs = (0..4).map(async |_| {
            let mut step = bench.step("count/1", &[], &Params::new()).await?;
            step.fresh = true;
            bench.executor.execute(step).await
        });
        for executed in try_join_all(runs).await? {
            assert!(!executed.reused, "a fresh step reuses nothing");
            assert_eq!(bench.read(&executed).await?, "same");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 4);
        Ok(())
    }

    /// E11: a step that is given up while it waits for its turn does not run.
    async fn a_step_given_up_before_its_turn_does_not_run(trial) {
        let meetings = Arc::new(<[Meeting; 3]>::default());
        let wanted = Arc::new(AtomicUsize::new(0));
        let (at, all) = (meetings.clone(), wanted.clone());
        let meet = function("meet/1", move |_, params| {
            let at = &at[params.int("at")?.unwrap_or_default() as usize];
            let met = at.meet(all.load(Ordering::SeqCst), PATIENCE);
            Ok(Bytes::from_static(if met { b"met" } else { b"alone" }))
        })?;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let count = function("count/1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::new())
        })?;
        let bench = Bench::open(trial, vec![meet, count]).await?;
        let width = bench.executor.width();
        if width > WIDEST {
            return trial.unsupported("a width that can be filled");
        }
        let meet = async |at: usize, nth: usize| {
            let params = Params::new().with("at", at as i64).with("nth", nth as i64);
            let executed = bench.run("meet/1", &[], &params).await?;
            assert_eq!(bench.read(&executed).await?, "met", "{width} steps do not overlap");
            Ok::<_, Error>(())
        };
        // All the width is taken until this has come, too.
        wanted.store(width + 1, Ordering::SeqCst);
        let ran_in_place = AtomicUsize::new(0);
        on_threads(width + 1, async |thread| {
            if thread < width {
                return meet(0, thread).await;
            }
            let step = bench.step("count/1", &[], &Params::new()).await?;
            assert!(meetings[0].await_others(width, PATIENCE), "{width} steps do not overlap");
            polled(bench.executor.execute(step), 1).await;
            ran_in_place.store(calls.load(Ordering::SeqCst), Ordering::SeqCst);
            meetings[0].meet(width + 1, PATIENCE);
            Ok(())
        })?;
        // What waited before these has had its turn when they have met.
        wanted.store(width, Ordering::SeqCst);
        for at in [1, 2] {
            try_join_all((0..width).map(|nth| meet(at, nth))).await?;
        }
        assert_eq!(calls.load(Ordering::SeqCst), ran_in_place.into_inner(), "it ran after it was dropped");
        Ok(())
    }

    /// E16: steps that run at once get their own inputs and give their own outputs.
    async fn steps_do_not_mix(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        on_threads(8, async |thread| {
            for round in 0..20 {
                let inputs = [thread, round].map(|seed| random_blob(seed as u64, 3000));
                let expected = Blob::new(inputs.each_ref().map(|blob| blob.bytes().clone()).concat());
                let executed = bench.run("concat/1", &inputs, &Params::new()).await?;
                assert!(bench.read(&executed).await? == expected.bytes());
            }
            Ok(())
        })
    }
}
