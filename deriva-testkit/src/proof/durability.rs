//! Which durability class a store proves, whatever it declares.

use std::collections::{BTreeMap, BTreeSet};

use deriva_api::DurabilityClass;
use futures::executor::block_on;

use super::Broken;
use super::crash::Crash;
use super::store::Prover;
use super::trace::{self, Request};
use super::writer::WriterArgs;

/// Kills of a proof.
const KILLS: u64 = 6;
/// Items that are written under the eyes of `strace`: of each kind at least one.
const TRACED: u64 = 13;

/// What was found of a store's durability.
#[derive(Clone, Debug)]
pub struct Proved {
    /// What the store says of itself.
    pub declared: DurabilityClass,
    /// What was seen: a killed process lost nothing, and every acknowledgement waited until what had
    /// been written was synced. Without `strace` at most [`DurabilityClass::ProcessCrash`].
    pub class: DurabilityClass,
    /// Whether system calls could be watched. If not, the class may be higher than proved.
    pub traced: bool,
    /// What was done and seen, in words.
    pub evidence: String,
}

impl Proved {
    /// Whether the store promises no more than it was seen to keep, as far as that could be seen.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        match self.traced {
            true => self.declared <= self.class,
            false => self.declared.min(DurabilityClass::ProcessCrash) <= self.class,
        }
    }
}

/// What acknowledgements of one kind waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The call: `put small`, `put large`, `insert`...
    pub call: &'static str,
    /// The syncs that every acknowledgement of this kind waited for: `fdatasync sled/db`.
    pub waited_for: BTreeSet<String>,
    /// Files and names that some acknowledgement of this kind left unsynced.
    pub unsynced: BTreeSet<String>,
}

impl Prover {
    /// Kills and traces processes that write to the store; takes a few seconds.
    ///
    /// # Errors
    /// What keeps it from being found out.
    pub fn durability(&self) -> Result<Proved, Broken> {
        let folder = tempfile::tempdir()?;
        let place = self.place(folder.path())?;
        let declared = block_on(self.open(&place))?.blobs.capabilities().durability;
        let mut proved = Proved {
            declared,
            class: DurabilityClass::None,
            traced: true,
            evidence: String::new(),
        };
        let crash = Crash {
            prover: self.clone(),
            kills: KILLS,
            seed: 1,
        };
        match crash.run_unflushed() {
            Ok(()) => proved.class = DurabilityClass::ProcessCrash,
            Err(broken) => {
                proved.evidence = format!("a killed process lost acknowledged writes: {broken}");
                return Ok(proved);
            }
        }
        let survived = format!("nothing lost in {KILLS} kills");
        proved.evidence = match self.waits()? {
            Err(why) => {
                proved.traced = false;
                format!("{survived}; power loss NOT CHECKED: {why}")
            }
            Ok(waits) => {
                let is_flush = |waits: &&Waits| waits.call == "flush";
                let calls = || waits.iter().filter(|waits| !is_flush(waits));
                if calls().all(|waits| waits.unsynced.is_empty()) {
                    proved.class = DurabilityClass::PowerLoss;
                }
                let seen = calls().map(|waits| format!("{} {}", waits.call, waits.said()));
                format!("{survived}; {}", seen.collect::<Vec<_>>().join("; "))
            }
        };
        Ok(proved)
    }

    /// What each kind of call waits for, by `strace`; the inner error says why that could not be watched.
    ///
    /// # Errors
    /// What keeps it from being found out, but for a missing or forbidden `strace`.
    pub fn waits(&self) -> Result<Result<Vec<Waits>, String>, Broken> {
        let folder = tempfile::tempdir()?;
        // As strace prints it.
        let path = folder.path().canonicalize()?;
        let mut args = WriterArgs::new(&self.place(&path)?);
        args.items = TRACED;
        args.threads = 1;
        args.each = true;
        args.flush = true;
        let requests = trace::run(self, &args)?;
        Ok(requests.map(|requests| gather(&requests)))
    }
}

impl Waits {
    /// In words.
    #[must_use]
    pub fn said(&self) -> String {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let waited = match self.waited_for.is_empty() {
            true => "waits for nothing".to_owned(),
            false => format!("waits for {}", list(&self.waited_for)),
        };
        match self.unsynced.is_empty() {
            true => waited,
            false => format!("{waited}, leaves unsynced {}", list(&self.unsynced)),
        }
    }
}

const CALLS: &[(&str, &str)] = &[
    ("Insert", "insert"),
    ("Record", "record"),
    ("SetRoot", "set_root"),
    ("RemoveRoot", "remove_root"),
    ("Forget", "forget"),
    ("Remove", "remove"),
    ("RemoveBlob", "remove blob"),
    ("Flush", "flush"),
];

fn gather(requests: &[Request]) -> Vec<Waits> {
    let mut waits: BTreeMap<&'static str, Waits> = BTreeMap::new();
    for request in requests {
        let (step, len) = request.what.split_once(' ').unwrap_or((&request.what, "0"));
        let large = len.parse::<usize>().is_ok_and(|len| len > 10_000);
        let call = match step {
            "Put" if large => "put large",
            "Put" => "put small",
            _ => CALLS
                .iter()
                .find(|(name, _)| *name == step)
                .map_or("other", |(_, call)| call),
        };
        let waited: BTreeSet<String> = request.waited_for.iter().cloned().collect();
        let known = waits.entry(call).or_insert_with(|| Waits {
            call,
            waited_for: waited.clone(),
            unsynced: BTreeSet::new(),
        });
        // A new folder is synced once; what every call waits for is what stays.
        known.waited_for.retain(|sync| waited.contains(sync));
        known.unsynced.extend(request.unsynced.iter().cloned());
    }
    waits.into_values().collect()
}
