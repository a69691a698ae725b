//! What a run tells its timeline. Without one, nothing is kept and nothing measured.

use std::sync::Arc;

use deriva_api::Clock;
use futures::future::Either;

use super::graph::Graph;
use super::light::ChunkDone;
use crate::materialize::plan::{NodeId, Plan};
use crate::timeline::{Open, SliceId, Timeline, Work};

/// No slice: the node was there already, or there was no room.
const NONE: SliceId = SliceId::MAX;

/// The slices of a run.
#[derive(Debug)]
pub(super) struct Slices {
    timeline: Timeline,
    /// The slice in which each node was computed.
    of: Vec<SliceId>,
    commit: Option<Open>,
}

impl Slices {
    pub(super) fn new(timeline: Timeline, nodes: usize) -> Self {
        Self {
            timeline,
            of: vec![NONE; nodes],
            commit: None,
        }
    }

    /// The work of a heavy node is to be a slice, from its first poll to its end; see [`sliced`].
    pub(super) fn heavy(
        &mut self,
        clock: &Arc<dyn Clock>,
        graph: &Graph,
        node: NodeId,
    ) -> Option<Open> {
        let plan = &graph.plan;
        let (recipe, function) = plan.recipe(node)?;
        let work = Work::Heavy {
            addr: recipe.addr(),
            function: plan.functions[function as usize].id().clone(),
            reason: graph.reason(node),
        };
        let after = self.last_input(plan, [node]);
        let open = self.timeline.open(clock, work, after)?;
        self.of[node as usize] = open.id();
        Some(open)
    }

    /// A chunk of light nodes was run.
    pub(super) fn chunk(&mut self, plan: &Plan, chunk: &ChunkDone) {
        let nodes = chunk.results.iter().map(|(node, _)| *node);
        let function = |node| plan.recipe(node).map(|(_, function)| function);
        let first = nodes.clone().next().and_then(function);
        let same = nodes.clone().all(|node| function(node) == first);
        let function = first.filter(|_| same);
        let work = Work::Light {
            steps: nodes.len(),
            function: function.map(|at| plan.functions[at as usize].id().clone()),
        };
        let after = self.last_input(plan, nodes.clone());
        let (began, ended) = (chunk.began, chunk.began + chunk.took);
        if let Some(slice) = self.timeline.add(work, after, began, ended) {
            for node in nodes {
                self.of[node as usize] = slice;
            }
        }
    }

    /// A commit of N records begins.
    pub(super) fn commit_begins(&mut self, clock: &Arc<dyn Clock>, records: usize) {
        self.commit = self.timeline.open(clock, Work::Commit { records }, None);
        self.commit.iter().for_each(Open::begin);
    }

    /// The commit has ended.
    pub(super) fn commit_ends(&mut self) {
        self.commit = None;
    }

    /// The slice that gave the last of these nodes' inputs.
    fn last_input(&self, plan: &Plan, nodes: impl IntoIterator<Item = NodeId>) -> Option<SliceId> {
        let inputs = nodes.into_iter().flat_map(|node| plan.inputs(node));
        let given = inputs.map(|input| self.of[*input as usize]);
        self.timeline.last_of(given.filter(|slice| *slice != NONE))
    }
}

/// Lets work be a slice, from its first poll to its end.
pub(super) fn sliced<F: Future>(
    slice: Option<Open>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    let Some(slice) = slice else {
        return Either::Left(work);
    };
    Either::Right(async move {
        slice.begin();
        let done = work.await;
        drop(slice);
        done
    })
}
