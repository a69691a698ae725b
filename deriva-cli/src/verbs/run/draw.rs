//! The drawing of a run.

use std::collections::HashMap;
use std::path::Path;

use deriva::Result;
use deriva_draw::{Drawing, Node, State, svg};

use super::expand::Expansion;
use super::tally::{Fate, Tallied};
use crate::files::write_text;
use crate::pipeline::Pipeline;

/// With more nodes than this, those of a step are drawn as one.
const LIMIT: usize = 400;

/// Draws all nodes with what became of them. In a run that is not `complete`, nothing is known of those
/// that were not reached.
pub(crate) fn draw(
    pipeline: &Pipeline,
    expansion: &Expansion,
    tally: &Tallied,
    complete: bool,
    path: &Path,
) -> Result<()> {
    let costs: HashMap<u32, _> = tally.costs.iter().copied().collect();
    let names = names(expansion);
    let mut drawing = Drawing::default();
    for node in 0..expansion.len() as u32 {
        let owner = expansion.owner[node as usize] as usize;
        let (group, state) = match owner.checked_sub(expansion.sources) {
            None => (&pipeline.sources[owner].name, State::Leaf),
            Some(step) => (
                &pipeline.steps[step].name,
                state(tally.fates[node as usize], complete),
            ),
        };
        let label = match names[node as usize] {
            Some(name) if name != group => format!("{group}: {name}"),
            _ => group.clone(),
        };
        let node_drawn = Node::new(label, group, state);
        drawing
            .nodes
            .push(node_drawn.cost(costs.get(&node).copied()));
        drawing
            .edges
            .extend(expansion.inputs(node).iter().map(|input| (*input, node)));
    }
    write_text(
        path,
        &svg(drawing, LIMIT, &format!("pipeline {}", pipeline.name)),
    )
}

fn state(fate: Fate, complete: bool) -> State {
    match fate {
        Fate::Untouched if !complete => State::Absent,
        Fate::Untouched | Fate::Cutoff => State::Present,
        Fate::Computed => State::Computed,
        Fate::Failed | Fate::Skipped => State::Failed,
    }
}

fn names(expansion: &Expansion) -> Vec<Option<&str>> {
    let mut names = vec![None; expansion.len()];
    for items in &expansion.items {
        for (node, name) in items.nodes.iter().zip(items.names.iter()) {
            names[*node as usize].get_or_insert(name.as_str());
        }
    }
    names
}
