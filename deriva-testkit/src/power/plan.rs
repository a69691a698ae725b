//! Which states are looked at: some wherever they are found, the others spread over all families.

use std::collections::VecDeque;

use super::family::{Family, State};
use super::record::Recording;
use super::scenario::Scenario;
use super::timeline::Model;
use crate::SplitMix64;

/// States in a row that were equal to others, after which nothing new is expected of a family.
const STALE: usize = 24;

/// The states of some recordings, in the order in which they are to be looked at. The same seed gives the same
/// order.
#[derive(Debug)]
pub(super) struct Plan {
    /// Those that are taken one by one.
    swept: VecDeque<(usize, State)>,
    strata: Vec<Stratum>,
    turn: usize,
    random: SplitMix64,
}

/// A family in one scenario and model.
#[derive(Debug)]
struct Stratum {
    recording: usize,
    model: Model,
    family: Family,
    /// In the order of chance.
    moments: Vec<usize>,
    next: usize,
    stale: usize,
}

impl Plan {
    /// For about `states` of them.
    pub(super) fn new(recordings: &[Recording], states: u64, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut swept = Vec::new();
        let mut strata = Vec::new();
        for (at, recording) in recordings.iter().enumerate() {
            swept.extend(sweep(recording).into_iter().map(|state| (at, state)));
            for model in Model::ALL {
                for family in Family::ALL {
                    let mut moments = recording.moments.clone();
                    shuffle(&mut moments, &mut random);
                    strata.push(Stratum {
                        recording: at,
                        model,
                        family,
                        moments,
                        next: 0,
                        stale: 0,
                    });
                }
            }
        }
        // A small sample sees something of everything.
        shuffle(&mut swept, &mut random);
        swept.truncate(states as usize / 2);
        shuffle(&mut strata, &mut random);
        Self {
            swept: swept.into(),
            strata,
            turn: 0,
            random,
        }
    }

    /// The next state and whose it is; `None` when nothing new is left.
    pub(super) fn next(&mut self, recordings: &[Recording]) -> Option<(usize, State)> {
        if let Some(swept) = self.swept.pop_front() {
            return Some(swept);
        }
        let live = |stratum: &Stratum| stratum.stale < STALE && !stratum.moments.is_empty();
        let count = self.strata.len();
        let turns = (0..count).map(|n| (self.turn + n) % count);
        let turn = turns.into_iter().find(|turn| live(&self.strata[*turn]))?;
        self.turn = turn + 1;
        let stratum = &mut self.strata[turn];
        let moment = stratum.moments[stratum.next % stratum.moments.len()];
        stratum.next += 1;
        let disk = &recordings[stratum.recording].disk;
        let variants = disk.variants(moment, stratum.model, stratum.family);
        let state = State {
            moment,
            model: stratum.model,
            family: stratum.family,
            variant: self.random.below(variants.max(1)),
        };
        Some((stratum.recording, state))
    }

    /// Whether the state that was given last was new.
    pub(super) fn was_new(&mut self, new: bool) {
        if let Some(stratum) = self
            .turn
            .checked_sub(1)
            .and_then(|turn| self.strata.get_mut(turn))
        {
            stratum.stale = if new { 0 } else { stratum.stale + 1 };
        }
    }
}

/// A creation and a second opening are cut at every call, and of a large commit each write is left out in turn.
fn sweep(recording: &Recording) -> Vec<State> {
    let state = |moment, family, variant| State {
        moment,
        model: Model::Strict,
        family,
        variant,
    };
    let disk = &recording.disk;
    match recording.scenario {
        Scenario::Creation | Scenario::SecondOpening => {
            let moments = recording.moments.iter();
            let killed = moments.clone().map(|at| state(*at, Family::Everything, 0));
            killed
                .chain(moments.map(|at| state(*at, Family::Nothing, 0)))
                .collect()
        }
        Scenario::LargeCommit => {
            let writes = |at: &usize| disk.variants(*at, Model::Strict, Family::AllButOne);
            let Some(fullest) = recording.moments.iter().copied().max_by_key(writes) else {
                return Vec::new();
            };
            // One in three, for they are of three sorts of gaps.
            let variants = (0..writes(&fullest)).filter(|n| n % 3 == n / 3 % 3);
            variants
                .map(|n| state(fullest, Family::AllButOne, n))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn shuffle<T>(items: &mut [T], random: &mut SplitMix64) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.below(at as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::power::family::Disk;
    use crate::power::timeline::{Change, ROOT, Timeline, What};

    fn recording(scenario: Scenario) -> Recording {
        let change = |at| Change {
            call: at,
            begin: at,
            end: at,
            what: What::Names {
                folder: ROOT,
                names: vec![(vec![b'a' + at as u8], Some(1))],
            },
        };
        let timeline = Timeline {
            changes: (0..20).map(change).collect(),
            folders: vec![true, false],
            ..Timeline::default()
        };
        Recording {
            scenario,
            moments: timeline.moments(0),
            disk: Disk::new(timeline),
        }
    }

    fn planned(states: u64, seed: u64) -> Vec<(usize, State)> {
        let recordings = [
            recording(Scenario::Life),
            recording(Scenario::SecondOpening),
        ];
        let mut plan = Plan::new(&recordings, states, seed);
        let next = |_| {
            let next = plan.next(&recordings);
            plan.was_new(true);
            next
        };
        (0..states).map_while(next).collect()
    }

    #[test]
    fn a_small_sample_has_something_of_everything_and_is_the_same_for_its_seed() {
        let plan = planned(80, 7);
        let strata: BTreeSet<String> = plan
            .iter()
            .map(|(at, state)| format!("{at} {} {}", state.model, state.family))
            .collect();
        assert_eq!(strata.len(), 2 * 2 * Family::ALL.len());
        assert_eq!(plan, planned(80, 7));
        assert_ne!(plan, planned(80, 8));
    }

    #[test]
    fn a_second_opening_is_cut_at_every_call() {
        let cut = planned(200, 1).into_iter().filter_map(|(at, state)| {
            let killed = state.family == Family::Everything && at == 1;
            killed.then_some(state.moment)
        });
        assert_eq!(cut.collect::<BTreeSet<_>>(), (0..20).collect());
    }

    #[test]
    fn a_family_that_gives_nothing_new_is_left() {
        let recordings = [recording(Scenario::Life)];
        let mut plan = Plan::new(&recordings, 10, 1);
        let mut given = 0;
        while plan.next(&recordings).is_some() {
            plan.was_new(false);
            given += 1;
            assert!(given <= 1000, "it goes on for ever");
        }
        assert_eq!(given, 2 * Family::ALL.len() * STALE);
    }
}
