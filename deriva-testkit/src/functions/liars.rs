//! Functions that break the promise, each in a way of its own: to see what checks catch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deriva_api::{Bytes, ComputeFunction, Error, ErrorKind, Result, Weight};
use parking_lot::Mutex;

use super::function;

/// A function that is not what it promises.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Liar {
    /// The function.
    pub function: Arc<dyn ComputeFunction>,
    /// What it looks at, in a few words.
    pub looks_at: &'static str,
    /// Where its lie shows.
    pub shows: Shows,
    /// In which repeated runs that is left to chance.
    pub by_chance: ByChance,
    /// Why it shows there and not elsewhere, in a few words.
    pub why: &'static str,
}

/// Where a lie shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shows {
    /// In any two runs of one process.
    Always,
    /// In two runs of one process, where one of them is perturbed: in another thread, at another depth of the stack, in another
    /// folder, with its inputs at another place.
    Perturbed,
    /// In no two runs of one process under the same conditions: in another process with another environment, or later.
    Elsewhere,
}

/// In which repeated runs of one process it is left to chance whether a lie shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ByChance {
    /// In none.
    Nowhere,
    /// In those of a heavy function that are not perturbed.
    HeavyUnperturbed,
    /// In those that are not perturbed.
    Unperturbed,
    /// In all but the perturbed ones of a heavy function.
    UnlessHeavyAndPerturbed,
    /// In all.
    Everywhere,
}

impl ByChance {
    fn holds(self, weight: Weight, perturbed: bool) -> bool {
        let is_heavy = weight == Weight::Heavy;
        match self {
            Self::Nowhere => false,
            Self::HeavyUnperturbed => is_heavy && !perturbed,
            Self::Unperturbed => !perturbed,
            Self::UnlessHeavyAndPerturbed => !(is_heavy && perturbed),
            Self::Everywhere => true,
        }
    }
}

impl Liar {
    fn new(
        id: &str,
        looks_at: &'static str,
        shows: Shows,
        call: impl Fn(&[Bytes]) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<Self> {
        let why = match shows {
            Shows::Always => "any two runs differ",
            Shows::Perturbed => "repeated runs are alike where they are not perturbed",
            Shows::Elsewhere => "all runs of a process see the same",
        };
        Ok(Self {
            function: function(id, move |inputs, _| call(inputs))?,
            looks_at,
            shows,
            by_chance: ByChance::Nowhere,
            why,
        })
    }

    fn but(self, by_chance: ByChance, why: &'static str) -> Self {
        Self {
            by_chance,
            why,
            ..self
        }
    }

    fn because(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    /// Whether its lie shows in two runs of one process, as a function of this weight, the second one perturbed or not;
    /// `None` where that is left to chance.
    #[must_use]
    pub fn is_seen(&self, weight: Weight, perturbed: bool) -> Option<bool> {
        if self.by_chance.holds(weight, perturbed) {
            return None;
        }
        Some(match self.shows {
            Shows::Always => true,
            Shows::Perturbed => perturbed,
            Shows::Elsewhere => false,
        })
    }
}

/// All of them, under names that begin with `liar.`: any number of inputs, no params.
#[must_use]
pub fn liars() -> Vec<Liar> {
    use Shows::{Always, Elsewhere, Perturbed};
    let (calls, attempts) = (AtomicU64::new(0), AtomicU64::new(0));
    let buffer = Mutex::new(Vec::new());
    // These names are good.
    let all = [
        Liar::new(
            "liar.monotonic-clock/1",
            "the monotonic clock",
            Always,
            |_| Ok(instant().into()),
        ),
        Liar::new("liar.wall-clock/1", "the wall clock", Always, |_| {
            Ok(since_1970().as_nanos().to_string().into())
        }),
        Liar::new(
            "liar.milliseconds/1",
            "a clock of milliseconds",
            Perturbed,
            |_| Ok(since_1970().as_millis().to_string().into()),
        )
        .map(|liar| {
            let why = "two runs may begin in one millisecond; perturbed heavy ones do not";
            liar.but(ByChance::UnlessHeavyAndPerturbed, why)
        }),
        Liar::new("liar.date/1", "the date", Elsewhere, |_| {
            Ok((since_1970().as_secs() / 86_400).to_string().into())
        })
        .map(|liar| liar.because("all runs are of one day: audit on another")),
        Liar::new("liar.random/1", "random numbers", Always, |_| {
            Ok(random().to_string().into())
        }),
        Liar::new("liar.hash-map/1", "the order of a hash map", Always, |_| {
            // So many that two orders are never alike.
            let all: HashMap<u32, ()> = (0..100).map(|i| (i, ())).collect();
            Ok(format!("{all:?}").into())
        }),
        Liar::new("liar.counter/1", "a global counter", Always, move |_| {
            Ok(calls.fetch_add(1, Ordering::Relaxed).to_string().into())
        }),
        Liar::new(
            "liar.buffer/1",
            "a buffer that is not cleared",
            Always,
            move |inputs| {
                let mut buffer = buffer.lock();
                buffer.extend_from_slice(&inputs.concat());
                buffer.push(b'.');
                Ok(buffer.clone().into())
            },
        ),
        Liar::new("liar.thread/1", "the thread", Perturbed, |_| {
            Ok(format!("{:?}", std::thread::current().id()).into())
        })
        .map(|liar| {
            let why = "a pool has several threads; light functions are repeated in the same";
            liar.but(ByChance::HeavyUnperturbed, why)
        }),
        Liar::new(
            "liar.thread-local/1",
            "what its thread did before",
            Perturbed,
            |_| {
                thread_local!(static SEEN: RefCell<u64> = const { RefCell::new(0) });
                let name = std::thread::current().name().unwrap_or("").to_owned();
                let seen = SEEN.with_borrow_mut(|seen| std::mem::replace(seen, *seen + 1));
                Ok(format!("{seen} in {name}").into())
            },
        )
        .map(|liar| {
            let why = "a repeated run may go on in any thread; a perturbed one has a new one";
            liar.but(ByChance::Unperturbed, why)
        }),
        Liar::new(
            "liar.input-address/1",
            "where its input lies in memory",
            Perturbed,
            |inputs| Ok(format!("{:?}", inputs.concat_addresses()).into()),
        )
        .map(|liar| liar.because("perturbed runs have copies of the inputs")),
        Liar::new(
            "liar.stack-address/1",
            "the depth of the stack",
            Perturbed,
            |_| {
                let here = 0u8;
                Ok(std::ptr::from_ref(&here).addr().to_string().into())
            },
        )
        .map(|liar| {
            let why = "a repeated run may be called at another depth; a perturbed one is";
            liar.but(ByChance::Unperturbed, why)
        }),
        Liar::new(
            "liar.float-sum/1",
            "the order in which threads end",
            Always,
            |_| Ok(sum_as_they_end().to_bits().to_string().into()),
        )
        .map(|liar| {
            let why = "two orders may give one sum";
            liar.but(ByChance::Everywhere, why)
        }),
        Liar::new("liar.folder/1", "the current folder", Perturbed, |_| {
            let folder = std::env::current_dir().map_err(Error::io)?;
            Ok(folder.display().to_string().into())
        })
        .map(|liar| liar.because("perturbed runs go on in another folder, on Linux")),
        Liar::new(
            "liar.environment/1",
            "an environment variable",
            Elsewhere,
            |_| Ok(variable("DERIVA_LIAR").into()),
        )
        .map(|liar| liar.because("the environment is that of the process: run elsewhere")),
        Liar::new("liar.locale/1", "the locale", Elsewhere, |_| {
            Ok(format!("{} {}", variable("LC_ALL"), variable("LANG")).into())
        })
        .map(|liar| liar.because("the locale is that of the process: run elsewhere")),
        Liar::new("liar.time-zone/1", "the time zone", Elsewhere, |_| {
            Ok(variable("TZ").into())
        })
        .map(|liar| liar.because("the time zone is that of the process: run elsewhere")),
        Liar::new(
            "liar.second-failure/1",
            "how often it was called: every other call fails",
            Always,
            move |_| match attempts.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => Ok("well".into()),
                _ => Err(Error::new(ErrorKind::Function, "the second time")),
            },
        ),
    ];
    all.into_iter().flatten().collect()
}

/// A liar that answers with what a file holds.
///
/// # Errors
/// None: the name is good.
pub fn reads_a_file(path: PathBuf) -> Result<Liar> {
    Liar::new(
        "liar.file/1",
        "a file that changes",
        Shows::Elsewhere,
        move |_| std::fs::read(&path).map(Bytes::from).map_err(Error::io),
    )
    .map(|liar| liar.because("all runs read the same, as long as nobody writes: audit later"))
}

/// A liar of two answers: the other one with this probability, from 0 to 1. Which one is random, as the seed has it; `id` is
/// its name.
///
/// # Errors
/// `Invalid` when `id` is no name of a function.
pub fn coin(id: &str, probability: f64, seed: u64) -> Result<Arc<dyn ComputeFunction>> {
    let random = Mutex::new(crate::SplitMix64::new(seed));
    function(id, move |inputs, _| {
        let drawn = random.lock().next_u64() as f64 / u64::MAX as f64;
        let side = if drawn < probability {
            "tails"
        } else {
            "heads"
        };
        Ok([&inputs.concat(), side.as_bytes()].concat().into())
    })
}

trait Addresses {
    fn concat_addresses(&self) -> Vec<usize>;
}

impl Addresses for &[Bytes] {
    fn concat_addresses(&self) -> Vec<usize> {
        self.iter().map(|input| input.as_ptr().addr()).collect()
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// Floats that are added up as threads come with them: the sum depends on the order.
#[allow(
    clippy::disallowed_methods,
    reason = "it is work of unknown length, in a thread of its own"
)]
fn sum_as_they_end() -> f64 {
    let (sender, receiver) = std::sync::mpsc::channel();
    let parts = [1e16, 1.0, -1e16, 3.0, 1e-3, 2e16, -2e16, 7.0];
    for part in parts {
        let sender = sender.clone();
        let work = move || {
            // As long as the work takes, which nobody knows.
            std::thread::sleep(Duration::from_micros(random() % 500));
            // Nobody listens any more where the sum was given up.
            let _ = sender.send(part);
        };
        // Without a thread its part is missing, which is no better.
        let _ = std::thread::Builder::new().spawn(work);
    }
    drop(sender);
    receiver.iter().sum()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a function that looks at the clock is what this one is for"
)]
fn instant() -> String {
    format!("{:?}", std::time::Instant::now())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a function that looks at the clock is what this one is for"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use deriva_api::Params;

    use super::*;

    #[test]
    fn what_always_shows_shows_in_two_calls() {
        for Liar {
            function, shows, ..
        } in liars()
        {
            // Two of them may be alike by chance.
            let call = || function.call(&[Bytes::from_static(b"x")], &Params::new());
            let answers: HashSet<_> = (0..20)
                .map(|_| call().map_err(|error| error.kind()))
                .collect();
            match shows {
                Shows::Always => assert!(answers.len() > 1, "{function:?}"),
                Shows::Elsewhere => assert_eq!(answers.len(), 1, "{function:?}"),
                Shows::Perturbed => {}
            }
        }
    }

    #[test]
    fn names_are_distinct_and_a_coin_falls_as_often_as_it_says() {
        let names: HashSet<_> = liars()
            .iter()
            .map(|liar| liar.function.id().clone())
            .collect();
        assert_eq!(names.len(), liars().len());
        let coin = coin("coin/1", 0.1, 7).unwrap();
        let tails = (0..10_000)
            .filter(|_| coin.call(&[], &Params::new()).unwrap() == "tails")
            .count();
        assert!((900..1100).contains(&tails), "{tails}");
    }
}
