//! What a process had begun and what was acknowledged when the power went, and what an item may therefore
//! look like.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use deriva_api::DurabilityClass;

use super::scenario::{Act, Script};
use super::timeline::Said;
use crate::proof::item::{Item, Parts, Step};
use crate::proof::program::told;

/// How far a thread had come, in calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Acknowledged before a flush of the same process began that was acknowledged as well.
    pub(super) flushed: usize,
    /// The same for a flush of this process or a later one, which has what a killed process left.
    pub(super) settled: usize,
    pub(super) acknowledged: usize,
    pub(super) begun: usize,
}

/// How far each thread of each phase had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progresses(pub(super) BTreeMap<(usize, usize), Progress>);

impl Progresses {
    /// How far a thread of a phase had come.
    pub(super) fn of(&self, thread: (usize, usize)) -> Progress {
        self.0.get(&thread).copied().unwrap_or_default()
    }

    /// At a moment, by what the processes had said.
    pub(super) fn at(moment: usize, said: &[Said]) -> Self {
        let mut threads: BTreeMap<(usize, usize), Progress> = BTreeMap::new();
        // What was acknowledged when a thread's flush began.
        let mut flushing = BTreeMap::new();
        for said in said.iter().take_while(|said| said.at <= moment) {
            let Some((begins, thread, at, flush)) = told(&said.text).and_then(parse) else {
                continue;
            };
            if begins && flush {
                flushing.insert(thread, threads.clone());
            }
            let progress = threads.entry(thread).or_default();
            match begins {
                true => progress.begun = at + 1,
                false => progress.acknowledged = at + 1,
            }
            if !begins && flush {
                let before = flushing.remove(&thread).unwrap_or_default();
                for (other, then) in before {
                    let progress = threads.entry(other).or_default();
                    progress.settled = progress.settled.max(then.acknowledged);
                    if other.0 == thread.0 {
                        progress.flushed = progress.settled;
                    }
                }
            }
        }
        Self(threads)
    }

    /// Calls that were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.0.values().map(|progress| progress.acknowledged).sum()
    }
}

/// `begin 0.1.2 make`
fn parse(line: &str) -> Option<(bool, (usize, usize), usize, bool)> {
    let mut words = line.split(' ');
    let begins = match words.next()? {
        "begin" => true,
        "ack" => false,
        _ => return None,
    };
    let mut numbers = words.next()?.split('.').map(|number| number.parse().ok());
    let thread = (numbers.next()??, numbers.next()??);
    Some((begins, thread, numbers.next()??, words.next()? == "flush"))
}

/// `0.1:2/2/3/4`, separated by commas.
impl fmt::Display for Progresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, ((phase, thread), progress)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let Progress {
                flushed,
                settled,
                acknowledged,
                begun,
            } = progress;
            write!(
                f,
                "{comma}{phase}.{thread}:{flushed}/{settled}/{acknowledged}/{begun}"
            )?;
        }
        Ok(())
    }
}

impl FromStr for Progresses {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut threads = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let mut numbers = Vec::new();
            for number in part.split(['.', ':', '/']) {
                numbers.push(number.parse()?);
            }
            numbers.resize(6, 0);
            let progress = Progress {
                flushed: numbers[2],
                settled: numbers[3],
                acknowledged: numbers[4],
                begun: numbers[5],
            };
            threads.insert((numbers[0], numbers[1]), progress);
        }
        Ok(Self(threads))
    }
}

/// The steps of an item that had begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) steps: Vec<Step>,
    /// How many of them must be there.
    pub(super) required: usize,
    pub(super) acknowledged: usize,
}

impl History {
    /// How many steps leave these parts, at least `required`, the fewest first.
    pub(super) fn matching(&self, parts: Parts) -> impl Iterator<Item = usize> {
        let steps = self.required..=self.steps.len();
        steps.filter(move |steps| self.after(*steps) == parts)
    }

    pub(super) fn after(&self, steps: usize) -> Parts {
        Item::parts_after(&self.steps, steps)
    }

    /// The parts that are there whatever the cut took.
    pub(super) fn certain(&self) -> Parts {
        let mut certain = self.after(self.required);
        for steps in self.required..=self.steps.len() {
            let parts = self.after(steps);
            certain.blob &= parts.blob;
            certain.recipes &= parts.recipes;
            certain.output &= parts.output;
            certain.root &= parts.root;
        }
        certain
    }
}

/// The history of each item. `class` is what the store promises; after a kill it has to keep more of it than
/// after a loss of power.
pub(super) fn histories(
    script: &Script,
    progresses: &Progresses,
    class: DurabilityClass,
    killed: bool,
) -> BTreeMap<u64, History> {
    let mut histories: BTreeMap<u64, History> = BTreeMap::new();
    let least = if killed {
        DurabilityClass::ProcessCrash
    } else {
        DurabilityClass::PowerLoss
    };
    for (thread, at, act) in script.acts() {
        let progress = progresses.of(thread);
        let Act::Make(step, items) = act else {
            continue;
        };
        if at >= progress.begun {
            continue;
        }
        let required = match class >= least {
            true => progress.acknowledged,
            false if class > DurabilityClass::None => progress.settled,
            false => progress.flushed,
        };
        for n in items {
            let history = histories.entry(*n).or_default();
            history.steps.push(*step);
            history.required += usize::from(at < required);
            history.acknowledged += usize::from(at < progress.acknowledged);
        }
    }
    histories
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::scenario::Scenario;

    fn said(lines: &[&str]) -> Vec<Said> {
        let lines = lines.iter().enumerate();
        let said = lines.map(|(at, line)| Said {
            at,
            text: format!("other output deriva-proof {line}"),
        });
        said.collect()
    }

    #[test]
    fn a_flush_covers_what_was_acknowledged_before_it_began() {
        let said = said(&[
            "begin 0.0.0 make",
            "begin 0.1.0 make",
            "ack 0.0.0 make",
            "begin 0.0.1 flush",
            "ack 0.1.0 make",
            "ack 0.0.1 flush",
            "begin 0.1.1 make",
        ]);
        let at = |moment| Progresses::at(moment, &said).to_string();
        assert_eq!(at(0), "0.0:0/0/0/1");
        assert_eq!(at(4), "0.0:0/0/1/2,0.1:0/0/1/1");
        assert_eq!(at(6), "0.0:1/1/2/2,0.1:0/0/1/2");
        let read: Progresses = at(6).parse().unwrap();
        assert_eq!((read.to_string(), read.acknowledged()), (at(6), 3));
    }

    #[test]
    fn a_later_process_flushes_what_a_killed_one_left_and_not_what_it_took_along() {
        let said = said(&[
            "begin 0.0.0 make",
            "ack 0.0.0 make",
            "begin 1.0.0 flush",
            "ack 1.0.0 flush",
        ]);
        let progresses = Progresses::at(3, &said);
        assert_eq!(progresses.to_string(), "0.0:0/1/1/1,1.0:0/0/1/1");
        let script = Script::of(Scenario::AfterKill, true);
        use DurabilityClass::{None, ProcessCrash};
        let required = |class| histories(&script, &progresses, class, false)[&0].required;
        assert_eq!((required(None), required(ProcessCrash)), (0, 1));
    }

    #[test]
    fn what_must_be_there_depends_on_the_class_and_on_what_happened() {
        let script = Script::of(Scenario::Creation, true);
        let progresses = "0.0:1/1/2/3".parse().unwrap();
        let required = |class, killed| {
            let histories = histories(&script, &progresses, class, killed);
            (histories[&0].required, histories[&0].steps.len())
        };
        use DurabilityClass::{None, PowerLoss, ProcessCrash};
        assert_eq!(required(PowerLoss, false), (2, 3));
        assert_eq!(required(ProcessCrash, true), (2, 3));
        assert_eq!(required(ProcessCrash, false), (1, 3));
        assert_eq!(required(None, true), (1, 3));
    }

    #[test]
    fn certain_is_what_no_step_under_way_takes_away() {
        let history = History {
            steps: vec![Step::Put, Step::Insert, Step::RemoveBlob],
            required: 1,
            acknowledged: 1,
        };
        assert_eq!(history.certain(), Parts::default());
        let shorter = History {
            steps: history.steps[..2].to_vec(),
            ..history.clone()
        };
        assert!(shorter.certain().blob && !shorter.certain().recipes);
        let blob = Parts {
            blob: true,
            ..Parts::default()
        };
        assert_eq!(history.matching(blob).collect::<Vec<_>>(), [1]);
        let recipes = Parts {
            recipes: true,
            ..Parts::default()
        };
        assert_eq!(history.matching(recipes).collect::<Vec<_>>(), [3]);
    }
}
