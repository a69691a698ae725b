//! Cases for what fails, and what is missing.

use deriva_api::{Blob, Error, ErrorKind, Result};

use super::materializer_support::{Calls, Works, ask_for, concat, failing};
use super::support::kind;
use crate::functions::function;
use crate::{Materialized, Request};

/// Whether a context of an error lists all of these.
fn lists(error: &Error, context: &str, all: &[String]) -> bool {
    let listed = error.context(context).unwrap_or_default();
    all.iter().all(|item| listed.contains(item))
}

/// The error of a request that must fail.
fn failed(done: Result<Materialized>) -> Error {
    match done {
        Err(error) => error,
        Ok(done) => panic!("a request that cannot be fulfilled was: {done:?}"),
    }
}

crate::case::cases! { $ each_materializer_failures_case, Materializer, Core:
    /// E5: a failure is not memoized: what failed runs when it is asked for again.
    async fn failed_recipes_are_tried_again(trial) {
        let calls = Calls::default();
        let counted = calls.clone();
        let recover = function("recover/1", move |inputs, _| match counted.add() {
            0 => Err(Error::new(ErrorKind::Function, "once")),
            _ => Ok(inputs.concat().into()),
        })?;
        let works = Works::open(trial, concat()?.into_iter().chain([recover])).await?;
        let leaf = works.leaf("on").await?;
        let below = works.recipe("recover/1", &[leaf]).await?;
        let top = works.recipe("concat/1", &[below]).await?;
        assert_eq!(kind(works.get(top).await), Some(ErrorKind::Function));
        assert_eq!(works.recorded(&[below, top]).await?, 0);
        assert_eq!(works.get(top).await?, "on");
        assert_eq!(calls.count(), 2);
        Ok(())
    }

    /// E5: a failure, and a panic, is told with its kind and the path from what was asked for to what failed.
    async fn failures_carry_their_path(trial) {
        let works = Works::open(trial, concat()?.into_iter().chain(failing()?)).await?;
        let leaf = works.leaf("leaf").await?;
        for name in ["fail/1", "panic/1"] {
            let bad = works.recipe(name, &[leaf]).await?;
            let middle = works.recipe("light/1", &[leaf, bad]).await?;
            let top = works.recipe("concat/1", &[middle]).await?;
            for path in [vec![top, middle, bad], vec![middle, bad], vec![bad]] {
                let error = failed(works.materialize(&path[..1]).await);
                assert_eq!((error.kind(), error.path()), (ErrorKind::Function, path.as_slice()), "{name}: {error:?}");
            }
        }
        Ok(())
    }

    /// E5: an error says of which request it is, where that has an id; an id that is none is `Invalid`.
    async fn errors_name_their_request(trial) {
        let works = Works::open(trial, concat()?.into_iter().chain(failing()?)).await?;
        let leaf = works.leaf("leaf").await?;
        let bad = works.recipe("fail/1", &[leaf]).await?;
        let top = works.recipe("concat/1", &[bad]).await?;
        let longest = "x".repeat(Request::MAX_ID);
        for id in ["order-17", &longest] {
            let request = ask_for(&[top]).request_id(id);
            let error = failed(works.materializer.materialize(request).await);
            assert_eq!((error.kind(), error.context("request")), (ErrorKind::Function, Some(id)));
            let request = ask_for(&[leaf, top]).keep_going().request_id(id);
            let mut done = works.materializer.materialize(request).await?;
            let error = failed(done.results.remove(1).map(|_| done));
            assert_eq!(error.context("request"), Some(id));
        }
        // What is handed to others who wait has the id of nobody.
        let error = failed(works.materialize(&[top]).await);
        assert_eq!(error.context("request"), None);
        let too_long = format!("{longest}x");
        for wrong in ["", "two words", "\n", "\u{fc}", &too_long] {
            let request = ask_for(&[leaf]).request_id(wrong);
            let error = failed(works.materializer.materialize(request).await);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong:?}");
        }
        Ok(())
    }

    /// E6: missing inputs fail a request before any work, with `NotFound` that lists all of them.
    async fn missing_inputs_are_listed_before_any_work(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let leaf = works.leaf("leaf").await?;
        let gone = ["gone 1", "gone 2", "gone 3"].map(|text| Blob::new(text).addr());
        let ready = works.recipe("count/1", &[leaf]).await?;
        let lacking = works.recipe("count/1", &[gone[0], ready]).await?;
        let top = works.recipe("count/1", &[ready, lacking, gone[1]]).await?;
        for keep_going in [false, true] {
            let mut request = ask_for(&[ready, top, gone[2]]);
            request.keep_going = keep_going;
            let error = failed(works.materializer.materialize(request).await);
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            assert!(lists(&error, "missing", &gone.map(|addr| addr.to_string())), "{error:?}");
        }
        assert_eq!(calls.count(), 0);
        Ok(())
    }

    /// E6: unknown functions fail a request before any work, with `Unsupported` that lists all of them.
    async fn unknown_functions_are_listed_before_any_work(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let leaf = works.leaf("leaf").await?;
        let ready = works.recipe("count/1", &[leaf]).await?;
        let first = works.recipe("count/2", &[ready]).await?;
        let second = works.recipe("other/1", &[first, leaf]).await?;
        let top = works.recipe("count/1", &[ready, second]).await?;
        let error = failed(works.materialize(&[ready, top]).await);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let unknown = ["count/2", "other/1"].map(str::to_owned);
        assert!(lists(&error, "unknown_functions", &unknown), "{error:?}");
        assert_eq!(calls.count(), 0);
        Ok(())
    }

    /// E13: a request that keeps going finishes exactly what does not depend on a failure, and counts what
    /// failed and what was given up; without, the failure is the answer.
    async fn keep_going_finishes_what_does_not_depend_on_a_failure(trial) {
        for bad in ["fail/1", "panic/1"] {
            for good in ["concat/1", "light/1"] {
                let works = Works::open(trial, concat()?.into_iter().chain(failing()?)).await?;
                let leaf = works.leaf(&format!("{bad} and {good}")).await?;
                let (fails, again) = (works.recipe(bad, &[leaf]).await?, works.recipe(bad, &[leaf, leaf]).await?);
                let above = works.recipe(good, &[fails, leaf]).await?;
                let upper = works.recipe(good, &[above, again, fails]).await?;
                let mut chain = vec![leaf];
                for _ in 0..5 {
                    let below = chain[chain.len() - 1];
                    chain.push(works.recipe(good, &[below]).await?);
                }
                let targets = [upper, chain[5], fails, chain[1], above];
                let done = works.materializer.materialize(ask_for(&targets).keep_going()).await?;
                assert_eq!((done.summary.computed, done.summary.failed, done.summary.skipped), (5, 2, 2), "{done:?}");
                let ends: Vec<_> = done.results.iter().map(|result| result.clone().map_err(|error| error.path().last().copied())).collect();
                let stat = Blob::new(format!("{bad} and {good}")).stat();
                assert!(ends[0] == Err(Some(fails)) || ends[0] == Err(Some(again)), "{ends:?}");
                assert_eq!(ends[1..], [Ok(stat), Err(Some(fails)), Ok(stat), Err(Some(fails))]);
                assert_eq!(works.recorded(&chain[1..]).await?, 5);
                assert_eq!(works.recorded(&[fails, again, above, upper]).await?, 0);
                let error = failed(works.materialize(&targets).await);
                assert_eq!(error.kind(), ErrorKind::Function);
            }
        }
        Ok(())
    }
}
