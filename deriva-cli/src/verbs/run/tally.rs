//! What happened to each node of a run, counted from the events of its request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deriva::events::{Event, Reuse};
use deriva::{CAddr, Error, ErrorKind};

use super::expand::Expansion;

/// What became of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing was said of it: it is a source, or was reused, or lies above what was reused.
    #[default]
    Untouched,
    Computed,
    Cutoff,
    Failed,
    Skipped,
}

/// Counts of one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepTally {
    pub(crate) nodes: u64,
    pub(crate) computed: u64,
    pub(crate) cutoff: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Times that runs of a node were found to differ.
    pub(crate) violations: u64,
    /// Bytes of computed outputs.
    pub(crate) bytes: u64,
    /// Time in the function, over all threads.
    pub(crate) cost: Duration,
}

impl StepTally {
    /// Nodes that were there already.
    pub(crate) fn reused(&self) -> u64 {
        self.nodes - self.computed - self.cutoff - self.failed - self.skipped
    }

    /// Adds another step's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.nodes += other.nodes;
        self.computed += other.computed;
        self.cutoff += other.cutoff;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.violations += other.violations;
        self.bytes += other.bytes;
        self.cost += other.cost;
    }
}

/// Everything counted.
#[derive(Debug, Default)]
pub(crate) struct Tallied {
    /// By step.
    pub(crate) steps: Vec<StepTally>,
    /// By node.
    pub(crate) fates: Vec<Fate>,
    /// The cost of each node that was computed.
    pub(crate) costs: Vec<(u32, Duration)>,
    /// The first failures.
    pub(crate) failures: Vec<(CAddr, Error)>,
    /// Whether a node failed as its runs differ, or did before.
    pub(crate) differs: bool,
}

impl Tallied {
    /// Counts over all steps.
    pub(crate) fn total(&self) -> StepTally {
        let mut total = StepTally::default();
        self.steps.iter().for_each(|step| total.add(step));
        total
    }

    /// Nodes that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.total().failed
    }
}

/// Takes in events while a request runs.
#[derive(Debug)]
pub(crate) struct Tally {
    expansion: Arc<Expansion>,
    tallied: Mutex<Tallied>,
}

/// Failures that are told one by one; the rest is counted.
const MOST_FAILURES: usize = 20;
/// Costs are kept for drawings. Those of more nodes than this are summaries anyway.
const MOST_COSTS: usize = 1 << 20;

impl Tally {
    pub(crate) fn new(expansion: Arc<Expansion>) -> Self {
        let count = expansion.items.len() - expansion.sources;
        let mut tallied = Tallied {
            steps: vec![StepTally::default(); count],
            fates: vec![Fate::default(); expansion.len()],
            ..Tallied::default()
        };
        for owner in &expansion.owner {
            if let Some(step) = (*owner as usize).checked_sub(expansion.sources) {
                tallied.steps[step].nodes += 1;
            }
        }
        Self {
            expansion,
            tallied: Mutex::new(tallied),
        }
    }

    /// Counts an event.
    pub(crate) fn take_in(&self, event: &Event) {
        let (addr, fate) = match event {
            Event::Computed { addr, .. } => (addr, Fate::Computed),
            Event::Reused {
                addr,
                how: Reuse::Cutoff,
                ..
            } => (addr, Fate::Cutoff),
            Event::Failed { addr, .. } => (addr, Fate::Failed),
            Event::Skipped { addr } => (addr, Fate::Skipped),
            Event::Violated { addr, .. } => (addr, Fate::Untouched),
            _ => return,
        };
        let Some(node) = self.expansion.node(addr) else {
            return;
        };
        let mut guard = self.lock();
        let tallied = &mut *guard;
        let Some(before) = tallied.fates.get_mut(node as usize) else {
            return;
        };
        let owner = self.expansion.owner[node as usize] as usize;
        let Some(step) = owner.checked_sub(self.expansion.sources) else {
            return;
        };
        // What becomes of it is told by another event.
        if let Event::Violated { .. } = event {
            tallied.steps[step].violations += 1;
            return;
        }
        // A node is counted once, also when a lost blob made it run again.
        if *before != Fate::Untouched {
            return;
        }
        *before = fate;
        let step = &mut tallied.steps[step];
        match event {
            Event::Computed { output, .. } => {
                step.computed += 1;
                step.bytes += output.len;
                step.cost += output.cost;
                if tallied.costs.len() < MOST_COSTS {
                    tallied.costs.push((node, output.cost));
                }
            }
            Event::Failed { addr, error } => {
                step.failed += 1;
                tallied.differs |= error.kind() == ErrorKind::Nondeterministic;
                if tallied.failures.len() < MOST_FAILURES {
                    tallied.failures.push((*addr, error.clone()));
                }
            }
            Event::Skipped { .. } => step.skipped += 1,
            _ => step.cutoff += 1,
        }
    }

    /// Counts over all steps, so far.
    pub(crate) fn totals(&self) -> StepTally {
        self.lock().total()
    }

    /// Everything counted; nothing remains.
    pub(crate) fn take(&self) -> Tallied {
        std::mem::take(&mut *self.lock())
    }

    // Counters have no half-done state, so a panic elsewhere does not spoil them.
    fn lock(&self) -> std::sync::MutexGuard<'_, Tallied> {
        self.tallied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
