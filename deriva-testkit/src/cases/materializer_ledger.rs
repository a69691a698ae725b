//! Cases for what was found to differ: who is served none of it, and what is remembered.

use deriva_api::{Blob, CAddr, Cutoff, ErrorKind, FoundBy, Output, Record, Result};
use futures::TryStreamExt;

use super::materializer_determinism_support::{
    DUAL, Source, answers, checked, entry, lie, once, script, seen,
};
use super::materializer_support::{Calls, Gate, Works, ask_for, begin, concat, ended, until};
use super::support::kind;
use crate::functions::light;
use crate::{Materialized, Materializer};

/// Has this recipe checked, whose runs differ.
async fn violate(materializer: &dyn Materializer, recipe: CAddr) {
    let failed = materializer.materialize(checked(&[recipe], DUAL)).await;
    assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic));
}

/// Fails where anybody is served an output of these.
async fn serves_none(materializer: &dyn Materializer, recipes: &[CAddr], when: &str) {
    for recipe in recipes {
        let refused = |answer: Result<Materialized>| {
            assert_eq!(kind(answer), Some(ErrorKind::Nondeterministic), "{when}");
        };
        assert_eq!(
            kind(materializer.get(*recipe).await),
            Some(ErrorKind::Nondeterministic),
            "{when}"
        );
        refused(materializer.materialize(ask_for(&[*recipe])).await);
        refused(
            materializer
                .materialize(checked(&[*recipe], DUAL).cutoff(Cutoff::Always))
                .await,
        );
        refused(
            materializer
                .materialize(ask_for(&[*recipe]).cutoff(Cutoff::Always))
                .await,
        );
    }
}

/// The roots that hold entries of the ledger, where they are called as the runtime calls them.
async fn roots_of_entries(works: &Works) -> Result<Vec<(String, CAddr)>> {
    let roots: Vec<(String, CAddr)> = works.dag.roots(None).try_collect().await?;
    let is_entry = |(name, _): &(String, CAddr)| name.starts_with("deriva:ledger/");
    Ok(roots.into_iter().filter(is_entry).collect())
}

crate::case::cases! { $ each_materializer_ledger_case, Materializer, Core:
    /// V4: no output of a recipe whose runs differed is served, whoever asks and however: by a materializer that was open
    /// then and by one that is opened later, where the recipe has another name, and where something is recorded of it.
    async fn what_differs_is_served_to_nobody(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([lie("lie/1", &calls)?, light(lie("lie-light/1", &calls)?)])).await?;
        let other = works.again().await?;
        let mut all = Vec::new();
        for name in ["lie/1", "lie-light/1"] {
            let leaf = works.leaf(name).await?;
            let same = works.recipe("concat/1", &[leaf]).await?;
            let bad = works.recipe(name, &[leaf]).await?;
            let alias = works.recipe(name, &[same]).await?;
            let above = works.recipe("light/1", &[bad]).await?;
            let upper = works.recipe("light/1", &[alias]).await?;
            all.extend([bad, alias, above, upper]);
            violate(&*works.materializer, bad).await;
        }
        let before = calls.count();
        for (materializer, when) in [(&works.materializer, "by who found it"), (&other, "by who was there"), (&works.again().await?, "by who came later")] {
            serves_none(&**materializer, &all, when).await;
        }
        drop(other);
        // It is as good as any other output, to who looks at no ledger.
        let blob = Blob::new("0");
        works.blobs.put(std::slice::from_ref(&blob)).await?;
        let output = Output { addr: blob.addr(), len: 1, cost: std::time::Duration::ZERO };
        let records = all.iter().map(|addr| Record { addr: *addr, resolved: None, output });
        let records: Vec<Record> = records.step_by(4).collect();
        works.dag.record(&records).await?;
        serves_none(&*works.materializer, &all, "where something is recorded").await;
        let works = works.reopen().await?;
        serves_none(&*works.materializer, &all, "when it is opened again").await;
        assert_eq!(calls.count(), before, "it was run again");
        Ok(())
    }

    /// V4: what was recorded before of a recipe whose runs differ is forgotten, with all that was made from it; so is what
    /// other recipes have that are the same computation.
    async fn what_was_recorded_before_is_forgotten(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([script("late/1", &calls, &["0", "0", "0", "1", "2"])?])).await?;
        let leaf = works.leaf("leaf").await?;
        let same = works.recipe("concat/1", &[leaf]).await?;
        let twice = works.recipe("light/1", &[same]).await?;
        let first = works.recipe("late/1", &[leaf]).await?;
        let alias = works.recipe("late/1", &[same]).await?;
        let above = works.recipe("concat/1", &[alias, leaf]).await?;
        let top = works.recipe("light/1", &[above]).await?;
        let of_first = works.recipe("light/1", &[first, first]).await?;
        let unlike = works.recipe("late/1", &[leaf, leaf]).await?;
        works.materialize(&[top, of_first, unlike, twice]).await?;
        let other = works.again().await?;
        for addr in [first, alias, above, top, of_first] {
            // It may be in memory now, too.
            works.get(addr).await?;
            other.get(addr).await?;
        }
        assert_eq!(calls.count(), 3);
        // The fourth call and the fifth do not give the same: a third name for it.
        let third = works.recipe("late/1", &[twice]).await?;
        violate(&*works.materializer, third).await;
        assert_eq!(works.recorded(&[first, alias, above, top, of_first]).await?, 0);
        assert_eq!(works.recorded(&[same, twice, unlike]).await?, 3);
        for materializer in [&works.materializer, &other] {
            serves_none(&**materializer, &[third, first, alias, above, top, of_first], "under each name").await;
        }
        assert_eq!(works.get(unlike).await?, "0");
        Ok(())
    }

    /// V5: the ledger has the function, each content that was seen with the number of runs that gave it, and by what it was
    /// found; that is the same in each materializer over the same stores, after a collection and when they are opened again.
    async fn the_ledger_survives(trial) {
        let calls: [Calls; 3] = std::array::from_fn(|_| Calls::default());
        let functions = [
            lie("a.lie/1", &calls[0])?,
            script("b.lie/2", &calls[1], &["long", "longer"])?,
            script("c.lie/1", &calls[2], &["x", "y", "y"])?,
        ];
        let works = Works::open(trial, functions).await?;
        let leaf = works.leaf("leaf").await?;
        let a = works.recipe("a.lie/1", &[leaf]).await?;
        let b = works.recipe("b.lie/2", &[]).await?;
        let c = works.recipe("c.lie/1", &[leaf]).await?;
        violate(&*works.materializer, a).await;
        let sampled = deriva_api::Determinism::Sampled { rate: 1.0 };
        let failed = works.materializer.materialize(checked(&[b], sampled)).await;
        assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic));
        works.materializer.materialize(checked(&[c], super::materializer_determinism_support::quorum(2, 3))).await?;
        let mut entries = works.materializer.ledger().await?;
        assert_eq!(entries.len(), 3);
        for (recipe, function, found_by, expected) in [
            (a, "a.lie/1", FoundBy::Request, vec![once("0"), once("1")]),
            (b, "b.lie/2", FoundBy::Sample, vec![once("long"), once("longer")]),
            (c, "c.lie/1", FoundBy::Request, vec![once("x"), (Some(Blob::new("y").addr()), 2)]),
        ] {
            let seen = seen(&works.materializer, recipe).await?;
            assert_eq!((seen.recipe, seen.resolved, seen.function.to_string()), (recipe, recipe, function.to_owned()));
            assert_eq!((answers(&seen), seen.found_by, seen.times), (expected, found_by, 1), "{function}");
            let lengths: Vec<u64> = seen.answers.iter().map(|answer| answer.len).collect();
            assert_eq!(lengths, if recipe == b { [4, 6] } else { [1, 1] });
        }
        entries.sort_by_key(|entry| entry.recipe);
        let sorted = async |materializer: &dyn Materializer| {
            let mut entries = materializer.ledger().await?;
            entries.sort_by_key(|entry| entry.recipe);
            Ok::<_, deriva_api::Error>(entries)
        };
        works.materializer.collect().await?;
        assert_eq!(sorted(&*works.materializer).await?, entries, "after a collection");
        assert_eq!(sorted(&*works.again().await?).await?, entries, "in another one");
        let works = works.reopen().await?;
        assert_eq!(sorted(&*works.materializer).await?, entries, "when it is opened again");
        works.materializer.collect().await?;
        assert_eq!(sorted(&*works.materializer).await?, entries, "after another collection");
        Ok(())
    }

    /// V5: what is released can be computed and is served again, also when it is opened again; its entry stays, as released,
    /// and what was not released stays condemned. There is nothing to release twice. What differs once more has an entry once
    /// more.
    async fn a_release_lasts(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([lie("lie/1", &calls)?])).await?;
        let leaf = works.leaf("leaf").await?;
        let (kept, bad) = (works.recipe("lie/1", &[]).await?, works.recipe("lie/1", &[leaf]).await?);
        let above = works.recipe("light/1", &[bad]).await?;
        violate(&*works.materializer, kept).await;
        violate(&*works.materializer, bad).await;
        assert_eq!(kind(works.materializer.release(above).await), Some(ErrorKind::NotFound));
        works.materializer.release(bad).await?;
        assert_eq!(kind(works.materializer.release(bad).await), Some(ErrorKind::NotFound));
        let works = works.reopen().await?;
        assert_eq!(kind(works.materializer.release(bad).await), Some(ErrorKind::NotFound));
        assert_eq!(entry(&works.materializer, bad).await?, None);
        let released = works.materializer.ledger().await?.into_iter().find(|entry| entry.recipe == bad);
        let released = released.and_then(|entry| Some((entry.released, entry.violation?.answers.len())));
        assert_eq!(released, Some((true, 2)));
        assert_eq!(works.get(above).await?, "4");
        assert_eq!(works.recorded(&[bad, above]).await?, 2);
        serves_none(&*works.materializer, &[kept], "what was not released").await;
        works.materializer.forget(bad).await?;
        violate(&*works.materializer, bad).await;
        assert_eq!(works.recorded(&[bad, above]).await?, 0);
        let works = works.reopen().await?;
        serves_none(&*works.materializer, &[kept, bad, above], "what differs once more").await;
        let entries = works.materializer.ledger().await?;
        assert_eq!((entries.len(), entries.iter().filter(|entry| entry.released).count()), (3, 1));
        Ok(())
    }

    /// V5: an entry that is damaged is listed with its recipe and its damage, and condemns it still; the others are read. It
    /// can be released as any other.
    async fn a_damaged_entry_condemns_still(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [lie("lie/1", &calls)?]).await?;
        let (whole, bad) = (works.recipe("lie/1", &[]).await?, works.recipe("lie/1", &[works.leaf("leaf").await?]).await?);
        violate(&*works.materializer, whole).await;
        violate(&*works.materializer, bad).await;
        // Where entries lie elsewhere nobody can damage them from here.
        let of_bad = roots_of_entries(&works).await?.into_iter().find(|(name, _)| name.contains(&bad.to_string()));
        if let Some((_, blob)) = of_bad {
            works.blobs.remove(&[blob]).await?;
        }
        let works = works.reopen().await?;
        let entries = works.materializer.ledger().await?;
        assert_eq!(entries.len(), 2);
        for entry in &entries {
            let is_damaged = entry.recipe == bad && of_bad.is_some();
            assert_eq!((entry.damage.is_some(), entry.violation.is_none()), (is_damaged, is_damaged), "{entry:?}");
            assert!([whole, bad].contains(&entry.recipe) && !entry.released);
        }
        serves_none(&*works.materializer, &[whole, bad], "damaged or not").await;
        works.materializer.release(bad).await?;
        assert_eq!(works.get(bad).await?, "4");
        serves_none(&*works.materializer, &[whole], "the other one").await;
        Ok(())
    }

    /// V4: where somebody else recorded another output while a recipe ran, that is a difference as any other: neither is kept.
    async fn another_output_that_was_recorded_meanwhile_is_a_difference(trial) {
        let (calls, gate) = (Calls::default(), std::sync::Arc::new(Gate::default()));
        let works = Works::open(trial, concat()?.into_iter().chain([gate.concat("wait/1", &calls)?])).await?;
        let recipe = works.recipe("wait/1", &[works.leaf("leaf").await?]).await?;
        let request = begin(&works.materializer, ask_for(&[recipe]));
        until(|| calls.count() == 1).await?;
        let blob = Blob::new("feel");
        works.blobs.put(std::slice::from_ref(&blob)).await?;
        let output = Output { addr: blob.addr(), len: blob.len(), cost: std::time::Duration::ZERO };
        works.dag.record(&[Record { addr: recipe, resolved: None, output }]).await?;
        gate.open();
        assert_eq!(kind(ended(request).await), Some(ErrorKind::Nondeterministic));
        assert_eq!(works.recorded(&[recipe]).await?, 0);
        let seen = seen(&works.materializer, recipe).await?;
        let mut answers = answers(&seen);
        answers.sort_unstable();
        let mut expected = vec![once("feel"), once("leaf")];
        expected.sort_unstable();
        assert_eq!((answers, seen.found_by), (expected, FoundBy::Record));
        serves_none(&*works.materializer, &[recipe], "whoever recorded it").await;
        Ok(())
    }

    /// V4: where a lost output comes out different when it is made again, that is a difference as any other: it is in the
    /// ledger, and what was made from the lost one is forgotten.
    async fn a_lost_output_that_comes_out_different_is_in_the_ledger(trial) {
        let source = Source::default();
        let works = Works::open(trial, concat()?.into_iter().chain([source.function("edited/1")?, light(source.function("edited-light/1")?)])).await?;
        for name in ["edited/1", "edited-light/1"] {
            let before = source.gives();
            let below = works.recipe(name, &[works.leaf(name).await?]).await?;
            let top = works.recipe("concat/1", &[below, below]).await?;
            let other = works.recipe("concat/1", &[works.leaf(name).await?]).await?;
            works.materialize(&[top, other]).await?;
            works.lose(&[below]).await?;
            source.edit();
            let failed = works.again().await?.materialize(ask_for(&[below])).await;
            assert_eq!(kind(failed), Some(ErrorKind::Nondeterministic), "{name}");
            assert_eq!((works.recorded(&[below, top]).await?, works.recorded(&[other]).await?), (0, 1), "{name}");
            let seen = seen(&works.materializer, below).await?;
            let outputs: Vec<_> = answers(&seen).into_iter().map(|(addr, _)| addr).collect();
            let expected = [before, source.gives()].map(|text| Some(Blob::new(text).addr()));
            assert_eq!((outputs.as_slice(), seen.found_by), (&expected[..], FoundBy::Healing), "{name}");
            serves_none(&*works.materializer, &[below, top], name).await;
        }
        Ok(())
    }
}
