//! The graphs: a recorded one, and random ones of known kinds.

use deriva::runtime::schedule::Graph;
use deriva::{Error, ErrorKind, Result};
use deriva_testkit::SplitMix64;

use crate::Scale;

/// The pipeline of `examples/corpus` over this repository, with the costs that were recorded; made by the
/// example `record_graph`.
const CORPUS: &str = include_str!("../../data/corpus.graph");

pub(super) struct Costed {
    pub(super) name: String,
    pub(super) costs: Vec<u64>,
    /// What the costs are taken for before they are known.
    pub(super) estimates: Vec<u64>,
    at: Vec<u32>,
    dependents: Vec<u32>,
}

pub(super) fn all(scale: Scale) -> Result<Vec<Costed>> {
    let width = scale.pick(500, 100);
    let nodes = scale.pick(20_000, 4_000);
    Ok(vec![
        recorded(CORPUS)?,
        layered(width, 40),
        fork_join(20, width),
        random(nodes, 3),
    ])
}

impl Costed {
    /// A graph of which each cost is estimated up to four times too high or too low.
    fn new(name: String, costs: Vec<u64>, inputs: &[Vec<u32>]) -> Self {
        let mut random = SplitMix64::new(4);
        let mut off = || 4f64.powf(random.below(2_001) as f64 / 1_000.0 - 1.0);
        let estimates = costs
            .iter()
            .map(|cost| (*cost as f64 * off()) as u64)
            .collect();
        Self::estimated(name, costs, estimates, inputs)
    }

    fn estimated(name: String, costs: Vec<u64>, estimates: Vec<u64>, inputs: &[Vec<u32>]) -> Self {
        let mut at = vec![0u32; costs.len() + 1];
        for input in inputs.iter().flatten() {
            at[*input as usize + 1] += 1;
        }
        for i in 1..at.len() {
            at[i] += at[i - 1];
        }
        let mut next = at.clone();
        let mut dependents = vec![0; inputs.iter().map(Vec::len).sum()];
        for (node, inputs) in inputs.iter().enumerate() {
            for input in inputs {
                dependents[next[*input as usize] as usize] = node as u32;
                next[*input as usize] += 1;
            }
        }
        let name = format!("{name} ({} nodes)", costs.len());
        Self {
            name,
            costs,
            estimates,
            at,
            dependents,
        }
    }

    pub(super) fn shape(&self) -> Option<Graph<'_>> {
        Graph::new(&self.at, &self.dependents)
    }
}

/// A line for each node: its cost in nanoseconds, the number of its function, and those of its inputs, counted
/// in lines from 0. Each cost is estimated at the mean of its function.
fn recorded(text: &str) -> Result<Costed> {
    let wrong = || {
        Error::new(
            ErrorKind::Invalid,
            "the recorded graph has a line that is no node",
        )
    };
    let (mut costs, mut functions, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let numbers = line.split(' ').map(str::parse::<u64>);
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [cost, function, node_inputs @ ..] = numbers.as_slice() else {
            return Err(wrong());
        };
        costs.push(*cost);
        functions.push(*function);
        inputs.push(
            node_inputs
                .iter()
                .map(|input| *input as u32)
                .collect::<Vec<_>>(),
        );
    }
    let count = costs.len();
    if inputs
        .iter()
        .flatten()
        .any(|input| *input as usize >= count)
    {
        return Err(wrong());
    }
    let mean = |function: &u64| {
        let own = costs
            .iter()
            .zip(&functions)
            .filter(|(_, other)| *other == function);
        own.clone().map(|(cost, _)| cost).sum::<u64>() / own.count() as u64
    };
    let estimates = functions.iter().map(mean).collect();
    let name = "corpus, recorded".to_owned();
    Ok(Costed::estimated(name, costs, estimates, &inputs))
}

/// Layers of equal width; each node needs two of the layer below.
fn layered(width: u64, layers: u64) -> Costed {
    let mut random = SplitMix64::new(1);
    let inputs = (0..width * layers).map(|node| match node.checked_sub(width) {
        None => Vec::new(),
        Some(_) => {
            let below = (node / width - 1) * width;
            (0..2)
                .map(|_| (below + random.below(width)) as u32)
                .collect()
        }
    });
    let inputs: Vec<Vec<u32>> = inputs.collect();
    Costed::new(
        format!("layered {width} x {layers}"),
        costs(inputs.len()),
        &inputs,
    )
}

/// One node, many beside each other over it, one over all of these, and so on.
fn fork_join(times: u64, width: u64) -> Costed {
    let mut inputs: Vec<Vec<u32>> = vec![Vec::new()];
    for _ in 0..times {
        let last = inputs.len() as u32 - 1;
        inputs.extend((0..width).map(|_| vec![last]));
        inputs.push((last + 1..=last + width as u32).collect());
    }
    Costed::new(
        format!("fork-join {times} x {width}"),
        costs(inputs.len()),
        &inputs,
    )
}

/// Each node needs up to `degree` of the 1000 before it.
fn random(nodes: u64, degree: u64) -> Costed {
    let mut random = SplitMix64::new(3);
    let inputs = (0..nodes).map(|node| {
        let many = random.below(degree + 1).min(node);
        (0..many)
            .map(|_| (node - 1 - random.below(node.min(1000))) as u32)
            .collect()
    });
    let inputs: Vec<Vec<u32>> = inputs.collect();
    Costed::new("random".to_owned(), costs(inputs.len()), &inputs)
}

/// Between 0.1 and 100 ms, each power of ten as often as the others: few nodes are most of the work.
fn costs(count: usize) -> Vec<u64> {
    let mut random = SplitMix64::new(2);
    let cost = |_| {
        let magnitude = random.below(3_000) as f64 / 1_000.0;
        (1e5 * 10f64.powf(magnitude)) as u64
    };
    (0..count).map(cost).collect()
}
