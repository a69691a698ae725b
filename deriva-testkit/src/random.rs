//! Random graphs: the same seed gives the same graph.

use deriva_api::{Blob, CAddr, FunctionId, Params, Recipe, Result};
use proptest::prelude::*;

use crate::SplitMix64;

/// Leaves and recipes, inputs before what needs them.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The leaves; the second, where there is one, is the empty blob.
    pub leaves: Vec<Blob>,
    /// The recipes over them and over each other.
    pub recipes: Vec<Recipe>,
}

/// A graph of `size` recipes over a few leaves, with fan-in from 1 to 8, shared nodes, repeated
/// inputs, and the functions `bench.mix/1`, `bytes.concat/1` and `hash.blake3/1`.
///
/// # Errors
/// None but those of [`Recipe::new`], which these recipes do not give.
pub fn graph(seed: u64, size: usize) -> Result<Graph> {
    let mut random = SplitMix64::new(seed);
    let leaves: Vec<Blob> = (0..1 + random.below(12))
        .map(|i| {
            let len = if i == 1 {
                0
            } else {
                1 + random.below(40) as usize
            };
            Blob::new(random.bytes(len))
        })
        .collect();
    let mut addrs: Vec<CAddr> = leaves.iter().map(Blob::addr).collect();
    let mut recipes = Vec::with_capacity(size);
    for _ in 0..size {
        let any = |random: &mut SplitMix64| addrs[random.below(addrs.len() as u64) as usize];
        let (name, inputs) = match random.below(8) {
            // With a leaf as the second part, sizes grow by a few bytes at a time.
            0 => ("bytes.concat", vec![any(&mut random), leaves[0].addr()]),
            1 => ("hash.blake3", vec![any(&mut random)]),
            _ => {
                let count = 1 + random.below(8);
                ("bench.mix", (0..count).map(|_| any(&mut random)).collect())
            }
        };
        let recipe = Recipe::new(&FunctionId::new(name, "1")?, &inputs, &Params::new())?;
        addrs.push(recipe.addr());
        recipes.push(recipe);
    }
    Ok(Graph { leaves, recipes })
}

/// A strategy for graphs of 1 to `max` recipes.
pub fn graphs(max: usize) -> impl Strategy<Value = Graph> {
    (any::<u64>(), 1..=max).prop_filter_map("a recipe could not be made", |(seed, size)| {
        graph(seed, size).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_graph() {
        let addrs = |seed| -> Vec<CAddr> {
            let graph = graph(seed, 50).unwrap();
            graph.recipes.iter().map(Recipe::addr).collect()
        };
        assert_eq!(addrs(7), addrs(7));
        assert_ne!(addrs(7), addrs(8));
    }
}
