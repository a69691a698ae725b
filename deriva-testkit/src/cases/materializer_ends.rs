//! Cases on how requests end for others: what is given back, and whose an end is.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, Cutoff, ErrorKind, OnViolation, Result, SystemClock};

use super::materializer_determinism_support::{DUAL, checked, lie, quorum};
use super::materializer_support::{
    Calls, Gate, Works, ask_for, begin, concat, ended, failing, in_time, pause, until,
};
use super::support::kind;
use super::support_faults::polled;
use crate::functions::light;
use crate::{ManualClock, Operation};

/// Waits until nothing is in use, and fails where that takes much too long.
async fn all_is_given_back(works: &Works, after: &str) -> Result<()> {
    let left = || {
        let all = works.materializer.in_use();
        all.into_iter()
            .filter(|(_, count)| *count > 0)
            .collect::<Vec<_>>()
    };
    until(|| left().is_empty()).await.map_err(|error| {
        error
            .with("after", after)
            .with("in_use", format!("{:?}", left()))
    })
}

crate::case::cases! { $ each_materializer_ends_case, Materializer, Concurrency:
    /// R1: whether a request is answered, fails, panics, is refused or ends at its deadline, all that it held is given
    /// back: as far as a materializer tells what is in use, nothing is once all is over.
    async fn all_is_given_back_however_a_request_ends(trial) {
        let (calls, gates) = (Calls::default(), [(); 2].map(|()| Arc::new(Gate::default())));
        let clock = ManualClock::new();
        let own: Arc<ManualClock> = Arc::new(clock.clone());
        let waiting = [gates[0].concat("wait/0", &calls)?, gates[1].concat("wait/1", &calls)?];
        let lies = [lie("lie/1", &Calls::default())?, light(lie("lie-light/1", &Calls::default())?)];
        let functions = concat()?.into_iter().chain(failing()?).chain(waiting).chain(lies);
        let works = Works::open_with(trial, functions, |setup| setup.clock = own).await?;
        let leaf = works.leaf("leaf").await?;
        let below = works.recipe("light/1", &[leaf]).await?;
        let good = works.recipe("concat/1", &[below, leaf]).await?;
        let missing = works.recipe("concat/1", &[good, Blob::new("missing").addr()]).await?;
        let unknown = works.recipe("unknown/1", &[good]).await?;
        all_is_given_back(&works, "inserting").await?;
        for (gate, (cutoff, wait)) in gates.iter().zip([(Cutoff::Never, "wait/0"), (Cutoff::Always, "wait/1")]) {
            let ask = |addr| ask_for(&[addr]).cutoff(cutoff);
            let endings = [
                ("NotFound", missing, Some(ErrorKind::NotFound)),
                ("Unsupported", unknown, Some(ErrorKind::Unsupported)),
                ("success", good, None),
            ];
            for (ending, addr, expected) in endings {
                let done = works.materializer.materialize(ask(addr)).await;
                assert_eq!(kind(done), expected, "{ending}");
                all_is_given_back(&works, ending).await?;
            }
            for name in ["fail/1", "panic/1"] {
                let bad = works.recipe(name, &[good]).await?;
                let above = works.recipe("concat/1", &[bad, good]).await?;
                let done = works.materializer.materialize(ask(above)).await;
                assert_eq!(kind(done), Some(ErrorKind::Function), "{name}");
                all_is_given_back(&works, name).await?;
                let done = works.materializer.materialize(ask(above).keep_going()).await?;
                assert!(done.results[0].is_err());
                all_is_given_back(&works, "keep_going").await?;
            }
            // Two at once, of which one has a deadline.
            let wait = works.recipe(wait, &[good]).await?;
            let top = works.recipe("concat/1", &[wait]).await?;
            let before = calls.count();
            let late = begin(&works.materializer, ask(top).deadline(Duration::from_secs(60)));
            calls.reach(before + 1).await?;
            let other = begin(&works.materializer, ask(top));
            pause(10).await;
            clock.advance(Duration::from_secs(60));
            assert_eq!(kind(ended(late).await), Some(ErrorKind::Timeout));
            gate.open();
            ended(other).await?;
            all_is_given_back(&works, "a deadline").await?;
            works.materializer.forget(good).await?;
            all_is_given_back(&works, "forgetting").await?;
        }
        let reporting = works.again_with(|setup| setup.on_violation = OnViolation::Report).await?;
        for name in ["lie/1", "lie-light/1"] {
            let bad = works.recipe(name, &[good]).await?;
            let above = works.recipe("concat/1", &[bad]).await?;
            for mode in [DUAL, quorum(2, 3)] {
                let done = works.materializer.materialize(checked(&[above], mode).keep_going()).await?;
                assert!(done.results[0].is_err());
                all_is_given_back(&works, "runs that differ").await?;
                let done = reporting.materialize(checked(&[above], mode)).await?;
                assert_eq!(done.doubted, [above]);
                drop(done);
                all_is_given_back(&works, "a doubted output").await?;
            }
            works.materializer.release(bad).await?;
            works.materializer.audit(good).await?;
            all_is_given_back(&works, "an audit").await?;
        }
        drop(works.materializer.lease(&[leaf]).await?);
        works.materializer.collect().await?;
        all_is_given_back(&works, "collecting").await
    }

    /// R1: so it is where a request is dropped, at whatever moment, and where others wait for it.
    async fn all_is_given_back_where_requests_are_dropped(trial) {
        let works = Works::open(trial, concat()?).await?;
        for polls in 0..32 {
            let text = format!("dropped after {polls}");
            let leaf = works.leaf(&text).await?;
            let below = works.recipe("light/1", &[leaf]).await?;
            let middle = works.recipe("concat/1", &[below]).await?;
            let top = works.recipe("concat/1", &[middle, below]).await?;
            let request = match polls % 2 {
                0 => ask_for(&[top]),
                _ => ask_for(&[top]).cutoff(Cutoff::Always),
            };
            let other = begin(&works.materializer, ask_for(&[middle]));
            polled(works.materializer.materialize(request), polls).await;
            if polls % 3 == 0 {
                other.abort();
            }
            other.await.ok();
            all_is_given_back(&works, &text).await?;
            polled(works.materializer.get(top), polls).await;
            polled(works.materializer.collect(), polls).await;
            all_is_given_back(&works, &text).await?;
        }
        Ok(())
    }

    /// R1: so it is whatever call to a store fails.
    async fn all_is_given_back_where_the_store_fails(trial) {
        let works = Works::open(trial, concat()?).await?;
        // The first calls each; later ones are many alike, and each round writes.
        for nth in (1..12).chain((12..).step_by(3)) {
            let leaf = works.leaf(&nth.to_string()).await?;
            let below = works.recipe("light/1", &[leaf]).await?;
            let above = works.recipe("concat/1", &[below, leaf]).await?;
            let top = works.recipe("concat/1", &[above, below]).await?;
            let faults = works.faults.faults();
            let injected = faults.injected();
            faults.fail_call(nth, ErrorKind::Full);
            let requests = [above, top].map(|addr| begin(&works.materializer, ask_for(&[addr]).cutoff(Cutoff::Always)));
            for request in requests {
                ended(request).await.ok();
            }
            all_is_given_back(&works, &format!("call {nth} of a request")).await?;
            works.materializer.collect().await.ok();
            faults.clear();
            all_is_given_back(&works, &format!("call {nth} of a collection")).await?;
            if faults.injected() == injected {
                return Ok(());
            }
        }
        Ok(())
    }

    /// E4: a deadline is that of its own request. Whoever joined it has none, and is given the value.
    async fn a_deadline_is_nobody_elses(trial) {
        // Nobody tells when they have come to wait: where the first time was too short, the second is not.
        for millis in [30, 150] {
            let (calls, gate) = (Calls::default(), Arc::new(Gate::default()));
            let clock = ManualClock::new();
            let own: Arc<ManualClock> = Arc::new(clock.clone());
            let functions = concat()?.into_iter().chain([gate.concat("wait/1", &calls)?]);
            let works = Works::open_with(trial, functions, |setup| setup.clock = own).await?;
            let text = format!("leaf {millis}");
            let below = works.recipe("wait/1", &[works.leaf(&text).await?]).await?;
            let top = works.recipe("concat/1", &[below]).await?;
            let late = begin(&works.materializer, ask_for(&[top]).deadline(Duration::from_secs(60)));
            calls.reach(1).await?;
            let others = [top, below].map(|addr| begin(&works.materializer, ask_for(&[addr])));
            pause(millis).await;
            clock.advance(Duration::from_secs(60));
            assert_eq!(kind(ended(late).await), Some(ErrorKind::Timeout));
            gate.open();
            for other in others {
                assert_eq!(ended(other).await?.results[0].clone()?, Blob::new(text.clone()).stat());
            }
        }
        Ok(())
    }

    /// X1: a request is answered when all that it computed is recorded, also where that takes several writes, of which
    /// the last one is slow.
    async fn an_answer_comes_after_the_last_write(trial) {
        let works = Works::open(trial, concat()?).await?;
        let slow = Arc::new(SystemClock::new());
        works.faults.faults().delay(Operation::DagRecord, Duration::from_millis(40), slow);
        for name in ["concat/1", "light/1"] {
            let mut all = vec![works.leaf(name).await?];
            for _ in 0..6 {
                let below = all[all.len() - 1];
                all.push(works.recipe(name, &[below]).await?);
                let between = all[all.len() - 1];
                all.push(works.recipe("concat/1", &[between]).await?);
            }
            let done = in_time(works.materialize(&[all[all.len() - 1]])).await?;
            assert!(done.results[0].is_ok());
            assert_eq!(works.recorded(&all[1..]).await?, 12, "{name}: answered before all is recorded");
        }
        Ok(())
    }
}
