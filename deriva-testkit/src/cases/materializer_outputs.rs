//! Cases for what is recorded: lost, forgotten, found under another name.

use deriva_api::{Blob, Cutoff, ErrorKind, Params};

use super::materializer_support::{Calls, Works, ask_for, concat, stats};
use super::support::kind;
use crate::Materialized;
use crate::functions::function;

crate::case::cases! { $ each_materializer_outputs_case, Materializer, Core:
    /// E9: a blob that was lost is made again with all of the lost that it needs, counted and stored; a leaf
    /// that was lost is `NotFound`.
    async fn lost_outputs_are_made_again(trial) {
        let works = Works::open(trial, concat()?).await?;
        let (leaf, other) = (works.leaf("a").await?, works.leaf("b").await?);
        let kept = works.recipe("concat/1", &[other, other]).await?;
        let lost = works.recipe("concat/1", &[leaf, leaf]).await?;
        let top = works.recipe("light/1", &[lost, kept]).await?;
        works.materialize(&[top]).await?;
        works.lose(&[lost, top]).await?;
        let again = works.again().await?;
        let done = again.materialize(ask_for(&[top])).await?;
        assert_eq!((done.summary.computed, done.summary.healed, done.summary.failed), (2, 2, 0));
        assert_eq!(stats(done)?, [Blob::new("aabb").stat()]);
        assert_eq!(works.recorded(&[lost, kept, top]).await?, 3);
        works.lose(&[top]).await?;
        assert_eq!(works.again().await?.get(top).await?, "aabb");
        works.lose(&[lost, top]).await?;
        works.blobs.remove(&[leaf]).await?;
        assert_eq!(kind(works.again().await?.get(top).await), Some(ErrorKind::NotFound));
        Ok(())
    }

    /// E9: what is made again is compared with what was recorded: different bytes are `Nondeterministic`, and
    /// neither is served any more.
    async fn what_is_made_again_is_compared(trial) {
        let calls = Calls::default();
        let counted = calls.clone();
        let count = function("count/1", move |_, _| Ok(counted.add().to_string().into()))?;
        let works = Works::open(trial, concat()?.into_iter().chain([count])).await?;
        let below = works.recipe("count/1", &[]).await?;
        let top = works.recipe("concat/1", &[below, below]).await?;
        assert_eq!(works.get(top).await?, "00");
        works.lose(&[below, top]).await?;
        let again = works.again().await?;
        for _ in 0..2 {
            assert_eq!(kind(again.get(top).await), Some(ErrorKind::Nondeterministic));
        }
        assert_eq!(works.dag.outputs(&[below, top]).await?, [None, None]);
        Ok(())
    }

    /// E1: what was forgotten is computed again when it is asked for again, however the work could be found;
    /// leaves of the same bytes stay. What is not known cannot be forgotten.
    async fn what_was_forgotten_is_computed_again(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([calls.concat("count/1")?])).await?;
        let leaf = works.leaf("bytes").await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        let top = works.recipe("count/1", &[same]).await?;
        for time in 1..4 {
            assert_eq!(works.get(top).await?, "bytes");
            assert_eq!(works.get(top).await?, "bytes");
            assert_eq!(calls.count(), time);
            works.materializer.forget(top).await?;
            assert_eq!(works.recorded(&[top]).await?, 0);
            assert_eq!(works.get(leaf).await?, "bytes");
        }
        for time in 4..6 {
            let done = works.materializer.materialize(ask_for(&[top]).cutoff(Cutoff::Always)).await?;
            assert_eq!((done.summary.computed, done.summary.cutoff, calls.count()), (1, 0, time));
            works.materializer.forget(top).await?;
        }
        let unknown = Blob::new("unknown").addr();
        assert_eq!(kind(works.materializer.forget(unknown).await), Some(ErrorKind::NotFound));
        Ok(())
    }

    /// E12: where something upstream changed and its output is the same, nothing downstream runs; unless
    /// that is not wanted.
    async fn equal_outputs_upstream_run_nothing_downstream(trial) {
        let calls = Calls::default();
        let shorten = function("shorten/1", |inputs, _| Ok(inputs[0].slice(..1)))?;
        let works = Works::open(trial, [shorten, calls.concat("count/1")?]).await?;
        let mut tops = Vec::new();
        for text in ["x", "xy", "xyz", "z"] {
            let leaf = works.leaf(text).await?;
            let short = works.recipe("shorten/1", &[leaf]).await?;
            let middle = works.recipe("count/1", &[short, short]).await?;
            tops.push(works.recipe("count/1", &[middle, short]).await?);
        }
        let cutoff = async |top| works.materializer.materialize(ask_for(&[top]).cutoff(Cutoff::Always)).await;
        let counts = |done: &Materialized| (done.summary.computed, done.summary.cutoff);
        assert_eq!(counts(&cutoff(tops[0]).await?), (3, 0));
        let done = cutoff(tops[1]).await?;
        assert_eq!(counts(&done), (1, 2));
        assert_eq!(stats(done)?, [Blob::new("xxx").stat()]);
        assert_eq!(calls.count(), 2);
        assert_eq!(counts(&works.materialize(&[tops[2]]).await?), (3, 0), "no cutoff was asked for");
        assert_eq!(counts(&cutoff(tops[3]).await?), (3, 0), "another output");
        // What was cut off is recorded under its own name.
        let done = works.materialize(&[tops[1]]).await?;
        assert_eq!((done.summary.computed, done.summary.reused), (0, 1));
        for (top, expected) in tops.iter().zip(["xxx", "xxx", "xxx", "zzz"]) {
            assert_eq!(works.get(*top).await?, expected);
        }
        Ok(())
    }

    /// E12: another function, version, param or order of the same inputs is other work.
    async fn other_work_is_not_cut_off(trial) {
        let show = |id: &'static str| function(id, move |inputs, params| Ok(format!("{id} {inputs:?} {params:?}").into()));
        let functions = [show("show/1")?, show("show/2")?, show("tell/1")?];
        let works = Works::open(trial, functions.into_iter().chain(concat()?)).await?;
        let (a, b) = (works.leaf("a").await?, works.leaf("b").await?);
        let (a, b) = (works.recipe("concat/1", &[a, b]).await?, works.recipe("concat/1", &[b]).await?);
        let (none, one) = (Params::new(), Params::new().with("n", 1));
        let all = [
            ("show/1", [a, b], &none),
            ("show/1", [b, a], &none),
            ("show/1", [a, a], &none),
            ("show/1", [a, b], &one),
            ("show/2", [a, b], &none),
            ("tell/1", [a, b], &none),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (name, inputs, params) in all {
            let top = works.recipe_with(name, &inputs, params).await?;
            let done = works.materializer.materialize(ask_for(&[top]).cutoff(Cutoff::Always)).await?;
            assert_eq!(done.summary.cutoff, 0, "{name} {inputs:?} {params:?}");
            assert!(seen.insert(works.get(top).await?), "{name} {inputs:?} {params:?}");
        }
        Ok(())
    }
}
