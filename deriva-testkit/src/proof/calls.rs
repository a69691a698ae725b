//! Kills a process within its calls: at system calls that change a file, and at random moments between the
//! begin of a call and its answer. Each step must be there as a whole, or not at all.
//!
//! `strace` counts the calls of each thread by themselves. With one thread that writes, every call is met; with more,
//! the first thread that comes to a number. The states between all calls are those of [`crate::power`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use deriva_api::{Clock, DurabilityClass, SystemClock};
use futures::executor::block_on;

use super::Broken;
use super::crash::{Lines, check};
use super::oracle::Oracle;
use super::program::MARK;
use super::store::Prover;
use super::writer::{WriterArgs, parse_ack};
use crate::SplitMix64;

/// The item whose life is cut at every system call: of those with a wide batch, and with every kind of step.
const CUT: u64 = 1047;
/// Calls that change what a killed process leaves, as far as the system is asked.
const CHANGES: &str = "write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,\
    copy_file_range,openat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat";

/// Kills to be done within calls.
#[derive(Clone, Debug)]
pub struct Calls {
    /// The store.
    pub prover: Prover,
    /// How many kills at the most of either sort. Where a life has more system calls, this many are taken that
    /// lie evenly in it.
    pub kills: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// What was done, and found good.
#[derive(Clone, Debug, Default)]
pub struct CallsReport {
    /// Kills at a system call that changes a file of the store.
    pub at_system_calls: u64,
    /// Such system calls in the life that was cut.
    pub system_calls: u64,
    /// Kills at random moments after the begin of a call.
    pub at_random: u64,
    /// Of these, kills before the answer.
    pub within: u64,
    /// Why no kill was at a system call.
    pub not_checked: Option<String>,
}

/// A system call: the `n`th of its name in its thread.
type Place = (String, u64);

impl Calls {
    /// Does it.
    ///
    /// # Errors
    /// What was found broken.
    pub fn run(&self) -> Result<CallsReport, Broken> {
        let mut report = CallsReport::default();
        let done = self.cut(&mut report).and_then(|()| self.kill(&mut report));
        let name = self.prover.store.name();
        match done {
            Ok(()) => Ok(report),
            Err(broken) => Err(Broken::new(format!(
                "{name} (seed {}): {broken}",
                self.seed
            ))),
        }
    }

    /// A life, each time on a new store, that ends at another system call.
    fn cut(&self, report: &mut CallsReport) -> Result<(), Broken> {
        let places = match self.places()? {
            Err(why) => {
                report.not_checked = Some(why);
                return Ok(());
            }
            Ok(places) => places,
        };
        report.system_calls = places.len() as u64;
        let taken = self.kills.min(report.system_calls);
        for number in 0..taken {
            let (name, n) = &places[(number * report.system_calls / taken) as usize];
            let folder = tempfile::tempdir()?;
            let args = self.args(folder.path())?;
            let inject = format!("inject={name}:signal=KILL:when={n}");
            let under = strace(
                &format!("trace={name}"),
                &["-e", &inject],
                Path::new("/dev/null"),
            );
            let mut child = self
                .prover
                .program
                .command_under(&under, &args.job())
                .spawn()?;
            let mut oracle = Oracle::default();
            Lines::of(&mut child)?.note_all(&mut oracle)?;
            let ended = child.wait()?.success();
            let when = format!("a kill at {name} number {n}");
            check(&self.prover, &args.place, &mut oracle, &when)?;
            report.at_system_calls += u64::from(!ended);
        }
        Ok(())
    }

    fn args(&self, folder: &Path) -> Result<WriterArgs, Broken> {
        let mut args = WriterArgs::new(&self.prover.place(folder)?);
        args.first = CUT;
        args.items = 1;
        args.threads = 1;
        Ok(args)
    }

    /// Where that life changes files; the inner error says why that cannot be watched.
    fn places(&self) -> Result<Result<Vec<Place>, String>, Broken> {
        let folder = tempfile::tempdir()?;
        // As strace prints it.
        let args = self.args(&folder.path().canonicalize()?)?;
        let log = folder.path().join("calls");
        let under = strace(&format!("trace={CHANGES}"), &["-y", "-s", "64"], &log);
        let output = match self
            .prover
            .program
            .command_under(&under, &args.job())
            .output()
        {
            Err(error) => return Ok(Err(format!("strace does not run: {error}"))),
            Ok(output) => output,
        };
        let text = std::fs::read(&log).unwrap_or_default();
        let places = places(&String::from_utf8_lossy(&text), &args.place);
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        match (output.status.success(), places.is_empty()) {
            (true, false) => Ok(Ok(places)),
            (true, true) => Ok(Err("strace saw no call that changes a file".to_owned())),
            (false, _) if text.windows(MARK.len()).any(|at| at == MARK.as_bytes()) => {
                Err(Broken::new(format!("the traced writer failed: {said}")))
            }
            (false, _) => Ok(Err(format!("strace cannot trace here: {said}"))),
        }
    }

    /// Kills at random moments within calls, again and again on one store.
    fn kill(&self, report: &mut CallsReport) -> Result<(), Broken> {
        let folder = tempfile::tempdir()?;
        let place = self.prover.place(folder.path())?;
        let declared = block_on(self.prover.open(&place))?
            .blobs
            .capabilities()
            .durability;
        let mut random = SplitMix64::new(self.seed);
        let mut oracle = Oracle::default();
        let mut took = BTreeMap::new();
        for round in 0..self.kills {
            let mut args = WriterArgs::new(&place);
            args.first = CUT + 1 + round * 1000;
            args.threads = 1;
            // Where only a flush makes durable, what was answered before is no promise.
            args.each = declared > DurabilityClass::None;
            report.within +=
                u64::from(self.kill_one(&args, &mut random, &mut took, &mut oracle)?);
            report.at_random += 1;
            check(&self.prover, &place, &mut oracle, "a kill within a call")?;
        }
        Ok(())
    }

    /// Kills one process after the begin of a call, within the time that such a call took before; answers whether
    /// the call was not answered.
    fn kill_one(
        &self,
        args: &WriterArgs,
        random: &mut SplitMix64,
        took: &mut BTreeMap<String, Duration>,
        oracle: &mut Oracle,
    ) -> Result<bool, Broken> {
        let mut child = self.prover.program.command(&args.job()).spawn()?;
        let mut lines = Lines::of(&mut child)?;
        let mut calls_before = random.below(60);
        let clock = SystemClock::new();
        let mut began = (String::new(), Duration::ZERO);
        let call = loop {
            let Some(line) = lines.next()? else {
                return Err(Broken::new(format!("the writer ended: {}", child.wait()?)));
            };
            if let Some((n, steps)) = parse_ack(&line) {
                oracle.acknowledge(n, steps);
                took.insert(began.0.clone(), clock.now().saturating_sub(began.1));
                if !args.each && calls_before == 0 {
                    break began.0;
                }
                calls_before = calls_before.saturating_sub(1);
            } else if let Some(what) = line.strip_prefix("begin ") {
                began = (
                    what.split(' ').next().unwrap_or_default().to_owned(),
                    clock.now(),
                );
                if calls_before == 0 {
                    break began.0;
                }
            }
        };
        let usual = took.get(&call).copied().unwrap_or(Duration::from_millis(2));
        let within = random.below(1 + usual.as_micros() as u64);
        std::thread::park_timeout(Duration::from_micros(within));
        child.kill()?;
        let before = oracle.steps();
        lines.note_all(oracle)?;
        child.wait()?;
        Ok(oracle.steps() == before)
    }
}

fn strace(trace: &str, more: &[&str], log: &Path) -> Vec<OsString> {
    let options = ["strace", "-f", "-qq", "-e", "signal=none", "-e", trace];
    let options = options.iter().chain(more).chain(&["-o"]);
    let mut under: Vec<OsString> = options.map(OsString::from).collect();
    under.push(log.into());
    under
}

/// The system calls of a trace that name something below `store`, in order. `strace` counts calls by thread and
/// name, and so do we.
fn places(trace: &str, store: &Path) -> Vec<Place> {
    let store = store.display().to_string();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut places = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, args)) = call.trim_start().split_once('(') else {
            continue;
        };
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        let changes = args.contains(&store) && (name != "openat" || args.contains("O_CREAT"));
        if changes && known.insert((name, *count)) {
            places.push((name.to_owned(), *count));
        }
    }
    places
}

impl fmt::Display for CallsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.not_checked {
            None => write!(
                f,
                "{} kills at {} system calls that change files",
                self.at_system_calls, self.system_calls
            )?,
            Some(why) => write!(f, "kills at system calls NOT CHECKED: {why}")?,
        }
        write!(
            f,
            ", {} at random moments, {} of them within a call; every step whole or not there",
            self.at_random, self.within
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_thread_and_name_as_strace_does() {
        let trace = [
            r#"1  openat(AT_FDCWD</>, "/etc/x", O_RDONLY) = 3</etc/x>"#,
            r#"1  openat(AT_FDCWD</>, "/s/db", O_RDWR|O_CREAT, 0644) = 3</s/db>"#,
            r#"1  write(1</dev/null>, "deriva-proof ack 0 1\n", 12) = 12"#,
            r#"2  write(3</s/db>, "x", 1 <unfinished ...>"#,
            r#"1  write(3</s/db>, "x", 1) = 1"#,
            "2  <... write resumed>) = 1",
            r#"1  write(3</s/db>, "x", 1) = 1"#,
        ];
        let found = places(&trace.join("\n"), Path::new("/s"));
        let expected = [("openat", 2), ("write", 1), ("write", 2), ("write", 3)];
        assert_eq!(found, expected.map(|(name, n)| (name.to_owned(), n)));
    }
}
