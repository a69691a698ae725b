//! The graphs that are measured and compared everywhere, made piece by piece.

use deriva_api::{Blob, BlobStore, CAddr, DagStore, FunctionId, Params, Recipe, Result};

use crate::SplitMix64;

/// A graph of a known shape. Its leaves hold 64-bit little-endian integers, leaf i the number i; its
/// recipes apply `bench.mix/1`, and `bench.burn/1` in [`Workload::Burn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// `layers` layers of `width` recipes over `width` leaves. Node (l, j) mixes the nodes j and s of
    /// the layer below, s drawn from SplitMix64 with seed 42; the last recipe mixes the last layer.
    Layered {
        /// Recipes in a layer.
        width: u64,
        /// Number of layers.
        layers: u64,
    },
    /// Each recipe mixes the one before it; the first mixes leaf 0.
    Chain {
        /// Number of recipes.
        length: u64,
    },
    /// One recipe per leaf, and a last one that mixes them all.
    FanIn {
        /// Number of recipes below the last.
        width: u64,
    },
    /// Recipe i mixes leaf 0 and leaf i + 1: all depend on one leaf. The last is as good as any.
    Hub {
        /// Number of recipes.
        width: u64,
    },
    /// Independent branches of pure CPU work, and a last recipe that mixes them.
    Burn {
        /// Number of branches.
        branches: u64,
        /// Work of a branch in units of about a millisecond.
        millis: u64,
    },
}

/// Recipes in one batch of [`Workload::load`].
const BATCH: usize = 1000;

impl Workload {
    /// The number of recipes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match *self {
            Self::Layered { width, layers } => width * layers + 1,
            Self::Chain { length } => length,
            Self::FanIn { width } => width + 1,
            Self::Hub { width } => width,
            Self::Burn { branches, .. } => branches + 1,
        }
    }

    /// Whether there is no recipe at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The leaves, in order.
    pub fn leaves(&self) -> impl Iterator<Item = Blob> + Send + use<> {
        let count = match *self {
            Self::Layered { width, .. } | Self::FanIn { width } => width,
            Self::Chain { .. } => 1,
            Self::Hub { width } => width + 1,
            Self::Burn { branches, .. } => branches,
        };
        (0..count).map(leaf)
    }

    /// The recipes, inputs before what needs them, the requested one last.
    pub fn recipes(&self) -> Box<dyn Iterator<Item = Result<Recipe>> + Send> {
        match *self {
            Self::Layered { width, layers } => Box::new(layered(width, layers)),
            Self::Chain { length } => {
                let mut below = leaf(0).addr();
                Box::new((0..length).map(move |_| {
                    let recipe = mix(&[below])?;
                    below = recipe.addr();
                    Ok(recipe)
                }))
            }
            Self::FanIn { width } => Box::new(joined((0..width).map(|i| mix(&[leaf(i).addr()])))),
            Self::Hub { width } => {
                let hub = leaf(0).addr();
                Box::new((0..width).map(move |i| mix(&[hub, leaf(i + 1).addr()])))
            }
            Self::Burn { branches, millis } => Box::new(joined((0..branches).map(move |i| {
                let params = Params::new().with("units", i64::try_from(millis).unwrap_or(i64::MAX));
                Recipe::new(
                    &FunctionId::new("bench.burn", "1")?,
                    &[leaf(i).addr()],
                    &params,
                )
            }))),
        }
    }

    /// Writes leaves and recipes in batches of 1000; answers with the address of the last recipe.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn load(&self, blobs: &dyn BlobStore, dag: &dyn DagStore) -> Result<CAddr> {
        let mut leaves = self.leaves();
        loop {
            let batch: Vec<Blob> = leaves.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            blobs.put(&batch).await?;
        }
        let mut last = leaf(0).addr();
        let mut recipes = self.recipes();
        loop {
            let batch = recipes.by_ref().take(BATCH).collect::<Result<Vec<_>>>()?;
            match batch.last() {
                None => return Ok(last),
                Some(recipe) => last = recipe.addr(),
            }
            dag.insert(&batch).await?;
        }
    }
}

fn leaf(i: u64) -> Blob {
    Blob::new(i.to_le_bytes().to_vec())
}

fn mix(inputs: &[CAddr]) -> Result<Recipe> {
    Recipe::new(&FunctionId::new("bench.mix", "1")?, inputs, &Params::new())
}

fn layered(width: u64, layers: u64) -> impl Iterator<Item = Result<Recipe>> + Send {
    let mut random = SplitMix64::new(42);
    let mut below: Vec<CAddr> = (0..width).map(|i| leaf(i).addr()).collect();
    let mut layer = Vec::with_capacity(below.len());
    (0..width * layers + 1).map(move |at| {
        if at == width * layers {
            return mix(&below);
        }
        let j = (at % width) as usize;
        let s = random.below(width) as usize;
        let recipe = mix(&[below[j], below[s]])?;
        layer.push(recipe.addr());
        if layer.len() == below.len() {
            std::mem::swap(&mut below, &mut layer);
            layer.clear();
        }
        Ok(recipe)
    })
}

/// The given recipes, and one over all of them.
fn joined(
    recipes: impl Iterator<Item = Result<Recipe>> + Send,
) -> impl Iterator<Item = Result<Recipe>> + Send {
    let mut recipes = recipes.fuse();
    let mut addrs = Some(Vec::new());
    std::iter::from_fn(move || {
        if let Some(recipe) = recipes.next() {
            if let (Ok(recipe), Some(addrs)) = (&recipe, &mut addrs) {
                addrs.push(recipe.addr());
            }
            return Some(recipe);
        }
        addrs.take().map(|addrs| mix(&addrs))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelStore, reference};
    use bytes::Bytes;
    use deriva_api::{ComputeFunction, ParamDoc, Weight};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Mix(FunctionId);

    impl ComputeFunction for Mix {
        fn id(&self) -> &FunctionId {
            &self.0
        }
        fn weight(&self) -> Weight {
            Weight::Light
        }
        fn description(&self) -> &str {
            "FNV-1a-64 of the inputs"
        }
        fn params(&self) -> &[ParamDoc] {
            &[]
        }
        fn check(&self, _: usize, _: &Params) -> Result<()> {
            Ok(())
        }
        fn call(&self, inputs: &[Bytes], _: &Params) -> Result<Bytes> {
            let fnv = |hash: u64, byte: &u8| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            };
            let hash = inputs.iter().flatten().fold(0xcbf2_9ce4_8422_2325, fnv);
            Ok(Bytes::copy_from_slice(&hash.to_le_bytes()))
        }
    }

    #[test]
    fn layered_100_by_100_has_the_known_root() {
        let store = ModelStore::new();
        let workload = Workload::Layered {
            width: 100,
            layers: 100,
        };
        let mix: Arc<dyn ComputeFunction> = Arc::new(Mix("bench.mix/1".parse().unwrap()));
        let root = futures::executor::block_on(async {
            let root = workload.load(&store, &store).await?;
            let function = |id: &FunctionId| (id == mix.id()).then(|| mix.clone());
            reference::materialize(&store, &store, function, root).await
        });
        let expected = [0xa7, 0x94, 0x18, 0x2f, 0x58, 0x9a, 0x51, 0xdd];
        assert_eq!(root.unwrap(), expected.as_slice());
    }

    #[test]
    fn every_workload_has_the_promised_number_of_recipes() {
        for workload in [
            Workload::Layered {
                width: 7,
                layers: 3,
            },
            Workload::Chain { length: 5 },
            Workload::FanIn { width: 9 },
            Workload::Hub { width: 4 },
            Workload::Burn {
                branches: 2,
                millis: 1,
            },
            Workload::Chain { length: 0 },
        ] {
            let recipes: Vec<_> = workload.recipes().collect::<Result<_>>().unwrap();
            let distinct: std::collections::HashSet<_> = recipes.iter().map(Recipe::addr).collect();
            assert_eq!(distinct.len() as u64, workload.len(), "{workload:?}");
        }
    }
}
