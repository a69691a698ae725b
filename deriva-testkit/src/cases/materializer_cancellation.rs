//! Cases for requests that are given up, and for collections beside requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deriva_api::{Blob, BlobStoreExt, DagStoreExt, ErrorKind, Result};

use super::materializer_support::{
    Calls, Gate, Works, ask_for, begin, collect_until, concat, ended, in_time, pause,
};
use super::support::{kind, recipe};
use super::support_faults::polled;
use crate::{ManualClock, Materializer, SplitMix64};

/// Puts a leaf and recipes over it under a lease, asks for them, and lets go of them. Few leaves, so that
/// what one has done with goes while another begins with it.
async fn work(materializer: &Arc<dyn Materializer>, random: &mut SplitMix64) -> Result<()> {
    let text = format!("leaf {}", random.below(4));
    let leaf = Blob::new(text.clone());
    let below = recipe("light/1", &[leaf.addr()])?;
    let top = recipe("concat/1", &[below.addr(), leaf.addr()])?;
    let addr = top.addr();
    let lease = materializer.lease(&[leaf.addr(), addr]).await?;
    materializer.put(&[leaf]).await?;
    tokio::task::yield_now().await;
    materializer.insert(&[top, below]).await?;
    if random.below(2) == 0 {
        let polls = random.below(20);
        polled(materializer.materialize(ask_for(&[addr])), polls).await;
    }
    assert_eq!(materializer.get(addr).await?, text.repeat(2));
    drop(lease);
    Ok(())
}

crate::case::cases! { $ each_materializer_cancellation_case, Materializer, Concurrency:
    /// E4: whoever waits for a step of another request gets an answer when that request is dropped, and the step
    /// does not run twice at once.
    async fn a_dropped_leader_leaves_an_answer(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, concat()?.into_iter().chain([gate.concat("wait/1", &calls)?])).await?;
        let leaf = works.leaf("leaf").await?;
        let below = works.recipe("wait/1", &[leaf]).await?;
        let top = works.recipe("concat/1", &[below]).await?;
        let leader = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        let waiters = [top, top, below].map(|addr| begin(&works.materializer, ask_for(&[addr])));
        // They come to wait.
        pause(50).await;
        leader.abort();
        pause(20).await;
        assert_eq!(calls.count(), 1, "it runs a second time beside the first");
        gate.open();
        for waiter in waiters {
            assert_eq!(ended(waiter).await?.results[0].clone()?, Blob::new("leaf").stat());
        }
        assert_eq!(works.get(top).await?, "leaf");
        Ok(())
    }

    /// E4: whoever waits for what another request has not begun yet gets an answer when that request is dropped.
    async fn what_a_dropped_leader_has_not_begun_is_done_by_others(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let functions = concat()?.into_iter().chain([gate.concat("wait/1", &calls)?]);
        let works = Works::open_with(trial, functions, |setup| setup.jobs = 2).await?;
        let leaf = works.leaf("leaf").await?;
        let held = works.recipe("wait/1", &[leaf]).await?;
        let after = works.recipe("concat/1", &[held, leaf]).await?;
        let top = works.recipe("concat/1", &[after]).await?;
        let leader = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        let waiters = [after, top].map(|addr| begin(&works.materializer, ask_for(&[addr])));
        pause(30).await;
        leader.abort();
        pause(5).await;
        gate.open();
        for waiter in waiters {
            assert_eq!(ended(waiter).await?.results[0].clone()?, Blob::new("leafleaf").stat());
        }
        Ok(())
    }

    /// E11: a request may be dropped at any moment: each output that is recorded has its blob, and the same
    /// request can be made again.
    async fn a_dropped_request_can_be_made_again(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, concat()?.into_iter().chain([gate.concat("wait/1", &calls)?])).await?;
        for polls in 0..24 {
            let text = format!("dropped after {polls}");
            let leaf = works.leaf(&text).await?;
            let below = works.recipe("light/1", &[leaf]).await?;
            let middle = works.recipe("concat/1", &[below]).await?;
            let top = works.recipe("concat/1", &[middle, below]).await?;
            polled(works.materialize(&[top]), polls).await;
            works.recorded(&[below, middle, top]).await?;
            assert_eq!(in_time(works.get(top)).await?, text.repeat(2));
            assert_eq!(works.recorded(&[top]).await?, 1);
        }
        // Surely in the middle of a step: the rounds above may all have come too late.
        let wait = works.recipe("wait/1", &[works.leaf("waits").await?]).await?;
        let request = begin(&works.materializer, ask_for(&[wait]));
        calls.reach(1).await?;
        request.abort();
        assert!(request.await.is_err(), "it was not dropped");
        gate.open();
        assert_eq!(in_time(works.get(wait)).await?, "waits");
        Ok(())
    }

    /// E11: a request that nobody waits for any more begins no more steps.
    async fn a_dropped_request_begins_no_more_steps(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, [gate.concat("wait/1", &calls)?]).await?;
        let mut addr = works.leaf("leaf").await?;
        for _ in 0..4 {
            addr = works.recipe("wait/1", &[addr]).await?;
        }
        let request = begin(&works.materializer, ask_for(&[addr]));
        calls.reach(1).await?;
        request.abort();
        pause(20).await;
        gate.open();
        // Steps that should not run would run now.
        pause(50).await;
        assert_eq!(calls.count(), 1);
        assert_eq!(works.get(addr).await?, "leaf");
        Ok(())
    }

    /// E11: a request ends with `Timeout` at its deadline, by the clock of the setup, though a step runs on.
    async fn a_deadline_ends_a_request(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let clock = ManualClock::new();
        let own: Arc<ManualClock> = Arc::new(clock.clone());
        let works = Works::open_with(trial, [gate.concat("wait/1", &calls)?], |setup| setup.clock = own).await?;
        let top = works.recipe("wait/1", &[]).await?;
        let request = begin(&works.materializer, ask_for(&[top]).deadline(Duration::from_secs(60)));
        calls.reach(1).await?;
        clock.advance(Duration::from_secs(59));
        pause(5).await;
        assert!(!request.is_finished(), "before its deadline");
        clock.advance(Duration::from_secs(1));
        assert_eq!(kind(ended(request).await), Some(ErrorKind::Timeout));
        gate.open();
        assert_eq!(in_time(works.get(top)).await?, "");
        Ok(())
    }

    /// C7: a collection takes nothing that a request needs which is under way.
    async fn a_collection_leaves_what_a_request_needs(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, concat()?.into_iter().chain([gate.concat("wait/1", &calls)?])).await?;
        let (leaf, other) = (works.leaf("leaf").await?, works.leaf("other").await?);
        let known = works.recipe("concat/1", &[other]).await?;
        works.materialize(&[known]).await?;
        let held = works.recipe("wait/1", &[leaf]).await?;
        let top = works.recipe("concat/1", &[held, known]).await?;
        let dead = works.recipe("concat/1", &[top, leaf]).await?;
        let request = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        in_time(works.materializer.collect()).await?;
        assert!(!works.dag.has_recipe(dead).await?, "nobody needs {dead}");
        assert!(works.dag.has_recipe(top).await?, "{top} was asked for");
        gate.open();
        assert_eq!(ended(request).await?.results[0].clone()?, Blob::new("leafother").stat());
        Ok(())
    }

    /// R2: two materializers on the same stores are as safe as one: a collection through one takes nothing that is
    /// leased through the other, or needed by a request through it.
    async fn a_collection_leaves_what_another_materializer_needs(trial) {
        let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
        let works = Works::open(trial, concat()?.into_iter().chain([gate.concat("wait/1", &calls)?])).await?;
        let other = works.again().await?;
        let (leaf, late, leased) = (works.leaf("leaf").await?, works.leaf("late").await?, works.leaf("leased").await?);
        let lease = works.materializer.lease(&[leased]).await?;
        let held = works.recipe("wait/1", &[leaf]).await?;
        let top = works.recipe("concat/1", &[held, late]).await?;
        let request = begin(&works.materializer, ask_for(&[top]));
        calls.reach(1).await?;
        in_time(other.collect()).await?;
        for blob in [leaf, late, leased] {
            assert!(works.blobs.has_blob(blob).await?, "{blob} is needed");
        }
        gate.open();
        assert_eq!(ended(request).await?.results[0].clone()?, Blob::new("leaflate").stat());
        drop(lease);
        let gone = async || Ok(!works.dag.has_recipe(top).await? && !works.blobs.has_blob(leased).await?);
        collect_until(&*other, gone).await
    }

    /// C7: collections beside puts, inserts and requests take nothing that is leased or asked for.
    async fn collections_run_beside_everything(trial) {
        let works = Works::open(trial, concat()?).await?;
        let kept = works.leaf("kept").await?;
        let root = works.recipe("concat/1", &[kept, kept]).await?;
        works.materialize(&[root]).await?;
        works.dag.set_root("root", root).await?;
        let over = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|seed| {
            let (materializer, over) = (works.materializer.clone(), over.clone());
            tokio::spawn(async move {
                let mut random = SplitMix64::new(seed);
                while !over.load(Ordering::Relaxed) {
                    work(&materializer, &mut random).await?;
                }
                Ok(())
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for _ in 0..20 {
            works.materializer.collect().await?;
            pause(2).await;
        }
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            ended(task).await?;
        }
        assert_eq!(works.materialize(&[root]).await?.summary.computed, 0);
        assert_eq!(works.recorded(&[root]).await?, 1);
        Ok(())
    }
}
