//! What is drawn.

use std::time::Duration;

use crate::{layers, summary, time};

/// What is known of a node, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// A blob that was put.
    Leaf,
    /// Its output was there.
    Present,
    /// It was computed now.
    Computed,
    /// It was never computed.
    Absent,
    /// Its output is recorded, but the bytes are gone.
    Lost,
    /// Neither a blob nor a recipe is stored.
    Missing,
    /// It is refused, as its runs gave different outputs.
    Condemned,
    /// It failed, or something that it needs did.
    Failed,
}

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Self::Leaf,
        Self::Present,
        Self::Computed,
        Self::Absent,
        Self::Lost,
        Self::Missing,
        Self::Condemned,
        Self::Failed,
    ];

    /// In a legend.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Leaf => "source blob",
            Self::Present => "output present",
            Self::Computed => "computed now",
            Self::Absent => "not computed",
            Self::Lost => "output lost",
            Self::Missing => "missing",
            Self::Condemned => "runs differed",
            Self::Failed => "failed",
        }
    }

    /// Fill and border.
    pub(crate) fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Leaf => ("#eceff4", "#7b88a1"),
            Self::Present => ("#d8f0d3", "#4f9a41"),
            Self::Computed => ("#d5e6fb", "#2f6fc4"),
            Self::Absent => ("#ffffff", "#9a9a9a"),
            Self::Lost => ("#fdeccb", "#c98a1b"),
            Self::Missing => ("#f7d6e6", "#b03a75"),
            Self::Condemned => ("#e6dcf5", "#6b46a8"),
            Self::Failed => ("#fbd5d3", "#c4352c"),
        }
    }
}

/// A node of a drawing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// In its box.
    pub label: String,
    /// Nodes of one group may be drawn as one: a function or a step.
    pub group: String,
    /// Its colour.
    pub state: State,
    /// What computing it cost; a group's is the sum.
    pub cost: Option<Duration>,
    /// How many nodes it stands for.
    pub count: u64,
    /// Edges among these.
    pub within: u64,
    /// Where its box leads, in SVG: the target of a link. A node that stands for several leads nowhere.
    pub link: Option<String>,
}

/// Nodes and edges. Edges go from an input to its reader and form no cycle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// All nodes; edges name them by their place here.
    pub nodes: Vec<Node>,
    /// From an input to what reads it.
    pub edges: Vec<(u32, u32)>,
}

/// A drawing in which every node has a layer, and edges go from a lower to a higher one, or in a summary stay in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layered {
    pub(crate) nodes: Vec<Node>,
    /// The layer of each node.
    pub(crate) layer: Vec<u32>,
    /// With the number of edges that each stands for.
    pub(crate) edges: Vec<(u32, u32, u64)>,
    /// How many nodes were drawn together, where the drawing is a summary.
    pub(crate) summary_of: Option<usize>,
}

impl Drawing {
    pub(crate) fn layered(self, limit: usize) -> Layered {
        let layer = layers::longest_path(self.nodes.len(), &self.edges);
        if self.nodes.len() > limit {
            return summary::summarise(self, &layer, limit);
        }
        Layered {
            edges: self
                .edges
                .iter()
                .map(|(from, to)| (*from, *to, 1))
                .collect(),
            nodes: self.nodes,
            layer,
            summary_of: None,
        }
    }
}

impl Node {
    /// One node that leads nowhere, and of whose cost nothing is known.
    #[must_use]
    pub fn new(label: impl Into<String>, group: impl Into<String>, state: State) -> Self {
        Self {
            label: label.into(),
            group: group.into(),
            state,
            cost: None,
            count: 1,
            within: 0,
            link: None,
        }
    }

    /// What computing it cost. Default: that is not known.
    #[must_use]
    pub fn cost(self, cost: Option<Duration>) -> Self {
        Self { cost, ..self }
    }

    /// The line below the label: how many, and the cost.
    pub(crate) fn detail(&self) -> String {
        let count = (self.count > 1).then(|| format!("{} nodes", self.count));
        let cost = self.cost.map(time);
        let within = (self.within > 0).then(|| match self.within {
            1 => "1 edge within".to_owned(),
            n => format!("{n} edges within"),
        });
        let parts: Vec<String> = count.into_iter().chain(within).chain(cost).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `groups` layers of `width` nodes, each over all of the layer below.
    pub(crate) fn grid(layers: u32, width: u32) -> Drawing {
        let node = |layer| {
            let state = match layer {
                0 => State::Leaf,
                _ => State::Computed,
            };
            let node = Node::new(format!("n{layer}"), format!("g{}", layer % 3), state);
            node.cost(Some(Duration::from_millis(1)))
        };
        let mut drawing = Drawing::default();
        for layer in 0..layers {
            for i in 0..width {
                let at = drawing.nodes.len() as u32;
                drawing.nodes.push(node(layer));
                if layer > 0 {
                    drawing.edges.push((at - width, at));
                    drawing
                        .edges
                        .push(((layer - 1) * width + (i + 1) % width, at));
                }
            }
        }
        drawing
    }

    #[test]
    fn a_small_graph_is_drawn_as_it_is() {
        let layered = grid(3, 4).layered(12);
        assert_eq!((layered.nodes.len(), layered.summary_of), (12, None));
        assert_eq!(layered.layer[4..8], [1, 1, 1, 1]);
    }

    #[test]
    fn a_large_graph_is_summarised_with_counts_and_costs() {
        let layered = grid(3, 200).layered(400);
        assert_eq!((layered.nodes.len(), layered.summary_of), (3, Some(600)));
        assert_eq!(layered.nodes[0].count, 200);
        assert_eq!(layered.nodes[1].cost, Some(Duration::from_millis(200)));
        assert_eq!(layered.edges, [(0, 1, 400), (1, 2, 400)]);
    }

    #[test]
    fn a_deep_graph_is_summarised_within_the_limit() {
        let layered = grid(50_000, 1).layered(400);
        assert!(layered.nodes.len() <= 400, "{}", layered.nodes.len());
        assert_eq!(
            layered.nodes.iter().map(|node| node.count).sum::<u64>(),
            50_000
        );
        assert!(
            layered
                .edges
                .iter()
                .all(|(a, b, _)| layered.layer[*a as usize] <= layered.layer[*b as usize])
        );
    }

    #[test]
    fn every_edge_is_drawn_or_counted_whatever_the_limit() {
        for limit in [1, 2, 5, 20] {
            let drawing = grid(40, 7);
            let edges = drawing.edges.len() as u64;
            let layered = drawing.layered(limit);
            assert!(
                layered.nodes.len() <= limit.max(2),
                "{limit}: {}",
                layered.nodes.len()
            );
            let drawn: u64 = layered.edges.iter().map(|(_, _, count)| count).sum();
            let within: u64 = layered.nodes.iter().map(|node| node.within).sum();
            assert_eq!(drawn + within, edges, "{limit}");
            assert_eq!(drawn > 0, layered.nodes.len() > 1, "{limit}");
        }
    }
}
