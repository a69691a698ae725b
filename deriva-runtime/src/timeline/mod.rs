//! What ran when during a request, for a trace viewer.
//!
//! A request with a [`Timeline`] records a slice for each heavy step, each chunk of light ones, each commit
//! and each plan, and for each slice the one whose result it waited for. [`Timeline::write`] gives them as
//! a Chrome trace, which Perfetto (`ui.perfetto.dev`) and `chrome://tracing` open. A request without one
//! records nothing.
//!
//! Slices lie on lanes that stand for what ran side by side, not for threads: an executor does not tell on
//! which thread, or machine, a step ran. A step takes the lowest lane that is free.

mod chrome;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{CAddr, Clock, Error, FunctionId, Reason, Result};
use parking_lot::Mutex;

/// Records what requests did; give it to [`crate::Materialize::timeline`]. Clones record together.
///
/// ```no_run
/// # async fn example(deriva: deriva_runtime::Deriva, addr: deriva_api::CAddr) -> deriva_api::Result<()> {
/// use deriva_runtime::Timeline;
///
/// let timeline = Timeline::new();
/// deriva.materialize(addr).timeline(timeline.clone()).await?;
/// let mut trace = Vec::new();
/// timeline.write(&mut trace)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Timeline(Arc<Mutex<Recorded>>);

/// Index of a slice.
pub(crate) type SliceId = u32;

/// What kind of work a slice is; each has lanes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Plan,
    Light,
    Heavy,
    Commit,
}

/// What was done in a slice.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A plan with `computes` nodes to compute.
    Plan { computes: u64 },
    /// A heavy step.
    Heavy {
        addr: CAddr,
        function: FunctionId,
        reason: Reason,
    },
    /// A chunk of light steps. A function where all have the same.
    Light {
        steps: usize,
        function: Option<FunctionId>,
    },
    /// `records` records were written, and the blobs that go with them.
    Commit { records: usize },
}

#[derive(Debug)]
struct Slice {
    work: Work,
    /// The slice that gave the last of this one's inputs.
    after: Option<SliceId>,
    /// Lane and beginning, once it ran.
    began: Option<(u32, Duration)>,
    ended: Option<Duration>,
}

#[derive(Debug)]
struct Recorded {
    slices: Vec<Slice>,
    limit: usize,
    dropped: u64,
    lanes: BTreeMap<Group, Lanes>,
}

/// When each lane is free again; `None` while something runs on it.
#[derive(Debug, Default)]
struct Lanes(Vec<Option<Duration>>);

/// A slice that has not ended; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    timeline: Timeline,
    clock: Arc<dyn Clock>,
    id: SliceId,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// Slices that are recorded unless told otherwise: about 40 MiB.
    pub const SLICES: usize = 200_000;

    /// Nothing is recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(Self::SLICES)
    }

    /// Records at most N slices, about 200 bytes each; those after them are counted only. Any number.
    #[must_use]
    pub fn with_limit(slices: usize) -> Self {
        Self(Arc::new(Mutex::new(Recorded {
            slices: Vec::new(),
            limit: slices,
            dropped: 0,
            lanes: BTreeMap::new(),
        })))
    }

    /// How many slices were recorded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().slices.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slices were left out for want of room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Writes the trace as JSON, in the object form of the Trace Event Format. The chain of slices that
    /// each waited for the one before, back from the last that ended, is marked `critical`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, to: impl Write) -> Result<()> {
        let written = chrome::write(&self.0.lock(), to);
        written.map_err(|source| Error::io(source).during("timeline"))
    }

    /// A slice that begins with [`Open::begin`]; `None` where there is no room.
    pub(crate) fn open(
        &self,
        clock: &Arc<dyn Clock>,
        work: Work,
        after: Option<SliceId>,
    ) -> Option<Open> {
        let id = self.0.lock().push(work, after)?;
        Some(Open {
            timeline: self.clone(),
            clock: Arc::clone(clock),
            id,
        })
    }

    /// A slice that is over.
    pub(crate) fn add(
        &self,
        work: Work,
        after: Option<SliceId>,
        began: Duration,
        ended: Duration,
    ) -> Option<SliceId> {
        let mut recorded = self.0.lock();
        let id = recorded.push(work, after)?;
        recorded.begin(id, began);
        recorded.end(id, ended);
        Some(id)
    }

    /// The one of these slices that ended last.
    pub(crate) fn last_of(&self, slices: impl Iterator<Item = SliceId>) -> Option<SliceId> {
        let recorded = self.0.lock();
        let ended = |id: SliceId| Some((recorded.slices.get(id as usize)?.ended?, id));
        slices.filter_map(ended).max().map(|(_, id)| id)
    }
}

impl Recorded {
    fn push(&mut self, work: Work, after: Option<SliceId>) -> Option<SliceId> {
        if self.slices.len() >= self.limit {
            self.dropped += 1;
            return None;
        }
        self.slices.push(Slice {
            work,
            after,
            began: None,
            ended: None,
        });
        Some(self.slices.len() as SliceId - 1)
    }

    fn begin(&mut self, id: SliceId, now: Duration) {
        let slice = &mut self.slices[id as usize];
        let lane = self.lanes.entry(slice.work.group()).or_default().take(now);
        slice.began = Some((lane, now));
    }

    fn end(&mut self, id: SliceId, now: Duration) {
        let slice = &mut self.slices[id as usize];
        // One that was given up before it began is no slice.
        let Some((lane, _)) = slice.began else {
            return;
        };
        slice.ended = Some(now);
        self.lanes.entry(slice.work.group()).or_default().0[lane as usize] = Some(now);
    }
}

impl Lanes {
    /// The lowest lane on which nothing runs and nothing ended after `now`.
    fn take(&mut self, now: Duration) -> u32 {
        let free = |lane: &Option<Duration>| lane.is_some_and(|free| free <= now);
        let lane = self.0.iter().position(free).unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[lane] = None;
        lane as u32
    }
}

impl Work {
    fn group(&self) -> Group {
        match self {
            Self::Plan { .. } => Group::Plan,
            Self::Light { .. } => Group::Light,
            Self::Heavy { .. } => Group::Heavy,
            Self::Commit { .. } => Group::Commit,
        }
    }
}

impl Open {
    pub(crate) fn id(&self) -> SliceId {
        self.id
    }

    pub(crate) fn begin(&self) {
        self.timeline.0.lock().begin(self.id, self.clock.now());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.timeline.0.lock().end(self.id, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn light(timeline: &Timeline, after: Option<u32>, began: u64, ended: u64) -> Option<SliceId> {
        let work = Work::Light {
            steps: 1,
            function: None,
        };
        timeline.add(work, after, at(began), at(ended))
    }

    fn lanes(timeline: &Timeline) -> Vec<u32> {
        let recorded = timeline.0.lock();
        let lanes = recorded.slices.iter().filter_map(|slice| slice.began);
        lanes.map(|(lane, _)| lane).collect()
    }

    #[test]
    fn slices_that_overlap_lie_on_lanes_of_their_own() {
        let timeline = Timeline::new();
        light(&timeline, None, 0, 10);
        light(&timeline, None, 5, 20);
        light(&timeline, None, 10, 12);
        light(&timeline, None, 11, 30);
        light(&timeline, None, 20, 25);
        assert_eq!(lanes(&timeline), [0, 1, 0, 2, 0]);
    }

    #[test]
    fn beyond_the_limit_slices_are_only_counted() {
        let timeline = Timeline::with_limit(2);
        let ids: Vec<_> = (0..5).map(|i| light(&timeline, None, i, i + 1)).collect();
        assert_eq!(ids, [Some(0), Some(1), None, None, None]);
        assert_eq!((timeline.len(), timeline.dropped()), (2, 3));
    }

    #[test]
    fn the_last_of_several_is_the_one_that_ended_last() {
        let timeline = Timeline::new();
        light(&timeline, None, 0, 10);
        light(&timeline, None, 1, 30);
        light(&timeline, None, 2, 20);
        assert_eq!(timeline.last_of([0, 1, 2].into_iter()), Some(1));
        assert_eq!(timeline.last_of([7].into_iter()), None);
    }
}
