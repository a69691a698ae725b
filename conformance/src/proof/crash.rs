//! Kills a process that writes, at random moments and at every failpoint, again and again on one store,
//! and holds what is there afterwards against what was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deriva_backends::failpoints;
use deriva_testkit::SplitMix64;
use futures::executor::block_on;

use super::oracle::Oracle;
use super::writer::{WriterArgs, parse_ack};
use super::{Broken, Stores, uri_in};

/// Items after which a process gives up that waits to reach a failpoint.
const ITEMS_TO_FAILPOINT: u64 = 36;

/// Rounds at the beginning that all end at a failpoint: the first of [`failpoints::ALL`].
const YOUNG: u64 = 4;

/// Kills to be done to one store.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The `conformance` command, which is run as the process that is killed.
    pub program: PathBuf,
    /// The store, as in [`super::uri_in`].
    pub store: String,
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
        let uri = uri_in(&self.store, folder.path())?;
        let done = self.run_in(&uri, progress);
        done.map_err(|broken| Broken::new(format!("{} (seed {}): {broken}", self.store, self.seed)))
    }

    /// Kills processes that tell what the store answered and never flush.
    pub(super) fn run_unflushed(&self) -> Result<(), Broken> {
        let folder = tempfile::tempdir()?;
        let uri = uri_in(&self.store, folder.path())?;
        let mut random = SplitMix64::new(self.seed);
        let mut oracle = Oracle::default();
        for round in 0..self.kills {
            let mut args = WriterArgs::new(&uri);
            args.first = round * 1_000_000;
            args.each = true;
            let moment = Moment {
                acknowledgements: 20 + random.below(100),
                delay: Duration::ZERO,
            };
            self.run_and_kill(&args, moment, &mut oracle)?;
            self.check(&uri, &mut oracle, &args)?;
        }
        Ok(())
    }

    fn run_in(&self, uri: &str, mut progress: impl FnMut(u64)) -> Result<CrashReport, Broken> {
        let mut random = SplitMix64::new(self.seed);
        let mut oracle = Oracle::default();
        let mut report = CrashReport::default();
        // Those that only a young store surely passes come first: its openings, and the folders that it
        // makes once and for all.
        let mut failpoints = failpoints::ALL.iter().copied().cycle();
        let mut round = 0;
        while report.kills() < self.kills {
            let mut args = WriterArgs::new(uri);
            args.first = round * 1_000_000;
            round += 1;
            if round > 3 * self.kills + 100 {
                return Err(Broken::new("the writer ends by itself too often"));
            }
            let by_failpoint = round <= YOUNG || round % 2 == 0;
            let killed = if by_failpoint {
                // One that was missed from the start is not on the way of this store.
                let missed = |name: &&str| report.at_failpoints.get(*name) == Some(&0);
                let name = failpoints.find(|name| !missed(name));
                let name = name.unwrap_or(failpoints::OPEN_MARKED);
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
            self.check(uri, &mut oracle, &args)?;
            if killed {
                progress(report.kills());
            }
        }
        report.acknowledged = oracle.steps() as u64;
        report.items = oracle.len() as u64;
        Ok(report)
    }

    /// Opens the store twice: what the first opening finds, the second finds too.
    fn check(&self, uri: &str, oracle: &mut Oracle, args: &WriterArgs) -> Result<(), Broken> {
        for opening in ["first", "second"] {
            let checked = block_on(async {
                let stores = Stores::open(uri).await?;
                oracle.check(&stores).await
            });
            checked.map_err(|broken| {
                let when = args.die_at.as_deref().unwrap_or("a random moment");
                let first = args.first;
                Broken::new(format!(
                    "{opening} opening after a kill at {when} (items from {first}): {broken}"
                ))
            })?;
        }
        Ok(())
    }

    fn spawn(&self, args: &WriterArgs) -> Result<Child, Broken> {
        let mut command = Command::new(&self.program);
        command.args(args.to_command_line()).stdout(Stdio::piped());
        Ok(command.stdin(Stdio::null()).spawn()?)
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

/// The lines of a child.
struct Lines(BufReader<std::process::ChildStdout>);

impl Lines {
    fn of(child: &mut Child) -> Result<Self, Broken> {
        let output = child.stdout.take();
        let output = output.ok_or_else(|| Broken::new("the writer has no output"))?;
        Ok(Self(BufReader::new(output)))
    }

    /// The next whole line. A kill may cut the last one short.
    fn next(&mut self) -> Result<Option<String>, Broken> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.strip_suffix('\n').map(str::to_owned))
    }

    /// Notes all acknowledgements that follow; answers whether the child told that it dies.
    fn note_all(&mut self, oracle: &mut Oracle) -> Result<bool, Broken> {
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
