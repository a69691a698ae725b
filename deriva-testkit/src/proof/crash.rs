//! Kills a process that writes, at random moments and at every failpoint, again and again on one store,
//! and holds what is there afterwards against what was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use futures::executor::block_on;

use super::Broken;
use super::oracle::Oracle;
use super::program::told;
use super::store::Prover;
use super::writer::{WriterArgs, parse_ack};
use crate::SplitMix64;

/// Items after which a process gives up that waits to reach a failpoint.
const ITEMS_TO_FAILPOINT: u64 = 36;

/// Rounds at the beginning that all end at a failpoint: the first of those that the store has.
const YOUNG: u64 = 4;

/// Kills to be done to one store.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The store.
    pub prover: Prover,
    /// How many kills. A round whose process ended by itself, because it did not come to the
    /// failpoint, is not counted.
    pub kills: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// What was done, and found good.
#[derive(Clone, Debug, Default)]
pub struct CrashReport {
    /// Kills at random moments.
    pub at_random: u64,
    /// Kills by failpoint.
    pub at_failpoints: BTreeMap<&'static str, u64>,
    /// Steps that were acknowledged, all rounds together.
    pub acknowledged: u64,
    /// Items that the store held or had held in the end.
    pub items: u64,
}

impl CrashReport {
    /// All kills.
    #[must_use]
    pub fn kills(&self) -> u64 {
        self.at_random + self.at_failpoints.values().sum::<u64>()
    }
}

impl Crash {
    /// Does it in a new folder, telling `progress` the number of kills so far.
    ///
    /// # Errors
    /// What was found broken.
    pub fn run(&self, progress: impl FnMut(u64)) -> Result<CrashReport, Broken> {
        let folder = tempfile::tempdir()?;
        let done = self.run_in(&self.prover.place(folder.path())?, progress);
        let name = self.prover.store.name();
        done.map_err(|broken| Broken::new(format!("{name} (seed {}): {broken}", self.seed)))
    }

    /// Kills processes that tell what the store answered and never flush.
    pub(super) fn run_unflushed(&self) -> Result<(), Broken> {
        let folder = tempfile::tempdir()?;
        let place = self.prover.place(folder.path())?;
        let mut random = SplitMix64::new(self.seed);
        let mut oracle = Oracle::default();
        for round in 0..self.kills {
            let mut args = WriterArgs::new(&place);
            args.first = round * 1_000_000;
            args.each = true;
            let moment = Moment {
                acknowledgements: 20 + random.below(100),
                delay: Duration::ZERO,
            };
            self.run_and_kill(&args, moment, &mut oracle)?;
            self.check(&mut oracle, &args)?;
        }
        Ok(())
    }

    fn run_in(&self, place: &Path, mut progress: impl FnMut(u64)) -> Result<CrashReport, Broken> {
        let mut random = SplitMix64::new(self.seed);
        let mut oracle = Oracle::default();
        let mut report = CrashReport::default();
        // Those that only a young store surely passes come first: its openings, and the folders that it
        // makes once and for all.
        let names = self.prover.store.failpoints();
        let mut next = names.iter().copied().cycle();
        let mut round = 0;
        while report.kills() < self.kills {
            let mut args = WriterArgs::new(place);
            args.first = round * 1_000_000;
            round += 1;
            if round > 3 * self.kills + 100 {
                return Err(Broken::new("the writer ends by itself too often"));
            }
            // One that was missed from the start is not on the way of this store.
            let missed = |name: &&str| report.at_failpoints.get(*name) == Some(&0);
            let by_failpoint = round <= YOUNG || round % 2 == 0;
            let mut turn = next.by_ref().take(names.len());
            let name = turn.find(|name| !missed(name)).filter(|_| by_failpoint);
            let killed = if let Some(name) = name {
                args.items = ITEMS_TO_FAILPOINT;
                args.die_at = Some(name.to_owned());
                let kills = report.at_failpoints.entry(name).or_default();
                // At first where it is surely reached, later deeper in.
                args.passes = if *kills == 0 { 0 } else { random.below(4) };
                let killed = self.run_to_failpoint(&args, &mut oracle)?;
                *kills += u64::from(killed);
                killed
            } else {
                let moment = Moment::any(&mut random);
                self.run_and_kill(&args, moment, &mut oracle)?;
                report.at_random += 1;
                true
            };
            self.check(&mut oracle, &args)?;
            if killed {
                progress(report.kills());
            }
        }
        report.acknowledged = oracle.steps() as u64;
        report.items = oracle.len() as u64;
        Ok(report)
    }

    fn check(&self, oracle: &mut Oracle, args: &WriterArgs) -> Result<(), Broken> {
        let when = args.die_at.as_deref().unwrap_or("a random moment");
        let when = format!("a kill at {when} (items from {})", args.first);
        check(&self.prover, &args.place, oracle, &when)
    }

    fn spawn(&self, args: &WriterArgs) -> Result<Child, Broken> {
        Ok(self.prover.program.command(&args.job()).spawn()?)
    }

    fn run_and_kill(
        &self,
        args: &WriterArgs,
        moment: Moment,
        oracle: &mut Oracle,
    ) -> Result<(), Broken> {
        let mut child = self.spawn(args)?;
        let mut lines = Lines::of(&mut child)?;
        let mut told = 0;
        while told < moment.acknowledgements {
            match lines.next()? {
                Some(line) => {
                    if let Some((n, steps)) = parse_ack(&line) {
                        oracle.acknowledge(n, steps);
                        told += 1;
                    }
                }
                None => return Err(Broken::new(format!("the writer ended: {}", child.wait()?))),
            }
        }
        std::thread::park_timeout(moment.delay);
        child.kill()?;
        // What it wrote before it died counts.
        lines.note_all(oracle)?;
        child.wait()?;
        Ok(())
    }

    /// Answers whether the process came to its failpoint.
    fn run_to_failpoint(&self, args: &WriterArgs, oracle: &mut Oracle) -> Result<bool, Broken> {
        let mut child = self.spawn(args)?;
        let died = Lines::of(&mut child)?.note_all(oracle)?;
        let status = child.wait()?;
        match died || status.success() {
            true => Ok(died),
            false => Err(Broken::new(format!("the writer ended: {status}"))),
        }
    }
}

/// Opens the store twice: what the first opening finds, the second finds too.
pub(super) fn check(
    prover: &Prover,
    place: &Path,
    oracle: &mut Oracle,
    when: &str,
) -> Result<(), Broken> {
    for opening in ["first", "second"] {
        let checked = block_on(async {
            let stores = prover.open(place).await?;
            oracle.check(&stores).await
        });
        checked
            .map_err(|broken| Broken::new(format!("{opening} opening after {when}: {broken}")))?;
    }
    Ok(())
}

/// When to kill.
struct Moment {
    acknowledgements: u64,
    delay: Duration,
}

impl Moment {
    /// One in four falls into the opening, the others between and during writes.
    fn any(random: &mut SplitMix64) -> Self {
        match random.below(4) {
            0 => Self {
                acknowledgements: 0,
                delay: Duration::from_micros(random.below(60_000)),
            },
            _ => Self {
                acknowledgements: 1 + random.below(100),
                delay: Duration::from_micros(random.below(2_000)),
            },
        }
    }
}

/// The lines of a writer.
pub(super) struct Lines(BufReader<std::process::ChildStdout>);

impl Lines {
    pub(super) fn of(child: &mut Child) -> Result<Self, Broken> {
        let output = child.stdout.take();
        let output = output.ok_or_else(|| Broken::new("the writer has no output"))?;
        Ok(Self(BufReader::new(output)))
    }

    /// The next whole line that the writer told. A kill may cut the last one short.
    pub(super) fn next(&mut self) -> Result<Option<String>, Broken> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let Some(whole) = line.strip_suffix('\n') else {
                return Ok(None);
            };
            if let Some(said) = told(whole) {
                return Ok(Some(said.to_owned()));
            }
        }
    }

    /// Notes all acknowledgements that follow; answers whether the child told that it dies.
    pub(super) fn note_all(&mut self, oracle: &mut Oracle) -> Result<bool, Broken> {
        let mut died = false;
        while let Some(line) = self.next()? {
            died |= line == "died";
            if let Some((n, steps)) = parse_ack(&line) {
                oracle.acknowledge(n, steps);
            }
        }
        Ok(died)
    }
}

/// For messages: where the store of a report lies is no part of it.
impl std::fmt::Display for CrashReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at_failpoints: u64 = self.at_failpoints.values().sum();
        let reached = self
            .at_failpoints
            .values()
            .filter(|kills| **kills > 0)
            .count();
        write!(
            f,
            "{} kills ({} at random moments, {at_failpoints} at {reached} failpoints), \
             {} acknowledged steps of {} items, nothing lost, nothing half",
            self.kills(),
            self.at_random,
            self.acknowledged,
            self.items
        )
    }
}
