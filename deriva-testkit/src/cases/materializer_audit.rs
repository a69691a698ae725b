//! Cases for audits: recorded outputs that are compared with what their recipes give now.

use deriva_api::{Blob, ErrorKind, FoundBy, Params, Recipe};

use super::materializer_determinism_support::{Source, answers, script, seen};
use super::materializer_support::{Calls, Works, concat};
use super::support::kind;
use crate::functions::light;

crate::case::cases! { $ each_materializer_audit_case, Materializer, Core:
    /// V6: an audit computes what is recorded of an address and of all that it needs, each once and from what is recorded of
    /// its inputs; where nothing changed it finds nothing, and takes nothing away.
    async fn an_audit_of_what_is_as_it_was_finds_nothing(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([calls.concat("count/1")?])).await?;
        let leaf = works.leaf("leaf").await?;
        let below = works.recipe("light/1", &[leaf]).await?;
        let middle = works.recipe("count/1", &[below, leaf]).await?;
        let top = works.recipe("count/1", &[middle, below, middle]).await?;
        let beside = works.recipe("count/1", &[below]).await?;
        works.materialize(&[top, beside]).await?;
        let audited = works.materializer.audit(top).await?;
        assert_eq!((audited.outputs, audited.audited, audited.agreed), (3, 3, 3));
        assert_eq!((audited.violated, audited.skipped, audited.violations.len()), (0, 0, 0));
        assert_eq!((calls.count(), audited.bytes), (3 + 2, 4 + 8 + 20));
        assert_eq!(works.materializer.ledger().await?, []);
        assert_eq!(works.recorded(&[below, middle, top, beside]).await?, 4);
        // What has no output is not computed.
        works.materializer.forget(middle).await?;
        let audited = works.materializer.audit(middle).await?;
        assert_eq!((audited.audited, audited.violated, calls.count()), (1, 0, 5));
        Ok(())
    }

    /// V6: an audit finds the recorded outputs that their recipes do not give any more, and nothing else: not what was made
    /// from them, which is right for what it was made from. They are in the ledger, and forgotten with what was made from
    /// them, under each name; what they were made from stays.
    async fn an_audit_finds_what_changed_and_nothing_else(trial) {
        let source = Source::default();
        let works = Works::open(trial, concat()?.into_iter().chain([source.function("edited/1")?, light(source.function("edited-light/1")?)])).await?;
        for name in ["edited/1", "edited-light/1"] {
            let before = source.gives();
            let leaf = works.leaf(name).await?;
            let below = works.recipe("concat/1", &[leaf]).await?;
            let edited = works.recipe(name, &[leaf]).await?;
            let alias = works.recipe(name, &[below]).await?;
            let above = works.recipe("concat/1", &[edited, below]).await?;
            let top = works.recipe("light/1", &[above]).await?;
            let of_alias = works.recipe("light/1", &[alias]).await?;
            let beside = works.recipe("light/1", &[below, leaf]).await?;
            works.materialize(&[top, of_alias, beside]).await?;
            source.edit();
            let unchanged = works.materializer.audit(beside).await?;
            assert_eq!((unchanged.audited, unchanged.violated), (2, 0), "{name}");
            assert_eq!(works.recorded(&[edited, above, top, alias, of_alias]).await?, 5, "{name}");
            let audited = works.materializer.audit(top).await?;
            assert_eq!((audited.violated, audited.violations.as_slice()), (1, [edited].as_slice()), "{name}");
            assert_eq!(works.recorded(&[edited, above, top, alias, of_alias]).await?, 0, "{name}");
            assert_eq!(works.recorded(&[below, beside]).await?, 2, "{name}");
            let seen = seen(&works.materializer, edited).await?;
            let outputs: Vec<_> = answers(&seen).into_iter().map(|(addr, _)| addr).collect();
            let expected = [before, source.gives()].map(|text| Some(Blob::new(text).addr()));
            assert_eq!((outputs.as_slice(), seen.found_by), (&expected[..], FoundBy::Audit), "{name}");
            let again = works.again().await?;
            for addr in [edited, top, alias] {
                assert_eq!(kind(again.get(addr).await), Some(ErrorKind::Nondeterministic), "{name}");
            }
            works.materializer.release(edited).await?;
            assert_eq!(works.get(of_alias).await?, source.gives(), "{name}");
        }
        // To fail is to give something else, too.
        for (id, answers) in [("fails/1", ["well", "fail"].as_slice()), ("panics/1", &["well", "panic"])] {
            let works = works.again_with(|setup| setup.functions.extend(script(id, &Calls::default(), answers))).await?;
            let recipe = Recipe::new(&id.parse()?, &[], &Params::new())?;
            works.insert(std::slice::from_ref(&recipe)).await?;
            works.get(recipe.addr()).await?;
            let audited = works.audit(recipe.addr()).await?;
            assert_eq!(audited.violations, [recipe.addr()], "{id}");
            assert_eq!(kind(works.get(recipe.addr()).await), Some(ErrorKind::Nondeterministic), "{id}");
        }
        Ok(())
    }

    /// V6: an audit of a blob is `Invalid`, and one of what nobody knows `NotFound`.
    async fn an_audit_is_of_a_recipe(trial) {
        let works = Works::open(trial, concat()?).await?;
        let leaf = works.leaf("leaf").await?;
        assert_eq!(kind(works.materializer.audit(leaf).await), Some(ErrorKind::Invalid));
        let unknown = Blob::new("unknown").addr();
        assert_eq!(kind(works.materializer.audit(unknown).await), Some(ErrorKind::NotFound));
        let recipe = works.recipe("concat/1", &[leaf]).await?;
        let audited = works.materializer.audit(recipe).await?;
        assert_eq!((audited.outputs, audited.audited, audited.violated), (0, 0, 0));
        Ok(())
    }
}
