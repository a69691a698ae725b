//! The processes of a proof: how they are started, told their job, and how they tell what they did.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use deriva_api::{Error, ErrorKind, Result};
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;

use super::store::Provable;
use super::{reader, writer};
use crate::power::{check, perform};

/// The environment variable that tells a process its job.
const JOB: &str = "DERIVA_PROOF";
/// What the lines of a job begin with, on an output that others write to as well.
pub(crate) const MARK: &str = "deriva-proof ";

/// How a process is started that comes to [`serve`].
#[derive(Clone, Debug)]
pub struct Program {
    executable: PathBuf,
    args: Vec<OsString>,
    /// Where its processes make what is temporary, for those that are killed tidy nothing up.
    scratch: Arc<OnceLock<Option<TempDir>>>,
}

impl Program {
    /// Starts `executable`.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            args: Vec::new(),
            scratch: Arc::default(),
        }
    }

    /// Starts it with this argument after those before.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts this program again, with the same arguments.
    ///
    /// # Errors
    /// When the system does not say where the program lies.
    pub fn this() -> Result<Self> {
        let mut this = Self::new(std::env::current_exe().map_err(Error::io)?);
        this.args.extend(std::env::args_os().skip(1));
        Ok(this)
    }

    /// Starts the one test of this test binary whose path, with the crate's name before it, is `path`.
    ///
    /// # Errors
    /// When the system does not say where the binary lies.
    pub fn this_test(path: &str) -> Result<Self> {
        let binary = std::env::current_exe().map_err(Error::io)?;
        let (_, name) = path.split_once("::").unwrap_or(("", path));
        Ok(Self::new(binary)
            .arg(name)
            .arg("--exact")
            .arg("--nocapture")
            .arg("--include-ignored"))
    }

    /// A process for this job, to be spawned: its lines come on stdout.
    pub(crate) fn command(&self, job: &Job) -> Command {
        self.command_under(&[], job)
    }

    /// As [`Program::command`], run by the command `under`, which is given its own arguments and then the
    /// program's.
    pub(crate) fn command_under(&self, under: &[OsString], job: &Job) -> Command {
        let mut line = under.to_vec();
        line.push(self.executable.clone().into());
        line.extend(self.args.iter().cloned());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env(JOB, &job.0);
        let scratch = self.scratch.get_or_init(|| tempfile::tempdir().ok());
        if let Some(folder) = scratch {
            command.env("TMPDIR", folder.path());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// What a process is to do: a word, and values by name.
#[derive(Clone, Debug)]
pub(crate) struct Job(String);

impl Job {
    pub(crate) fn new(word: &str) -> Self {
        Self(word.to_owned())
    }

    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push_str(&format!("\n{name}={value}"));
        self
    }

    /// The job of this process, if it was started for one.
    pub(crate) fn of_this_process() -> Option<Asked> {
        let text = std::env::var(JOB).ok()?;
        let mut lines = text.lines();
        let word = lines.next()?.to_owned();
        let pairs = lines.filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Asked {
            word,
            values: pairs.collect(),
        })
    }
}

/// A job as the process understands it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) word: String,
    values: BTreeMap<String, String>,
}

impl Asked {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Where the store lies.
    pub(crate) fn place(&self) -> PathBuf {
        self.text("place").unwrap_or_default().into()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64> {
        let given = self.text(name).unwrap_or_default();
        given.parse().map_err(|_| {
            Error::new(ErrorKind::Invalid, "the job of a proof lacks a number").with("name", name)
        })
    }
}

/// Does the job that this process was started for by a [`super::Prover`], and ends the process; returns where it
/// was started for none. Call it first, with the store that the proofs are about.
pub fn serve(store: &dyn Provable) {
    let Some(asked) = Job::of_this_process() else {
        return;
    };
    let done = match asked.word.as_str() {
        "write" => writer::WriterArgs::of(&asked).and_then(|args| writer::run(store, &args)),
        "read" => reader::ReaderArgs::of(&asked).and_then(|args| reader::run(store, &args)),
        perform::WORD => perform::run(store, &asked),
        check::WORD => check::run(store),
        other => Err(Error::new(ErrorKind::Invalid, "no such job of a proof").with("given", other)),
    };
    end(done);
}

/// Ends the process: 0 when the job was done.
pub(crate) fn end(done: Result<()>) -> ! {
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            let line = format!("{error:?}\n");
            std::io::stderr().write_all(line.as_bytes()).ok();
            1
        }
    };
    std::process::exit(code)
}

/// Tells a line, in one write, so that lines of several threads do not mix.
pub fn tell(line: &str) {
    let line = format!("{MARK}{line}\n");
    // Nobody listens any more: the parent is gone, and so is the reason to work.
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        die();
    }
}

/// What a process told in a line of its output, which others write to as well.
#[must_use]
pub fn told(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, said)| said)
}

/// Ends the process as `kill -9` would: nothing is closed, nothing written.
pub fn die() -> ! {
    kill_process(getpid(), Signal::KILL).ok();
    std::process::abort()
}
