//! In what order ready nodes run, and how long a graph would take: pure, in virtual time.
//!
//! The order is by the longest path that remains: what holds up most comes first. [`priorities`] finds it
//! for all nodes in one pass, [`ReadyQueue`] keeps to it, and [`simulate`] runs a graph on any number of
//! workers with that same queue. The bound that no order can beat is [`lower_bound`].
//!
//! Times are whole nanoseconds. Nothing recurses; all is linear in nodes and edges, but for the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A graph as its dependents: node `n` is waited for by
/// `dependents[dependents_at[n]..dependents_at[n + 1]]`, once for each input that it is.
///
/// Nodes on a cycle, and what lies above one, never become ready: they keep their own cost as priority
/// and are not run.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    dependents_at: &'a [u32],
    dependents: &'a [u32],
}

/// The order in which ready nodes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order<'a> {
    /// The longest remaining path first.
    #[default]
    CriticalPath,
    /// By the priority of each node, such as [`priorities`] of costs that are only estimated.
    Priorities(&'a [u64]),
    /// As they became ready: what the other one is compared with.
    Fifo,
}

/// Nodes that are ready, the one of the highest priority first; among equals the lowest index.
#[derive(Clone, Debug, Default)]
pub struct ReadyQueue(BinaryHeap<(u64, Reverse<u32>)>);

impl<'a> Graph<'a> {
    /// A graph of `dependents_at.len() - 1` nodes; `None` where the slices do not describe one.
    #[must_use]
    pub fn new(dependents_at: &'a [u32], dependents: &'a [u32]) -> Option<Self> {
        let nodes = dependents_at.len().checked_sub(1)?;
        let whole = dependents_at.is_sorted()
            && dependents_at.first() == Some(&0)
            && dependents_at.last().map(|end| *end as usize) == Some(dependents.len())
            && dependents.iter().all(|node| (*node as usize) < nodes);
        whole.then_some(Self {
            dependents_at,
            dependents,
        })
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(self) -> usize {
        self.dependents_at.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The nodes that wait for `node`, once for each input that it is; none for what is no node.
    #[must_use]
    pub fn dependents(self, node: u32) -> &'a [u32] {
        match self.dependents_at.get(node as usize..) {
            Some([from, to, ..]) => &self.dependents[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// How many inputs of each node are nodes of this graph.
    fn waiting(self) -> Vec<u32> {
        let mut waiting = vec![0; self.len()];
        for node in self.dependents {
            waiting[*node as usize] += 1;
        }
        waiting
    }

    /// All nodes, inputs before what needs them; without those that a cycle holds up.
    fn inputs_first(self) -> Vec<u32> {
        let mut waiting = self.waiting();
        let mut order: Vec<u32> = (0..self.len() as u32)
            .filter(|node| waiting[*node as usize] == 0)
            .collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for above in self.dependents(node) {
                waiting[*above as usize] -= 1;
                if waiting[*above as usize] == 0 {
                    order.push(*above);
                }
            }
        }
        order
    }
}

impl ReadyQueue {
    /// A queue without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    pub fn push(&mut self, node: u32, priority: u64) {
        self.0.push((priority, Reverse(node)));
    }

    /// Takes the next node.
    pub fn pop(&mut self) -> Option<u32> {
        self.0.pop().map(|(_, Reverse(node))| node)
    }

    /// The next node, which stays.
    #[must_use]
    pub fn peek(&self) -> Option<u32> {
        self.0.peek().map(|(_, Reverse(node))| *node)
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The longest path from each node to the end of the graph, its own cost included. `costs` has one entry
/// for each node.
#[must_use]
pub fn priorities(graph: Graph<'_>, costs: &[u64]) -> Vec<u64> {
    let mut longest = costs.to_vec();
    for node in graph.inputs_first().into_iter().rev() {
        let above = graph.dependents(node).iter();
        let rest = above.map(|above| longest[*above as usize]).max();
        let own = &mut longest[node as usize];
        *own = own.saturating_add(rest.unwrap_or(0));
    }
    longest
}

/// The nodes of a longest path, the first to run first, given the [`priorities`].
#[must_use]
pub fn critical_path(graph: Graph<'_>, priorities: &[u64]) -> Vec<u32> {
    let waiting = graph.waiting();
    let longest = |nodes: &mut dyn Iterator<Item = u32>| {
        nodes.max_by_key(|node| (priorities[*node as usize], Reverse(*node)))
    };
    let mut next =
        longest(&mut (0..graph.len() as u32).filter(|node| waiting[*node as usize] == 0));
    let mut path = Vec::new();
    while let Some(node) = next {
        path.push(node);
        next = longest(&mut graph.dependents(node).iter().copied());
        if path.len() > graph.len() {
            break;
        }
    }
    path
}

/// The time that the graph takes on `workers` workers, when a worker that is free always takes the next
/// ready node. `costs` has one entry for each node; no worker is taken for one.
#[must_use]
pub fn simulate(graph: Graph<'_>, costs: &[u64], order: Order<'_>, workers: usize) -> u64 {
    let workers = workers.max(1);
    let longest;
    let by: &[u64] = match order {
        Order::CriticalPath => {
            longest = priorities(graph, costs);
            &longest
        }
        Order::Priorities(given) => given,
        Order::Fifo => &[],
    };
    let mut ready = ReadyQueue::new();
    let mut sequence = u64::MAX;
    let mut push = |ready: &mut ReadyQueue, node: u32| {
        sequence -= 1;
        let priority = by.get(node as usize).copied();
        ready.push(node, priority.unwrap_or(sequence));
    };
    let mut waiting = graph.waiting();
    for node in 0..graph.len() as u32 {
        if waiting[node as usize] == 0 {
            push(&mut ready, node);
        }
    }
    let mut running: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut now = 0u64;
    loop {
        while running.len() < workers
            && let Some(node) = ready.pop()
        {
            running.push(Reverse((now.saturating_add(costs[node as usize]), node)));
        }
        let Some(Reverse((end, _))) = running.peek().copied() else {
            return now;
        };
        now = end;
        // All that ends now, before anything begins: what becomes ready at once is chosen from together.
        while let Some(Reverse((end, node))) = running.peek().copied()
            && end == now
        {
            running.pop();
            for above in graph.dependents(node) {
                waiting[*above as usize] -= 1;
                if waiting[*above as usize] == 0 {
                    push(&mut ready, *above);
                }
            }
        }
    }
}

/// The time below which no order can run the graph on `workers` workers: the longest path, or the work
/// divided evenly, whichever is longer.
#[must_use]
pub fn lower_bound(graph: Graph<'_>, costs: &[u64], workers: usize) -> u64 {
    let path = priorities(graph, costs).into_iter().max().unwrap_or(0);
    let work: u128 = costs.iter().map(|cost| u128::from(*cost)).sum();
    let even = work.div_ceil(workers.max(1) as u128);
    path.max(u64::try_from(even).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A graph from edges `(input, dependent)`.
    #[derive(Debug)]
    struct Built {
        at: Vec<u32>,
        dependents: Vec<u32>,
    }

    impl Built {
        fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
            let mut edges = edges.to_vec();
            edges.sort_unstable();
            let before = |node: u32| edges.iter().filter(|(input, _)| *input < node).count() as u32;
            Self {
                at: (0..=nodes as u32).map(before).collect(),
                dependents: edges.iter().map(|(_, above)| *above).collect(),
            }
        }

        fn graph(&self) -> Graph<'_> {
            Graph::new(&self.at, &self.dependents).unwrap()
        }
    }

    fn acyclic() -> impl Strategy<Value = (Built, Vec<u64>)> {
        (1usize..40).prop_flat_map(|nodes| {
            let edges = proptest::collection::vec((0..nodes as u32, 0..nodes as u32), 0..90);
            let costs = proptest::collection::vec(0u64..1000, nodes);
            (edges, costs).prop_map(move |(edges, costs)| {
                let forward: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
                (Built::new(nodes, &forward), costs)
            })
        })
    }

    #[test]
    fn a_priority_is_the_longest_path_that_remains() {
        // 0 -> 1 -> 3, 0 -> 2 -> 3, and 4 alone.
        let built = Built::new(5, &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        let longest = priorities(built.graph(), &[1, 10, 20, 3, 7]);
        assert_eq!(longest, [24, 13, 23, 3, 7]);
        assert_eq!(critical_path(built.graph(), &longest), [0, 2, 3]);
    }

    #[test]
    fn a_chain_takes_its_length_on_any_number_of_workers() {
        let nodes = 100_000;
        let edges: Vec<_> = (1..nodes).map(|node| (node - 1, node)).collect();
        let at: Vec<u32> = (0..=nodes).map(|node| node.min(nodes - 1)).collect();
        let dependents: Vec<u32> = edges.iter().map(|(_, above)| *above).collect();
        let graph = Graph::new(&at, &dependents).unwrap();
        let costs = vec![5; nodes as usize];
        for workers in [1, 7, 1000] {
            let took = simulate(graph, &costs, Order::CriticalPath, workers);
            assert_eq!(
                (took, lower_bound(graph, &costs, workers)),
                (500_000, 500_000)
            );
        }
        let path = critical_path(graph, &priorities(graph, &costs));
        assert_eq!(path.len(), nodes as usize);
    }

    #[test]
    fn independent_nodes_are_divided_evenly() {
        let built = Built::new(12, &[]);
        assert_eq!(
            simulate(built.graph(), &[5; 12], Order::CriticalPath, 4),
            15
        );
        assert_eq!(
            simulate(built.graph(), &[5; 12], Order::CriticalPath, 100),
            5
        );
        assert_eq!(lower_bound(built.graph(), &[5; 12], 4), 15);
    }

    #[test]
    fn the_longest_path_goes_first_where_fifo_lets_it_wait() {
        // Short ones were ready before the long one: nodes 0 to 3 cost 1, node 4 costs 4.
        let built = Built::new(5, &[]);
        let costs = [1, 1, 1, 1, 4];
        assert_eq!(simulate(built.graph(), &costs, Order::CriticalPath, 2), 4);
        assert_eq!(simulate(built.graph(), &costs, Order::Fifo, 2), 6);
        let wrong = Order::Priorities(&[5, 5, 5, 5, 1]);
        assert_eq!(simulate(built.graph(), &costs, wrong, 2), 6);
    }

    #[test]
    fn among_equals_the_lowest_index_goes_first() {
        let mut ready = ReadyQueue::new();
        for node in [3, 1, 2] {
            ready.push(node, 5);
        }
        ready.push(9, 6);
        let order: Vec<u32> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, [9, 1, 2, 3]);
    }

    #[test]
    fn a_cycle_hangs_nothing() {
        let built = Built::new(4, &[(0, 1), (1, 2), (2, 1), (2, 3)]);
        let longest = priorities(built.graph(), &[1; 4]);
        assert_eq!(longest[3], 1);
        assert_eq!(simulate(built.graph(), &[1; 4], Order::CriticalPath, 2), 1);
        assert!(critical_path(built.graph(), &longest).len() <= 5);
    }

    #[test]
    fn slices_that_describe_no_graph_are_refused() {
        assert!(Graph::new(&[], &[]).is_none());
        assert!(Graph::new(&[0, 2, 1], &[0]).is_none());
        assert!(Graph::new(&[0, 1], &[1]).is_none());
        assert!(Graph::new(&[0, 0], &[0]).is_none());
        assert!(Graph::new(&[0], &[]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_order_beats_the_bound_and_one_worker_does_all_the_work((built, costs) in acyclic(), workers in 1usize..20) {
            let (graph, work) = (built.graph(), costs.iter().sum::<u64>());
            for order in [Order::CriticalPath, Order::Fifo] {
                prop_assert_eq!(simulate(graph, &costs, order, 1), work);
                let took = simulate(graph, &costs, order, workers);
                let bound = lower_bound(graph, &costs, workers);
                // Graham: a list schedule is never twice as long as the best one.
                prop_assert!(bound <= took && took <= 2 * bound, "{} {}", bound, took);
            }
            let longest = priorities(graph, &costs);
            let path = critical_path(graph, &longest);
            let along: u64 = path.iter().map(|node| costs[*node as usize]).sum();
            prop_assert_eq!(along, longest.into_iter().max().unwrap_or(0));
            let enough = simulate(graph, &costs, Order::CriticalPath, costs.len());
            prop_assert_eq!(enough, along);
        }
    }
}
