//! Cases for stores that fail under a materializer.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Cutoff, ErrorKind};

use super::materializer_determinism_support::{DUAL, checked, lie};
use super::materializer_support::{
    Calls, Works, ask_for, begin, concat, ended, in_time, pause, until,
};
use super::support::kind;
use crate::{ManualClock, Operation};

crate::case::cases! { $ each_materializer_faults_case, Materializer, Faults:
    /// F4: whatever call to a store fails during a request, the request fails with the same kind, or has done
    /// all that it should; no output is without its blob; and the same request can be made again.
    async fn every_call_of_a_request_can_fail(trial) {
        let works = Works::open(trial, concat()?).await?;
        let mut failed = 0;
        for lost in [false, true] {
            // The last number is one that a request does not reach.
            for nth in 1.. {
                let leaf = works.leaf(&format!("{nth} {lost}")).await?;
                let below = works.recipe("concat/1", &[leaf]).await?;
                let above = works.recipe("light/1", &[below, leaf]).await?;
                let top = works.recipe("concat/1", &[above, below]).await?;
                let all = [below, above, top];
                let injected = works.faults.faults().injected();
                let kinds = [ErrorKind::Unavailable, ErrorKind::Full];
                let fault = kinds[nth as usize % 2];
                match lost {
                    false => works.faults.faults().fail_call(nth, fault),
                    true => works.faults.faults().lose_call(nth, fault),
                }
                let done = works.materializer.materialize(ask_for(&[top]).cutoff(Cutoff::Always)).await;
                works.faults.faults().clear();
                let recorded = works.recorded(&all).await?;
                match kind(done).kind {
                    None => assert_eq!(recorded, 3, "call {nth}: acknowledged and not recorded"),
                    Some(found) => assert_eq!(found, fault, "call {nth}"),
                }
                assert_eq!(works.get(top).await?, format!("{nth} {lost}").repeat(3));
                works.recorded(&all).await?;
                if works.faults.faults().injected() == injected {
                    break;
                }
                failed += 1;
            }
        }
        assert!(failed >= 6, "only {failed} calls failed");
        Ok(())
    }

    /// E11: no output is recorded before its blob is stored, also where the request is dropped between.
    async fn no_output_comes_before_its_blob(trial) {
        let works = Works::open(trial, concat()?).await?;
        for name in ["concat/1", "light/1"] {
            let leaf = works.leaf(name).await?;
            let below = works.recipe(name, &[leaf, leaf]).await?;
            let top = works.recipe(name, &[below, leaf]).await?;
            let writes = [Operation::BlobPut, Operation::BlobWriter, Operation::BlobWrite, Operation::BlobFinish];
            writes.iter().for_each(|write| works.faults.faults().hang(*write));
            let request = begin(&works.materializer, ask_for(&[top]));
            for _ in 0..10 {
                pause(2).await;
                assert_eq!(works.recorded(&[below, top]).await?, 0, "before the blob is stored");
            }
            request.abort();
            pause(5).await;
            works.faults.faults().clear();
            works.recorded(&[below, top]).await?;
            assert_eq!(works.get(top).await?, name.repeat(3));
            assert_eq!(works.recorded(&[top]).await?, 1);
        }
        Ok(())
    }

    /// F4: whatever call to a store fails while what differs is remembered, the request fails; nothing of it is recorded or
    /// served, and the same check can be made again.
    async fn every_call_of_a_check_can_fail(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([lie("lie/1", &calls)?])).await?;
        let mut failed = 0;
        for lost in [false, true] {
            // The last number is one that a request does not reach.
            for nth in 1.. {
                let leaf = works.leaf(&format!("{nth} {lost}")).await?;
                let bad = works.recipe("lie/1", &[leaf]).await?;
                let top = works.recipe("light/1", &[bad]).await?;
                let injected = works.faults.faults().injected();
                let fault = [ErrorKind::Unavailable, ErrorKind::Full][nth as usize % 2];
                match lost {
                    false => works.faults.faults().fail_call(nth, fault),
                    true => works.faults.faults().lose_call(nth, fault),
                }
                let done = in_time(works.materializer.materialize(checked(&[top], DUAL))).await;
                works.faults.faults().clear();
                let found = kind(done);
                assert!(found == Some(ErrorKind::Nondeterministic) || found == Some(fault), "call {nth}: {found:?}");
                assert_eq!(works.recorded(&[bad, top]).await?, 0, "call {nth}");
                if found == Some(ErrorKind::Nondeterministic) {
                    assert_eq!(kind(works.get(top).await), Some(ErrorKind::Nondeterministic), "call {nth}");
                }
                let again = in_time(works.materializer.materialize(checked(&[top], DUAL))).await;
                assert_eq!(kind(again), Some(ErrorKind::Nondeterministic), "call {nth}");
                // So that the next check has no more to read.
                works.materializer.release(bad).await?;
                if works.faults.faults().injected() == injected {
                    break;
                }
                failed += 1;
            }
        }
        assert!(failed >= 4, "only {failed} calls failed");
        // Who is told that runs differ need not fear what was recorded before, though nothing could be remembered.
        let leaf = works.leaf("leaf").await?;
        let same = works.recipe("light/1", &[leaf]).await?;
        let twice = works.recipe("light/1", &[same]).await?;
        let (bad, alias) = (works.recipe("lie/1", &[twice]).await?, works.recipe("lie/1", &[same]).await?);
        works.materialize(&[alias, twice]).await?;
        works.faults.faults().fail_all(Operation::DagSetRoot, ErrorKind::Unavailable);
        let told = kind(works.materializer.materialize(checked(&[bad], DUAL)).await);
        works.faults.faults().clear();
        let is_told = told == Some(ErrorKind::Nondeterministic);
        assert!(is_told || told == Some(ErrorKind::Unavailable), "{told:?}");
        assert!(!is_told || works.recorded(&[bad, alias]).await? == 0, "it is recorded still");
        Ok(())
    }

    /// V4: what is being recorded of the same computation, under another name, when its runs are found to differ is served to
    /// nobody either.
    async fn what_is_being_recorded_of_what_differs_is_not_served(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([lie("lie/1", &calls)?])).await?;
        let leaf = works.leaf("leaf").await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        works.materialize(&[same]).await?;
        let (bad, alias) = (works.recipe("lie/1", &[leaf]).await?, works.recipe("lie/1", &[same]).await?);
        let above = works.recipe("light/1", &[alias]).await?;
        works.faults.faults().hang(Operation::DagRecord);
        let first = begin(&works.materializer, ask_for(&[alias]));
        calls.reach(1).await?;
        pause(20).await;
        let second = begin(&works.materializer, checked(&[bad], DUAL));
        calls.reach(3).await?;
        pause(20).await;
        works.faults.faults().clear();
        // That one may have been answered before.
        ended(first).await.ok();
        assert_eq!(kind(ended(second).await), Some(ErrorKind::Nondeterministic));
        for materializer in [&works.materializer, &works.again().await?] {
            for addr in [bad, alias, above] {
                assert_eq!(kind(in_time(materializer.get(addr)).await), Some(ErrorKind::Nondeterministic));
            }
        }
        let works = works.reopen().await?;
        assert_eq!(kind(works.get(above).await), Some(ErrorKind::Nondeterministic));
        Ok(())
    }

    /// F4: where the store hangs while what differs is remembered, the request ends at its deadline, and others go on; once
    /// the store answers, the same check can be made again.
    async fn a_ledger_that_hangs_holds_up_nobody_else(trial) {
        let calls = Calls::default();
        let clock = ManualClock::new();
        let own: Arc<ManualClock> = Arc::new(clock.clone());
        let functions = concat()?.into_iter().chain([lie("lie/1", &calls)?]);
        let works = Works::open_with(trial, functions, |setup| setup.clock = own).await?;
        let (leaf, other) = (works.leaf("leaf").await?, works.leaf("other").await?);
        let good = works.recipe("light/1", &[leaf, other]).await?;
        for operation in [Operation::DagSetRoot, Operation::BlobPut] {
            let mark = works.leaf(&format!("{operation:?}")).await?;
            let bad = works.recipe("lie/1", &[mark]).await?;
            works.faults.faults().hang(operation);
            let before = calls.count();
            let request = begin(&works.materializer, checked(&[bad], DUAL).deadline(Duration::from_secs(1)));
            until(|| calls.count() >= before + 2).await?;
            pause(20).await;
            // What is stored is read meanwhile.
            assert_eq!(in_time(works.get(leaf)).await?, "leaf");
            clock.advance(Duration::from_secs(2));
            assert_eq!(kind(ended(request).await), Some(ErrorKind::Timeout), "{operation:?}");
            assert_eq!(works.recorded(&[bad]).await?, 0, "{operation:?}");
            works.faults.faults().clear();
            let again = in_time(works.materializer.materialize(checked(&[bad], DUAL))).await;
            assert_eq!(kind(again), Some(ErrorKind::Nondeterministic), "{operation:?}");
            assert_eq!(kind(in_time(works.get(bad)).await), Some(ErrorKind::Nondeterministic), "{operation:?}");
            assert_eq!(in_time(works.get(good)).await?, "leafother");
        }
        Ok(())
    }
}
