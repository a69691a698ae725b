//! What may have become of the changes that were not durable: families of disk states at one moment.

use std::collections::HashMap;
use std::fmt;

use super::timeline::{Model, Timeline, What};
use super::tree::{Fate, Gap, Tree};
use crate::SplitMix64;

/// A way to choose what of the changes that are not durable is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Nothing.
    Nothing,
    /// Names and lengths, and no bytes: files are short, or hold zeros, or, in blocks that are new to them, what
    /// another file held.
    Names,
    /// Bytes, and no names.
    Bytes,
    /// All of it, as after `kill -9`.
    Everything,
    /// Blocks of 512 bytes, and names, as chance will have it.
    Random512,
    /// Blocks of 4 KiB, and names, as chance will have it.
    Random4096,
    /// All but one change.
    AllButOne,
    /// One change alone.
    OnlyOne,
    /// The first changes, the last of them in part.
    Torn,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Names,
        Self::Bytes,
        Self::Everything,
        Self::Random512,
        Self::Random4096,
        Self::AllButOne,
        Self::OnlyOne,
        Self::Torn,
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::Names => "names",
            Self::Bytes => "bytes",
            Self::Everything => "everything",
            Self::Random512 => "random-512",
            Self::Random4096 => "random-4096",
            Self::AllButOne => "all-but-one",
            Self::OnlyOne => "only-one",
            Self::Torn => "torn",
        })
    }
}

/// One disk state: a moment, and what became of what was not durable then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) moment: usize,
    pub(super) model: Model,
    pub(super) family: Family,
    /// Which of the family, and where its chance begins.
    pub(super) variant: u64,
}

/// A timeline, and from when on its changes are durable in each model.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) timeline: Timeline,
    durable: HashMap<Model, Vec<usize>>,
}

impl Disk {
    pub(super) fn new(timeline: Timeline) -> Self {
        let models = Model::ALL.into_iter();
        let durable = models.map(|model| (model, timeline.durable(model)));
        Self {
            durable: durable.collect(),
            timeline,
        }
    }

    /// How many states of a family differ by more than chance at a moment.
    pub(super) fn variants(&self, moment: usize, model: Model, family: Family) -> u64 {
        let pending = self.pending(moment, model).len() as u64;
        match family {
            Family::Nothing | Family::Bytes => 1,
            Family::Names | Family::Everything => 3,
            Family::Random512 | Family::Random4096 => u64::MAX,
            Family::AllButOne | Family::OnlyOne | Family::Torn => pending * 3,
        }
    }

    /// What lies on the disk in this state.
    pub(super) fn tree(&self, state: State) -> Tree {
        let pending = self.pending(state.moment, state.model);
        let (fates, gap) = self.fates(state, &pending);
        let fates: HashMap<usize, Fate> = pending.iter().copied().zip(fates).collect();
        let durable = &self.durable[&state.model];
        let fate = |at: usize| match durable[at] <= state.moment {
            true => Some(Fate::Kept),
            false => fates.get(&at).copied(),
        };
        Tree::build(&self.timeline, fate, gap)
    }

    /// The changes that had begun and were not durable, in order.
    fn pending(&self, moment: usize, model: Model) -> Vec<usize> {
        let durable = &self.durable[&model];
        let changes = self.timeline.changes.iter().enumerate();
        changes
            .filter(|(at, change)| change.begin <= moment && moment < durable[*at])
            .map(|(at, _)| at)
            .collect()
    }

    fn fates(&self, state: State, pending: &[usize]) -> (Vec<Fate>, Gap) {
        let variant = state.variant;
        let mut random = SplitMix64::new(variant);
        let change = |at: &usize| &self.timeline.changes[*at];
        let any_gap = |n: u64| [Gap::Short, Gap::Zeros, Gap::Stale][(n % 3) as usize];
        let of = |keep: &dyn Fn(usize) -> bool| -> Vec<Fate> {
            let fate = |keep| if keep { Fate::Kept } else { Fate::Lost };
            (0..pending.len()).map(|n| fate(keep(n))).collect()
        };
        let is_write = |n: usize| !change(&pending[n]).is_journalled();
        // For families of single changes.
        let (one, gap) = ((variant / 3) as usize, any_gap(variant));
        let (mut fates, gap) = match state.family {
            Family::Nothing => (of(&|_| false), Gap::Short),
            Family::Names => {
                let length = |n: usize| matches!(change(&pending[n]).what, What::Resize { .. });
                let short = gap == Gap::Short;
                (of(&|n| !(is_write(n) || short && length(n))), gap)
            }
            Family::Bytes => {
                let name = |n: usize| matches!(change(&pending[n]).what, What::Names { .. });
                (of(&|n| !name(n)), Gap::Short)
            }
            Family::Everything => {
                let ended = |at: &usize| change(at).end <= state.moment;
                let under_way = match variant % 3 {
                    0 => Fate::Lost,
                    1 => Fate::Kept,
                    _ => Fate::Torn { of_8: 4 },
                };
                let fate = |at: &usize| if ended(at) { Fate::Kept } else { under_way };
                (pending.iter().map(fate).collect(), Gap::Short)
            }
            Family::Random512 | Family::Random4096 => {
                let size = if state.family == Family::Random512 {
                    512
                } else {
                    4096
                };
                let gap = any_gap(random.next_u64());
                let of_8 = [1, 4, 7][random.below(3) as usize];
                let seed = random.next_u64();
                let mut fate = |at: &usize| match change(at).is_journalled() {
                    false => Fate::Blocks { size, seed, of_8 },
                    true if random.below(8) < of_8 => Fate::Kept,
                    true => Fate::Lost,
                };
                (pending.iter().map(&mut fate).collect(), gap)
            }
            Family::AllButOne => (of(&|n| n != one), gap),
            Family::OnlyOne => (of(&|n| n == one), gap),
            Family::Torn => {
                let of_8 = 2 + 2 * (variant % 3);
                let mut fates = of(&|n| n < one);
                if one < fates.len() {
                    fates[one] = Fate::Torn { of_8 };
                }
                (fates, Gap::Short)
            }
        };
        self.hold_together(state, pending, &mut fates, &mut random);
        (fates, gap)
    }

    /// What the model does not take apart: a rename's two halves, and the order of the journal.
    fn hold_together(
        &self,
        state: State,
        pending: &[usize],
        fates: &mut [Fate],
        random: &mut SplitMix64,
    ) {
        let change = |at: usize| &self.timeline.changes[pending[at]];
        // Only writes are torn.
        for (at, fate) in fates.iter_mut().enumerate() {
            if change(at).is_journalled() && *fate != Fate::Kept {
                *fate = Fate::Lost;
            }
        }
        let journal: Vec<usize> = (0..pending.len())
            .filter(|at| change(*at).is_journalled())
            .collect();
        match state.model {
            // The old name goes only where the new one has come.
            Model::Strict => {
                for pair in journal.windows(2) {
                    if change(pair[0]).call == change(pair[1]).call && fates[pair[0]] == Fate::Lost
                    {
                        fates[pair[1]] = Fate::Lost;
                    }
                }
            }
            Model::Ext4Like => {
                let kept = match state.family {
                    Family::Random512 | Family::Random4096 => {
                        random.below(journal.len() as u64 + 1) as usize
                    }
                    Family::Names => journal.len(),
                    Family::Bytes => 0,
                    // What needs others takes them with it.
                    Family::OnlyOne => {
                        let last = journal.iter().rposition(|at| fates[*at] == Fate::Kept);
                        last.map_or(0, |last| last + 1)
                    }
                    _ => {
                        let lost = journal.iter().position(|at| fates[*at] == Fate::Lost);
                        lost.unwrap_or(journal.len())
                    }
                };
                // A call is one transaction.
                let call = |at: usize| change(journal[at]).call;
                let splits = kept > 0 && kept < journal.len() && call(kept - 1) == call(kept);
                let kept = if splits { kept - 1 } else { kept };
                for (n, at) in journal.iter().enumerate() {
                    fates[*at] = if n < kept { Fate::Kept } else { Fate::Lost };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
