//! Cases for collections, with nobody beside them.

use deriva_api::{BlobStoreExt, DagStoreExt};

use super::materializer_support::{Works, collect_until, concat};
use super::support::{listed, sorted};

crate::case::cases! { $ each_materializer_collection_case, Materializer, Core:
    /// C7: a collection takes the recipes, outputs and blobs that no root and no lease needs, and nothing
    /// else.
    async fn a_collection_takes_what_nobody_needs(trial) {
        let works = Works::open(trial, concat()?).await?;
        let (a, b, c) = (works.leaf("a").await?, works.leaf("b").await?, works.leaf("c").await?);
        let shared = works.recipe("concat/1", &[a, a]).await?;
        let rooted = works.recipe("concat/1", &[shared, b]).await?;
        let leased = works.recipe("light/1", &[shared, c]).await?;
        let dead = works.recipe("concat/1", &[shared, rooted, c]).await?;
        let all = [shared, rooted, leased, dead];
        works.materialize(&all).await?;
        works.dag.set_root("root", rooted).await?;
        let lease = works.materializer.lease(&[leased]).await?;
        works.materializer.collect().await?;
        assert_eq!(listed(&*works.dag).await?, sorted(vec![shared, rooted, leased]));
        for leaf in [a, b, c] {
            assert!(works.blobs.has_blob(leaf).await?, "{leaf} is needed");
        }
        assert_eq!(works.recorded(&all).await?, 3);
        assert_eq!(works.materialize(&[rooted, leased, shared]).await?.summary.computed, 0);
        drop(lease);
        collect_until(&*works.materializer, async || Ok(!works.blobs.has_blob(c).await?)).await?;
        assert_eq!(listed(&*works.dag).await?, sorted(vec![shared, rooted]));
        assert_eq!(works.get(rooted).await?, "aab");
        works.dag.remove_root("root").await?;
        works.materializer.collect().await?;
        assert!(!works.dag.has_recipe(shared).await? && !works.blobs.has_blob(a).await?);
        // What was collected can be there again.
        let leaf = works.leaf("a").await?;
        let shared = works.recipe("concat/1", &[leaf, leaf]).await?;
        assert_eq!(works.get(shared).await?, "aa");
        assert_eq!(works.materialize(&[shared]).await?.summary.computed, 0);
        Ok(())
    }
}
