//! What a run tells its timeline. Without one, nothing is kept and nothing measured.

use std::time::Duration;

use futures::future::Either;

use super::Run;
use crate::materialize::plan::NodeId;
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
}

impl Run {
    /// Lets the work of a heavy node be a slice, from its first poll to its end.
    pub(super) fn sliced<F: Future>(
        &mut self,
        node: NodeId,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let Some(open) = self.heavy_slice(node) else {
            return Either::Left(work);
        };
        Either::Right(async move {
            open.begin();
            let done = work.await;
            drop(open);
            done
        })
    }

    fn heavy_slice(&mut self, node: NodeId) -> Option<Open> {
        let slices = self.slices.as_ref()?;
        let (recipe, function) = self.plan.recipe(node)?;
        let work = Work::Heavy {
            addr: recipe.addr(),
            function: self.plan.functions[function as usize].id().clone(),
            reason: self.reason(node),
        };
        let after = self.last_input(slices, &[node]);
        let open = slices.timeline.open(&self.inner.clock, work, after)?;
        self.slices.as_mut()?.of[node as usize] = open.id();
        Some(open)
    }

    /// A chunk of light nodes was run.
    pub(super) fn chunk_slice(&mut self, nodes: &[NodeId], began: Duration, took: Duration) {
        let Some(slices) = &self.slices else {
            return;
        };
        let function = |node: &NodeId| self.plan.recipe(*node).map(|(_, function)| function);
        let first = nodes.first().and_then(function);
        let same = nodes.iter().all(|node| function(node) == first);
        let function = first.filter(|_| same);
        let work = Work::Light {
            steps: nodes.len(),
            function: function.map(|at| self.plan.functions[at as usize].id().clone()),
        };
        let after = self.last_input(slices, nodes);
        let slice = slices.timeline.add(work, after, began, began + took);
        if let (Some(slice), Some(slices)) = (slice, &mut self.slices) {
            for node in nodes {
                slices.of[*node as usize] = slice;
            }
        }
    }

    /// A commit of N records begins.
    pub(super) fn commit_begins(&mut self, records: usize) {
        if let Some(slices) = &mut self.slices {
            let work = Work::Commit { records };
            slices.commit = slices.timeline.open(&self.inner.clock, work, None);
            slices.commit.iter().for_each(Open::begin);
        }
    }

    /// The commit has ended.
    pub(super) fn commit_ends(&mut self) {
        if let Some(slices) = &mut self.slices {
            slices.commit = None;
        }
    }

    /// The slice that gave the last of these nodes' inputs.
    fn last_input(&self, slices: &Slices, nodes: &[NodeId]) -> Option<SliceId> {
        let inputs = nodes.iter().flat_map(|node| self.plan.inputs(*node));
        let given = inputs.map(|input| slices.of[*input as usize]);
        slices
            .timeline
            .last_of(given.filter(|slice| *slice != NONE))
    }
}
