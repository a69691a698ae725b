//! The graphs of the simulation: small, with shared nodes, and with work that is the same under two names.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deriva_api::{Blob, CAddr, FunctionId, Params, Recipe, Result, Value};
use deriva_testkit::SplitMix64;

/// The functions: name, whether it is light, and what it computes.
pub(crate) type Body = fn(&[Bytes]) -> Bytes;
pub(crate) const FUNCTIONS: [(&str, bool, Body); 3] = [
    ("sim.mix", true, mix),
    ("sim.sum", false, sum),
    ("sim.tail", false, tail),
];

fn mix(inputs: &[Bytes]) -> Bytes {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = inputs.iter().flatten().fold(0xcbf2_9ce4_8422_2325, fnv);
    Bytes::copy_from_slice(&hash.to_le_bytes())
}

/// One of three outputs, so that what is made from it is often the same.
fn sum(inputs: &[Bytes]) -> Bytes {
    let sum: u64 = inputs.iter().flatten().map(|byte| u64::from(*byte)).sum();
    format!("sum {}", sum % 3).into()
}

fn tail(inputs: &[Bytes]) -> Bytes {
    let all = inputs.concat();
    Bytes::copy_from_slice(&all[all.len().saturating_sub(20)..])
}

/// Leaves and recipes, and what each gives.
pub(crate) struct Graph {
    pub(crate) leaves: Vec<Blob>,
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) expected: BTreeMap<CAddr, Blob>,
}

impl Graph {
    pub(crate) fn new(random: &mut SplitMix64) -> Self {
        Self::try_new(random).unwrap()
    }

    fn try_new(random: &mut SplitMix64) -> Result<Self> {
        let count = 2 + random.below(3);
        let leaves: Vec<Blob> = (0..count).map(|_| Blob::new(random.bytes(9))).collect();
        let mut expected: BTreeMap<CAddr, Blob> = BTreeMap::new();
        expected.extend(leaves.iter().map(|leaf| (leaf.addr(), leaf.clone())));
        let mut addrs: Vec<CAddr> = leaves.iter().map(Blob::addr).collect();
        let mut recipes: Vec<Recipe> = Vec::new();
        let size = 5 + random.below(12);
        while (recipes.len() as u64) < size {
            let (name, _, body) = FUNCTIONS[random.below(3) as usize];
            // The later, the likelier.
            let mut input = || {
                let back = random.below(6).min(random.below(addrs.len() as u64));
                addrs[addrs.len() - 1 - back as usize]
            };
            let inputs: Vec<CAddr> = (0..3).map(|_| input()).collect();
            let inputs = &inputs[..1 + random.below(3) as usize];
            let mut params = Params::new();
            if random.below(3) == 0 {
                params.insert("n".to_owned(), Value::from(random.below(3) as i64));
            }
            let recipe = Recipe::new(&FunctionId::new(name, "1")?, inputs, &params)?;
            if expected.contains_key(&recipe.addr()) {
                continue;
            }
            let values: Vec<Bytes> = inputs
                .iter()
                .map(|input| expected[input].bytes().clone())
                .collect();
            expected.insert(recipe.addr(), Blob::new(body(&values)));
            addrs.push(recipe.addr());
            recipes.push(recipe);
        }
        Ok(Self {
            leaves,
            recipes,
            expected,
        })
    }

    /// The blobs that recipes have or need.
    pub(crate) fn needed(&self) -> BTreeSet<CAddr> {
        let named = self
            .recipes
            .iter()
            .flat_map(|recipe| recipe.inputs().chain([recipe.addr()]));
        named.map(|addr| self.expected[&addr].addr()).collect()
    }

    pub(crate) fn addrs(&self) -> Vec<CAddr> {
        self.recipes.iter().map(Recipe::addr).collect()
    }
}
