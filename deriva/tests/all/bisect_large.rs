//! Bisection of large graphs: the one recipe that differs is found, and what is read follows from what differs, not from what there is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use deriva::prelude::*;
use deriva_testkit::SplitMix64;

/// Recipes of a graph.
const RECIPES: usize = 100_000;
/// Recipes of a layer.
const WIDTH: usize = 100;

/// Recipes by their number: each needs some with smaller numbers, and the last one needs all.
struct Graph {
    recipes: Vec<Recipe>,
    inputs: Vec<Vec<usize>>,
}

impl Graph {
    fn new(inputs: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let function = "node/1".parse().unwrap();
        let mut graph = Self {
            recipes: Vec::new(),
            inputs: Vec::new(),
        };
        for (n, inputs) in inputs.into_iter().enumerate() {
            let addrs: Vec<CAddr> = inputs.iter().map(|at| graph.addr(*at)).collect();
            let params = Params::new().with("n", n as i64);
            graph
                .recipes
                .push(Recipe::new(&function, &addrs, &params).unwrap());
            graph.inputs.push(inputs);
        }
        graph
    }

    /// A binary tree.
    fn tree() -> Self {
        // From the root down, node n has the inputs 2n + 1 and 2n + 2.
        Self::new((0..RECIPES).map(|n| {
            let below = RECIPES - 1 - n;
            let children = [2 * below + 2, 2 * below + 1].into_iter();
            let there = children.filter(|child| *child < RECIPES);
            there.map(|child| RECIPES - 1 - child).collect()
        }))
    }

    /// Layers, each node over the one below it and another one of the layer below; and a last one over the last layer.
    fn layered() -> Self {
        let mut random = SplitMix64::new(42);
        let layers = (0..RECIPES - 1).map(move |n| match n.checked_sub(WIDTH) {
            None => Vec::new(),
            Some(below) => {
                let other = n - n % WIDTH - WIDTH + random.below(WIDTH as u64) as usize;
                vec![below, other]
            }
        });
        let last = (RECIPES - 1 - WIDTH..RECIPES - 1).collect();
        Self::new(layers.chain([last]))
    }

    fn addr(&self, n: usize) -> CAddr {
        self.recipes[n].addr()
    }

    fn top(&self) -> CAddr {
        self.addr(self.recipes.len() - 1)
    }

    /// What differs where one recipe does, and what has to be read to see that: the inputs of these, too.
    fn above(&self, culprit: usize) -> (usize, usize) {
        let mut differs = vec![false; self.inputs.len()];
        differs[culprit] = true;
        let mut read: BTreeSet<usize> = self.inputs[culprit].iter().copied().collect();
        read.insert(culprit);
        for n in culprit + 1..self.inputs.len() {
            if self.inputs[n].iter().any(|input| differs[*input]) {
                differs[n] = true;
                read.insert(n);
                read.extend(&self.inputs[n]);
            }
        }
        (differs.iter().filter(|it| **it).count(), read.len())
    }
}

/// Two stores of a graph; in the second one the recipe with a number lies.
struct Both {
    graph: Graph,
    one: Deriva,
    other: Deriva,
    liar: Arc<AtomicI64>,
}

const NOBODY: i64 = -1;

impl Both {
    async fn of(graph: Graph) -> Self {
        let liar = Arc::new(AtomicI64::new(NOBODY));
        let open = |liar: Arc<AtomicI64>| {
            let builder = Deriva::builder().store("memory:").jobs(1);
            builder.light_function("node", "1", move |inputs, params| {
                let n = params.int("n")?.unwrap_or(0);
                let is_lie = n == liar.load(Ordering::Relaxed);
                let made = [&n.to_le_bytes(), &inputs.concat()[..], &[u8::from(is_lie)]];
                let addr = Blob::new(made.concat()).addr();
                Ok(Bytes::copy_from_slice(&addr.as_bytes()[..8]))
            })
        };
        let honest = Arc::new(AtomicI64::new(NOBODY));
        let one = open(honest).build().await.unwrap();
        let other = open(Arc::clone(&liar)).build().await.unwrap();
        for deriva in [&one, &other] {
            for batch in graph.recipes.chunks(1000) {
                deriva.insert(batch).await.unwrap();
            }
            deriva.materialize(graph.top()).await.unwrap();
        }
        Self {
            graph,
            one,
            other,
            liar,
        }
    }

    /// Has one recipe lie and nobody else, and answers with what is found, with the numbers of recipes that differ and are read.
    async fn bisect(&self, culprit: usize) -> (u64, u64) {
        let addr = self.graph.addr(culprit);
        self.lie(addr, culprit as i64).await;
        let bisect = self.one.bisect(&self.other).target(self.graph.top());
        let found = bisect.await.unwrap();
        let culprits: Vec<CAddr> = found.culprits.iter().map(|it| it.recipe).collect();
        assert_eq!((culprits, found.unknown), (vec![addr], Vec::new()));
        let (differing, read) = self.graph.above(culprit);
        assert_eq!(found.differing, differing as u64);
        assert_eq!(found.compared, read as u64);
        self.lie(addr, NOBODY).await;
        (found.differing, found.compared)
    }

    async fn lie(&self, addr: CAddr, who: i64) {
        self.liar.store(who, Ordering::Relaxed);
        self.other.invalidate(addr).cascade().await.unwrap();
        self.other.materialize(self.graph.top()).await.unwrap();
    }
}

#[tokio::test]
async fn in_a_tree_as_much_is_read_as_it_is_deep() {
    let both = Both::of(Graph::tree()).await;
    let depth = RECIPES.ilog2() as usize;
    for (culprit, above) in [(0, depth), (RECIPES / 3, depth), (RECIPES - 1, 0)] {
        let (differing, read) = both.bisect(culprit).await;
        eprintln!("tree, {culprit}: {differing} differ, {read} of {RECIPES} are read");
        // The way up, and of each the inputs.
        assert!(differing as usize <= above + 1, "{differing}");
        assert!(read as usize <= 2 * (above + 1) + 1, "{read}");
    }
    // Less than one in a thousand, wherever it lies.
    assert!(2 * depth + 3 < RECIPES / 1000);
}

#[tokio::test]
async fn in_layers_everything_is_read_that_the_wrong_one_reached() {
    let both = Both::of(Graph::layered()).await;
    for (above, share) in [(3, 0.002), (10, 0.005), (100, 0.1), (500, 0.5)] {
        let culprit = RECIPES - 1 - above * WIDTH - WIDTH / 2;
        let (differing, read) = both.bisect(culprit).await;
        let part = read as f64 / RECIPES as f64;
        eprintln!("layers, {above} above: {differing} differ, {read} of {RECIPES} are read");
        assert!(part <= share, "{part}");
    }
}
