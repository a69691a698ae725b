//! The checking process, seen from outside: asked about one state after the other, and started again when it
//! dies or does not answer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::check::{self, Answer, OPENED, Question, Verdict};
use crate::proof::Broken;
use crate::proof::program::{Job, told};
use crate::proof::store::Prover;

/// How long it may be silent. A state takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// States that one process looks at. A store may keep something for as long as its process lives.
const STATES: usize = 200;

#[derive(Debug)]
pub(super) struct Checker<'a> {
    prover: &'a Prover,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    left: usize,
}

impl<'a> Checker<'a> {
    pub(super) fn new(prover: &'a Prover) -> Self {
        Self {
            prover,
            process: None,
        }
    }

    /// Whatever happens to the process is the answer.
    pub(super) fn ask(&mut self, question: &Question) -> Result<Answer, Broken> {
        let mut process = match self.process.take() {
            Some(process) if process.left > 0 => process,
            _ => Process::start(self.prover)?,
        };
        process.left -= 1;
        let line = question.to_line() + "\n";
        process.input.write_all(line.as_bytes())?;
        let mut opened = false;
        loop {
            match process.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == OPENED => opened = true,
                Ok(line) => {
                    if let Ok(answer) = line.parse() {
                        self.process = Some(process);
                        return Ok(answer);
                    }
                }
                Err(silence) => {
                    process.child.kill()?;
                    let status = process.child.wait()?;
                    let verdict = match (silence, opened) {
                        (RecvTimeoutError::Timeout, _) => Verdict::Hung,
                        (RecvTimeoutError::Disconnected, false) => Verdict::Refused,
                        (RecvTimeoutError::Disconnected, true) => Verdict::Wrong,
                    };
                    let when = if opened {
                        "once open"
                    } else {
                        "at the opening"
                    };
                    let why = match silence {
                        RecvTimeoutError::Timeout => format!("no answer {when}"),
                        RecvTimeoutError::Disconnected => {
                            format!("the process panicked or died {when} ({status})")
                        }
                    };
                    return Ok(Answer::of(verdict, why));
                }
            }
        }
    }
}

impl Process {
    fn start(prover: &Prover) -> Result<Self, Broken> {
        let mut command = prover.program.command(&Job::new(check::WORD));
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Broken::new("the checking process has no input or output"));
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let mut said = lines.filter_map(|line| told(&line).map(str::to_owned));
            said.all(|line| sender.send(line).is_ok())
        });
        Ok(Self {
            child,
            input,
            lines,
            left: STATES,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is idle, or dead already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
