//! Children that fill a store and read all of it, so that whatever happens to them is an answer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Broken;
use super::program::told;
use super::reader::{ReaderArgs, Verdict};
use super::store::Prover;
use super::writer::WriterArgs;

/// How long a reader may be silent. It reads a few hundred rows.
const PATIENCE: Duration = Duration::from_secs(30);

impl Prover {
    /// Writes `items` items to the end of their lives into the store at `place`, one after the other, and closes
    /// the store, or is `killed` before.
    ///
    /// # Errors
    /// What the store said.
    pub fn fill(&self, place: &Path, items: u64, killed: bool) -> Result<(), Broken> {
        let mut args = WriterArgs::new(place);
        args.items = items;
        args.threads = 1;
        args.die_at_end = killed;
        let mut command = self.program.command(&args.job());
        let status = command.stdout(Stdio::null()).status()?;
        match killed || status.success() {
            true => Ok(()),
            false => Err(Broken::new(format!("the store was not filled: {status}"))),
        }
    }

    /// Reads a store of `items` items in every way there is, and writes on. Answers with everything that
    /// was not answered as it should be; nothing, for a store that is as it was filled.
    ///
    /// # Errors
    /// A reader that dies or hangs.
    pub fn read_all(&self, place: &Path, items: u64) -> Result<Vec<String>, Broken> {
        let mut wrong = Vec::new();
        read(self, place, items, |line| match Verdict::parse(line) {
            Some((Verdict::Right, _)) => {}
            _ => wrong.push(line.to_owned()),
        })?;
        Ok(wrong)
    }
}

/// As [`Prover::read_all`], telling each line of the reader.
pub(super) fn read(
    prover: &Prover,
    place: &Path,
    items: u64,
    mut tell: impl FnMut(&str),
) -> Result<(), Broken> {
    let args = ReaderArgs {
        place: place.to_owned(),
        items,
    };
    let mut command = prover.program.command(&args.job());
    let mut last = String::new();
    let heard = listen(command.stderr(Stdio::null()), PATIENCE, |line| {
        tell(line);
        last = line.to_owned();
    })?;
    match heard {
        Heard::Silent => Err(Broken::new(format!("the reader hangs after: {last}"))),
        Heard::Ended(status) if !status.success() || last != "right end" => {
            let died = format!("the reader died ({status}) after: {last}");
            Err(Broken::new(died))
        }
        Heard::Ended(_) => Ok(()),
    }
}

/// How a process ended.
pub(crate) enum Heard {
    Ended(ExitStatus),
    /// It said nothing for longer than it may, and was killed.
    Silent,
}

/// Runs a process to its end and tells each line that it told.
pub(crate) fn listen(
    command: &mut Command,
    patience: Duration,
    mut tell: impl FnMut(&str),
) -> Result<Heard, Broken> {
    let mut child = command.spawn()?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Broken::new("the process has no output"))?;
    let (sender, lines) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let said = lines.filter_map(|line| told(&line).map(str::to_owned));
        said.map(|line| sender.send(line).ok())
            .all(|sent| sent.is_some())
    });
    let ended = loop {
        match lines.recv_timeout(patience) {
            Ok(line) => tell(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    listener.join().ok();
    match ended {
        true => Ok(Heard::Ended(status)),
        false => Ok(Heard::Silent),
    }
}
