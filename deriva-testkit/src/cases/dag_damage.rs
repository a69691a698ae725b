//! Cases for damage to the files of a closed DAG store.

use deriva_api::{CAddr, DagStoreExt, ErrorKind, Node, Params, Recipe, Record, Result};
use futures::TryStreamExt;

use super::disk::{Disk, Harm};
use super::support::{addr, output, recipe_with};
use crate::trial::Trial;
use crate::{Fixture, SplitMix64};

/// A closed store with recipes, outputs and a root; none where it cannot be damaged.
async fn closed(trial: &Trial<dyn Fixture>) -> Result<Option<(Disk, Vec<Recipe>)>> {
    let store = trial.dag().await?;
    let Some(folder) = trial.damageable() else {
        return Ok(None);
    };
    let mut random = SplitMix64::new(6);
    let recipes = (0..20)
        .map(|i| {
            let bytes = deriva_api::Bytes::from(random.bytes(200));
            recipe_with(
                "f/1",
                &[addr("hub"), addr(&i.to_string())],
                &Params::new().with("x", bytes),
            )
        })
        .collect::<Result<Vec<Recipe>>>()?;
    store.insert(&recipes).await?;
    let record = |recipe: &Recipe| Record {
        addr: recipe.addr(),
        resolved: None,
        output: output("x"),
    };
    store
        .record(&recipes.iter().map(record).collect::<Vec<_>>())
        .await?;
    store.set_root("root", recipes[0].addr()).await?;
    store.flush().await?;
    drop(store);
    // What an opening tidies up is done before anything is damaged.
    trial.dag().await?.flush().await?;
    Ok(Some((Disk::read(&folder)?, recipes)))
}

/// Whether what the damaged store says is true, as far as it says anything.
async fn check(trial: &Trial<dyn Fixture>, recipes: &[Recipe]) {
    let Ok(store) = trial.dag().await else { return };
    let known = |addr: &CAddr| recipes.iter().any(|recipe| recipe.addr() == *addr);
    for recipe in recipes {
        if let Ok(Some(node)) = store.get_one(recipe.addr()).await {
            assert!(
                node.recipe.canonical() == recipe.canonical(),
                "a wrong recipe was served"
            );
            assert!(
                node.output.is_none_or(|made| made == output("x")),
                "a wrong output was served"
            );
        }
        if let Ok(outputs) = store.outputs(&[recipe.addr()]).await {
            assert!(
                outputs[0].is_none_or(|made| made == output("x")),
                "a wrong output was served"
            );
        }
    }
    let listed: Result<Vec<(CAddr, Node)>> = store.list(None).try_collect().await;
    for (addr, node) in listed.unwrap_or_default() {
        assert!(
            addr == node.recipe.addr() && known(&addr),
            "a recipe was listed that is not there"
        );
    }
    let roots: Result<Vec<(String, CAddr)>> = store.roots(None).try_collect().await;
    for root in roots.unwrap_or_default() {
        assert_eq!(root, ("root".to_owned(), recipes[0].addr()));
    }
    let dependents: Result<Vec<CAddr>> = store.dependents(addr("hub"), None).try_collect().await;
    assert!(
        dependents.unwrap_or_default().iter().all(known),
        "a wrong dependent was named"
    );
}

crate::case::cases! { $ each_dag_damage_case, Dag, Durability, deadly:
    /// D6: stored bytes that are not the canonical bytes of the recipe asked for are `Corrupt`: where one bit
    /// of a recipe is flipped on the disk, reading it is `Corrupt`, or right where another copy is there.
    async fn a_flipped_recipe_is_corrupt(trial) {
        let Some((disk, recipes)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        let mut met = 0;
        for recipe in recipes.iter().step_by(5) {
            // Behind the inputs, which other rows may hold, too.
            let bytes = recipe.canonical();
            for (file, at) in disk.find(&bytes[bytes.len() - 64..]) {
                for bit in [at, at + 63] {
                    disk.harm(file, Harm::Flip(bit))?;
                    let read = match trial.dag().await {
                        Ok(store) => store.get_one(recipe.addr()).await,
                        Err(error) => Err(error),
                    };
                    let path = disk.files[file].0.display();
                    match read {
                        Ok(Some(node)) => assert!(node.recipe.canonical() == bytes, "a wrong recipe was served"),
                        Ok(None) => panic!("a damaged recipe is absent: byte {bit} of {path}"),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}, byte {bit} of {path}"),
                    }
                    met += 1;
                }
            }
        }
        match met {
            // Encoded, so that the bytes of a recipe are nowhere to be found.
            0 => trial.unsupported("finding the bytes of a recipe"),
            _ => Ok(()),
        }
    }

    /// X5: where the store's files are cut off, gone, zeroed in part, or have a bit flipped anywhere, it opens
    /// or fails with a typed error, and what it says is true.
    async fn a_damaged_dag_store_never_lies(trial) {
        let Some((disk, recipes)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        let mut random = SplitMix64::new(7);
        for round in 0..40 {
            let file = random.below(disk.files.len() as u64) as usize;
            let len = disk.files[file].1.len() as u64;
            if len == 0 {
                continue;
            }
            let at = random.below(len) as usize;
            let harm = match round % 8 {
                0 => Harm::Delete,
                1 | 2 => Harm::Truncate(at),
                3 | 4 => Harm::Zero(at),
                _ => Harm::Flip(at),
            };
            disk.harm(file, harm)?;
            check(trial, &recipes).await;
        }
        Ok(())
    }
}
