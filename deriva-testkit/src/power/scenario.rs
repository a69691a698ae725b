//! What the processes do whose losses of power are replayed.

use std::fmt;
use std::str::FromStr;

use deriva_api::{Error, ErrorKind, Result};

use crate::proof::item::{HEAVY_BLOBS, HEAVY_RECIPES, Item, Step};

/// Calls between two flushes of a thread.
const WINDOW: usize = 5;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// A store is created, and written to.
    Creation,
    /// Items live through every kind of step, one after the other.
    Life,
    /// The same on four threads.
    FourThreads,
    /// A store that was closed is opened and closed again, twice.
    SecondOpening,
    /// One batch of many megabytes.
    LargeCommit,
    /// Much is taken away in batches, and some of it put again.
    Collection,
    /// A store is created in a folder that was there before, and that nobody has synced.
    FolderBefore,
    /// A store that a killed process left is opened, and written to.
    AfterKill,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Creation,
        Self::Life,
        Self::FourThreads,
        Self::SecondOpening,
        Self::LargeCommit,
        Self::Collection,
        Self::FolderBefore,
        Self::AfterKill,
    ];
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Creation => "creation",
            Self::Life => "life",
            Self::FourThreads => "four-threads",
            Self::SecondOpening => "second-opening",
            Self::LargeCommit => "large-commit",
            Self::Collection => "collection",
            Self::FolderBefore => "folder-before",
            Self::AfterKill => "after-kill",
        })
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|scenario| scenario.to_string() == text);
        found.ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
            Error::new(ErrorKind::Invalid, "there is no such scenario")
                .with("given", text)
                .hint(format!("the scenarios are: {}", known.join(", ")))
        })
    }
}

/// One call on the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The same step of some items, in one call where there are several.
    Make(Step, Vec<u64>),
    Flush,
}

/// What one process does between opening and closing.
#[derive(Debug)]
pub(super) struct Phase {
    /// What each thread does, in order. No two threads of a phase touch one item.
    pub(super) threads: Vec<Vec<Act>>,
    /// It is killed in place of closing.
    pub(super) killed: bool,
}

/// The processes of a scenario, one after the other.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) phases: Vec<Phase>,
    /// The first phase that power is lost in.
    pub(super) from: usize,
}

impl Script {
    pub(super) fn of(scenario: Scenario, with_dag: bool) -> Self {
        let lives = |items: &mut dyn Iterator<Item = u64>| lives(items, with_dag);
        let closed = |acts: Vec<Act>| Phase {
            threads: vec![acts],
            killed: false,
        };
        let filled = || closed(flushed(lives(&mut (0..3))));
        let (from, phases) = match scenario {
            Scenario::Creation | Scenario::FolderBefore => (0, vec![closed(lives(&mut (0..3)))]),
            Scenario::Life => (1, vec![filled(), closed(lives(&mut (3..14)))]),
            Scenario::FourThreads => {
                let thread = |first: u64| lives(&mut (first..first + 12).step_by(4));
                let threads = (20..24).map(thread).collect();
                let killed = false;
                (0, vec![Phase { threads, killed }])
            }
            Scenario::SecondOpening => (1, vec![filled(), closed(Vec::new()), closed(Vec::new())]),
            Scenario::LargeCommit => (1, vec![filled(), closed(large(with_dag))]),
            Scenario::Collection => {
                let (fill, collect) = collection(with_dag);
                (1, vec![closed(flushed(fill)), closed(collect)])
            }
            Scenario::AfterKill => {
                let first = Phase {
                    threads: vec![lives(&mut (0..7))],
                    killed: true,
                };
                (1, vec![first, closed(lives(&mut (7..11)))])
            }
        };
        Self { phases, from }
    }

    /// Each act with its phase, thread and place in the thread.
    pub(super) fn acts(&self) -> impl Iterator<Item = ((usize, usize), usize, &Act)> {
        self.phases.iter().enumerate().flat_map(|(phase, acts)| {
            let threads = acts.threads.iter().enumerate();
            threads.flat_map(move |(thread, acts)| {
                let acts = acts.iter().enumerate();
                acts.map(move |(at, act)| ((phase, thread), at, act))
            })
        })
    }
}

fn flushed(mut acts: Vec<Act>) -> Vec<Act> {
    acts.push(Act::Flush);
    acts
}

/// Items one after the other, with a flush now and then; the last steps are not flushed.
fn lives(items: &mut dyn Iterator<Item = u64>, with_dag: bool) -> Vec<Act> {
    let mut acts = Vec::new();
    for n in items {
        for step in Item::life(n, with_dag) {
            if acts.len() % (WINDOW + 1) == WINDOW {
                acts.push(Act::Flush);
            }
            acts.push(Act::Make(step, vec![n]));
        }
    }
    acts
}

/// Three of sled's segments of 4 MiB and more in one batch of recipes, and one and more of small blobs.
fn large(with_dag: bool) -> Vec<Act> {
    // The others of these numbers are items of other kinds.
    let items = |first: u64, count: u64| (0..count).map(|n| first + 16 * n).collect();
    let recipes = Act::Make(Step::Insert, items(HEAVY_RECIPES, 86));
    let blobs = Act::Make(Step::Put, items(HEAVY_BLOBS, 600));
    let small = Act::Make(Step::Put, vec![13]);
    let mut acts = vec![blobs, Act::Flush, small];
    if with_dag {
        acts.splice(0..0, [recipes, Act::Flush, Act::Make(Step::Put, vec![14])]);
    }
    acts
}

fn collection(with_dag: bool) -> (Vec<Act>, Vec<Act>) {
    let all: Vec<u64> = (40..56).collect();
    let gone: Vec<u64> = all[2..13].to_vec();
    let each = |step: Step, items: &[u64]| -> Vec<Act> {
        items.iter().map(|n| Act::Make(step, vec![*n])).collect()
    };
    let batch = |step: Step, items: &[u64]| vec![Act::Make(step, items.to_vec())];
    let is_blob =
        |act: &Act| matches!(act, Act::Flush | Act::Make(Step::Put | Step::RemoveBlob, _));
    let mut fill = [
        batch(Step::Put, &all),
        batch(Step::Insert, &all),
        batch(Step::Record, &all),
        each(Step::SetRoot, &all),
    ]
    .concat();
    let mut collect = [
        each(Step::RemoveRoot, &gone),
        batch(Step::Forget, &gone),
        batch(Step::RemoveBlob, &gone),
        vec![Act::Flush],
        batch(Step::Remove, &gone),
        batch(Step::Put, &gone[3..9]),
        vec![Act::Flush],
        batch(Step::Insert, &gone[3..9]),
    ]
    .concat();
    if !with_dag {
        fill.retain(is_blob);
        collect.retain(is_blob);
    }
    (fill, collect)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn no_two_threads_of_a_phase_touch_one_item() {
        for (scenario, with_dag) in Scenario::ALL.iter().flat_map(|s| [(*s, true), (*s, false)]) {
            let script = Script::of(scenario, with_dag);
            let mut owners = BTreeMap::new();
            for ((phase, thread), _, act) in script.acts() {
                let Act::Make(_, items) = act else { continue };
                for n in items {
                    let owner = owners.entry((phase, *n)).or_insert(thread);
                    assert_eq!(*owner, thread, "{scenario}: item {n}");
                }
            }
            assert!(script.from < script.phases.len());
            assert_eq!(scenario.to_string().parse::<Scenario>().unwrap(), scenario);
        }
    }

    #[test]
    fn a_store_without_recipes_is_asked_for_none() {
        for scenario in Scenario::ALL {
            let script = Script::of(scenario, false);
            for (_, _, act) in script.acts() {
                let blob = matches!(act, Act::Flush | Act::Make(Step::Put | Step::RemoveBlob, _));
                assert!(blob, "{scenario}: {act:?}");
            }
        }
    }
}
