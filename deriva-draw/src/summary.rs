//! Many nodes drawn as few.

use std::collections::BTreeMap;

use crate::drawing::{Drawing, Layered, Node, State};

/// Draws the nodes of one layer, group and state as one. Where even these are more than `limit`,
/// neighbouring layers are taken together. More groups than `limit` are not told apart. Edges among nodes that became
/// one are counted there.
pub(crate) fn summarise(drawing: Drawing, layer: &[u32], limit: usize) -> Layered {
    let depth = layer.iter().max().map_or(1, |last| *last as usize + 1);
    let mut bands = depth;
    let mut apart = true;
    loop {
        let band = |node: usize| (layer[node] as usize * bands / depth) as u32;
        let group = |node: usize| {
            if apart {
                drawing.nodes[node].group.as_str()
            } else {
                "all"
            }
        };
        let key = |node: usize| (band(node), group(node), drawing.nodes[node].state);
        let mut groups: BTreeMap<(u32, &str, State), u32> = (0..drawing.nodes.len())
            .map(|node| (key(node), 0))
            .collect();
        if groups.len() > limit && bands > 1 {
            // At least halved, so this ends soon.
            bands = (bands * limit / groups.len()).clamp(1, bands / 2);
            continue;
        }
        if groups.len() > limit && apart {
            apart = false;
            continue;
        }
        for (id, value) in groups.values_mut().enumerate() {
            *value = id as u32;
        }
        let id = |node: usize| groups.get(&key(node)).copied().unwrap_or_default();
        let mut layered = Layered {
            summary_of: Some(drawing.nodes.len()),
            ..Layered::default()
        };
        for (layer, group, state) in groups.keys() {
            layered.layer.push(*layer);
            layered.nodes.push(Node {
                count: 0,
                ..Node::new(*group, *group, *state)
            });
        }
        for (i, node) in drawing.nodes.iter().enumerate() {
            let sum = &mut layered.nodes[id(i) as usize];
            sum.count += node.count;
            if let Some(cost) = node.cost {
                *sum.cost.get_or_insert_default() += cost;
            }
        }
        let mut edges: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (from, to) in &drawing.edges {
            let ends = (id(*from as usize), id(*to as usize));
            match ends.0 == ends.1 {
                true => layered.nodes[ends.0 as usize].within += 1,
                false => *edges.entry(ends).or_default() += 1,
            }
        }
        layered.edges = edges
            .into_iter()
            .map(|((from, to), n)| (from, to, n))
            .collect();
        return layered;
    }
}
