//! Layers by longest path, and the order within them by barycentres.

/// The layer of each node: 0 for one that reads nothing, otherwise one more than its highest input.
pub(crate) fn longest_path(nodes: usize, edges: &[(u32, u32)]) -> Vec<u32> {
    let (starts, targets) = adjacency(nodes, edges);
    let mut open = vec![0u32; nodes];
    for (_, to) in edges {
        open[*to as usize] += 1;
    }
    let mut layer = vec![0u32; nodes];
    let mut ready: Vec<u32> = (0..nodes as u32)
        .filter(|n| open[*n as usize] == 0)
        .collect();
    while let Some(from) = ready.pop() {
        let at = from as usize;
        for to in &targets[starts[at]..starts[at + 1]] {
            let to = *to as usize;
            layer[to] = layer[to].max(layer[at] + 1);
            open[to] -= 1;
            if open[to] == 0 {
                ready.push(to as u32);
            }
        }
    }
    layer
}

/// The nodes of each layer, ordered so that few edges cross: a few sweeps in which each node moves to
/// the mean place of its neighbours in the layer that was ordered before.
pub(crate) fn ordered(layer: &[u32], edges: &[(u32, u32, u64)]) -> Vec<Vec<u32>> {
    const SWEEPS: usize = 6;
    let count = layer.iter().max().map_or(0, |last| *last as usize + 1);
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (node, layer) in layer.iter().enumerate() {
        rows[*layer as usize].push(node as u32);
    }
    let forward: Vec<(u32, u32)> = edges.iter().map(|(from, to, _)| (*from, *to)).collect();
    let backward: Vec<(u32, u32)> = edges.iter().map(|(from, to, _)| (*to, *from)).collect();
    let inputs = adjacency(layer.len(), &backward);
    let readers = adjacency(layer.len(), &forward);
    let mut place = vec![0f64; layer.len()];
    for row in &rows {
        spread(row, &mut place);
    }
    for sweep in 0..SWEEPS {
        let (neighbours, up) = if sweep % 2 == 0 {
            (&inputs, true)
        } else {
            (&readers, false)
        };
        let mut order: Vec<usize> = (0..count).collect();
        if !up {
            order.reverse();
        }
        for at in order {
            let row = &mut rows[at];
            let mut keyed: Vec<(f64, u32)> = row
                .iter()
                .map(|node| (mean(*node, neighbours, &place), *node))
                .collect();
            // A stable sort keeps nodes without neighbours, and equal ones, where they were.
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *row = keyed.into_iter().map(|(_, node)| node).collect();
            spread(row, &mut place);
        }
    }
    rows
}

// Places are relative to the row's length, so that rows of different lengths compare.
fn spread(row: &[u32], place: &mut [f64]) {
    for (i, node) in row.iter().enumerate() {
        place[*node as usize] = (i as f64 + 0.5) / row.len() as f64;
    }
}

fn mean(node: u32, (starts, targets): &(Vec<usize>, Vec<u32>), place: &[f64]) -> f64 {
    let node = node as usize;
    let near = &targets[starts[node]..starts[node + 1]];
    if near.is_empty() {
        return place[node];
    }
    near.iter().map(|n| place[*n as usize]).sum::<f64>() / near.len() as f64
}

/// Neighbours in one array: those of `n` are `targets[starts[n]..starts[n + 1]]`.
fn adjacency(nodes: usize, edges: &[(u32, u32)]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; nodes + 1];
    for (from, _) in edges {
        starts[*from as usize + 1] += 1;
    }
    for i in 0..nodes {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut targets = vec![0u32; edges.len()];
    for (from, to) in edges {
        let at = &mut next[*from as usize];
        targets[*at] = *to;
        *at += 1;
    }
    (starts, targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_follow_the_longest_path() {
        assert_eq!(
            longest_path(4, &[(0, 1), (1, 3), (0, 3), (2, 3)]),
            [0, 1, 0, 2]
        );
        assert!(longest_path(0, &[]).is_empty());
    }

    #[test]
    fn crossings_are_removed_where_they_can_be() {
        // Two pairs that cross in the order given.
        let rows = ordered(&[0, 0, 1, 1], &[(0, 3, 1), (1, 2, 1)]);
        assert_eq!(rows, [vec![0, 1], vec![3, 2]]);
    }
}
