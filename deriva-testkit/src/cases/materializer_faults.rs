//! Cases for stores that fail under a materializer.

use deriva_api::{Cutoff, ErrorKind};

use super::materializer_support::{Works, ask_for, begin, concat, pause};
use super::support::kind;
use crate::Operation;

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
}
