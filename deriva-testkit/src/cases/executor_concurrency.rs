//! Cases for many steps at once.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, Bytes, Params};
use futures::future::try_join_all;
use parking_lot::Mutex;

use super::executor_support::{Bench, concat, function};
use super::meeting::Meeting;
use super::support::{on_threads, random_blob};

/// Wide executors are tried with this many steps at the most.
const WIDEST: usize = 64;

crate::case::cases! { $ each_executor_concurrency_case, Executor, Concurrency:
    /// E7: as many steps as the executor is wide overlap: each waits until all are there.
    async fn steps_overlap(trial) {
        let meeting = Arc::new(Meeting::default());
        let wanted = Arc::new(Mutex::new(1));
        let (at, all) = (meeting.clone(), wanted.clone());
        let meet = function("meet/1", move |_, _| {
            let wanted = *all.lock();
            let met = at.meet(wanted, Duration::from_secs(20));
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
