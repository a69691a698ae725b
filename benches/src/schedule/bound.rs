//! A bound on makespans that sees what the plain one does not: beginnings and ends without enough to do, and
//! nodes that cannot be divided.

use deriva::runtime::schedule::{Graph, priorities};

/// Thresholds that are tried of each kind.
const STEPS: usize = 64;

/// A node with what must run before and after it.
#[derive(Clone, Copy)]
struct Node {
    before: u64,
    after: u64,
    cost: u64,
}

/// The sum of the bounds of the sections between *barriers*: nodes that all others are before or after, at
/// which nothing else runs. Costs must not be 0.
pub(super) fn tighter(graph: Graph<'_>, costs: &[u64], workers: usize) -> u64 {
    let after = minus(priorities(graph, costs), costs);
    let before = minus(from_the_beginning(graph, costs), costs);
    // Along each edge the way from the beginning grows, so this is an order in which inputs come first.
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_unstable_by_key(|node| before[*node]);
    let mut sum = 0;
    for section in sections(graph, &order) {
        let begin = before[section[0]];
        let nodes = section.iter().map(|node| Node {
            before: before[*node] - begin,
            after: after[*node],
            cost: costs[*node],
        });
        let mut nodes: Vec<Node> = nodes.collect();
        let rest = nodes.iter().map(|node| node.after).min().unwrap_or(0);
        nodes.iter_mut().for_each(|node| node.after -= rest);
        sum += section_bound(nodes, workers);
    }
    sum
}

/// The nodes of each section in order. A section after the first begins with a barrier.
fn sections<'a>(graph: Graph<'_>, order: &'a [usize]) -> Vec<&'a [usize]> {
    let mut place = vec![0usize; order.len()];
    for (at, node) in order.iter().enumerate() {
        place[*node] = at;
    }
    // An edge over a place, an end before it, or a beginning after it, and it is no barrier.
    let mut over = vec![0i64; order.len() + 1];
    let mut is_begin = vec![true; order.len()];
    let mut first_end = order.len();
    for (at, node) in order.iter().enumerate() {
        let dependents = graph.dependents(*node as u32);
        if dependents.is_empty() {
            first_end = first_end.min(at);
        }
        for above in dependents {
            let above = place[*above as usize];
            is_begin[above] = false;
            over[at + 1] += 1;
            over[above] -= 1;
        }
    }
    let last_begin = is_begin.iter().rposition(|begin| *begin).unwrap_or(0);
    let mut open = 0;
    let mut sections = Vec::new();
    let mut from = 0;
    for at in 0..order.len() {
        open += over[at];
        if at > 0 && open == 0 && at >= last_begin && at <= first_end {
            sections.push(&order[from..at]);
            from = at;
        }
    }
    sections.push(&order[from..]);
    sections
}

/// The best bound over sets of nodes that all have at least so much before them and after them: the set is
/// run between these two, by N workers, one of whom runs at least its share of the nodes.
fn section_bound(mut nodes: Vec<Node>, workers: usize) -> u64 {
    // By cost, so that any subset in this order begins with its cheapest.
    nodes.sort_unstable_by_key(|node| node.cost);
    let mut best = 0;
    for head in thresholds(nodes.iter().map(|node| node.before)) {
        for tail in thresholds(nodes.iter().map(|node| node.after)) {
            let inside = nodes.iter();
            let inside = inside.filter(|node| node.before >= head && node.after >= tail);
            let set: Vec<u64> = inside.map(|node| node.cost).collect();
            let Some(largest) = set.last() else {
                continue;
            };
            let work: u64 = set.iter().sum();
            let share: u64 = set.iter().take(set.len().div_ceil(workers)).sum();
            let between = share.max(work.div_ceil(workers as u64)).max(*largest);
            best = best.max(head + tail + between);
        }
    }
    best
}

/// The longest path from the beginning to each node's end.
fn from_the_beginning(graph: Graph<'_>, costs: &[u64]) -> Vec<u64> {
    let mut inputs_at = vec![0u32; graph.len() + 1];
    for node in 0..graph.len() as u32 {
        for above in graph.dependents(node) {
            inputs_at[*above as usize + 1] += 1;
        }
    }
    for i in 1..inputs_at.len() {
        inputs_at[i] += inputs_at[i - 1];
    }
    let mut next = inputs_at.clone();
    let mut inputs = vec![0; inputs_at[graph.len()] as usize];
    for node in 0..graph.len() as u32 {
        for above in graph.dependents(node) {
            inputs[next[*above as usize] as usize] = node;
            next[*above as usize] += 1;
        }
    }
    match Graph::new(&inputs_at, &inputs) {
        Some(turned) => priorities(turned, costs),
        None => Vec::new(),
    }
}

fn minus(mut paths: Vec<u64>, costs: &[u64]) -> Vec<u64> {
    for (path, cost) in paths.iter_mut().zip(costs) {
        *path -= cost;
    }
    paths
}

/// Some of these values, spread evenly over their ranks; the smallest among them.
fn thresholds(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sorted: Vec<u64> = values.collect();
    sorted.sort_unstable();
    sorted.dedup();
    let every = sorted.len().div_ceil(STEPS).max(1);
    sorted.into_iter().step_by(every).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deriva::runtime::schedule::{Order, lower_bound, simulate};

    #[test]
    fn what_cannot_be_divided_or_begun_is_seen() {
        // Four equal nodes on three workers: one runs two of them.
        let alone = Graph::new(&[0; 5], &[]).unwrap();
        assert_eq!(lower_bound(alone, &[3; 4], 3), 4);
        assert_eq!(tighter(alone, &[3; 4], 3), 6);
        // One node, then four beside each other, then one: the four have two workers only in between.
        let at = [0, 4, 5, 6, 7, 8, 8];
        let fork = Graph::new(&at, &[1, 2, 3, 4, 5, 5, 5, 5]).unwrap();
        let costs = [10; 6];
        assert_eq!(lower_bound(fork, &costs, 2), 30);
        assert_eq!(tighter(fork, &costs, 2), 40);
        assert_eq!(simulate(fork, &costs, Order::CriticalPath, 2), 40);
        // Twice the same after each other: the bounds of both parts add up.
        let at = [0, 3, 4, 5, 6, 9, 10, 11, 12, 12];
        let twice = Graph::new(&at, &[1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 8]).unwrap();
        assert_eq!(tighter(twice, &[10; 9], 2), 70);
        assert_eq!(simulate(twice, &[10; 9], Order::CriticalPath, 2), 70);
    }
}
