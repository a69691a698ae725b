//! The bare loop: what the work itself costs when nothing is stored, looked up or shared.

use std::collections::HashMap;

use deriva::authors::BuildAddrHasher;
use deriva::{Bytes, CAddr, Result};
use deriva_testkit::Workload;

/// A graph as plain indices: inputs come before what needs them.
#[derive(Debug)]
pub(crate) struct BareGraph {
    leaves: usize,
    inputs: Vec<Vec<u32>>,
}

impl BareGraph {
    pub(crate) fn new(workload: Workload) -> Result<Self> {
        let mut index: HashMap<CAddr, u32, BuildAddrHasher> = HashMap::default();
        for leaf in workload.leaves() {
            let next = index.len() as u32;
            index.insert(leaf.addr(), next);
        }
        let leaves = index.len();
        let mut inputs = Vec::new();
        for recipe in workload.recipes() {
            let recipe = recipe?;
            inputs.push(
                recipe
                    .inputs()
                    .filter_map(|input| index.get(&input).copied())
                    .collect(),
            );
            let next = index.len() as u32;
            index.insert(recipe.addr(), next);
        }
        Ok(Self { leaves, inputs })
    }

    /// Computes every node in order with FNV-1a-64 and hashes each output with BLAKE3, as any
    /// content-addressed store must. Answers with the last value.
    pub(crate) fn run(&self) -> Bytes {
        let mut values: Vec<u64> = (0..self.leaves as u64).collect();
        let mut digest = [0u8; 32];
        for inputs in &self.inputs {
            let value = inputs.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, input| {
                values[*input as usize]
                    .to_le_bytes()
                    .iter()
                    .fold(hash, |hash, byte| {
                        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                    })
            });
            digest = *blake3::hash(&value.to_le_bytes()).as_bytes();
            values.push(value);
        }
        std::hint::black_box(digest);
        Bytes::copy_from_slice(&values.last().copied().unwrap_or_default().to_le_bytes())
    }
}
