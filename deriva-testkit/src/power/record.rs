//! Runs the processes of a scenario under `strace`, and makes of the traces what happened to the disk.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::family::Disk;
use super::history::Progresses;
use super::perform;
use super::scenario::{Scenario, Script};
use super::timeline::SyncKind;
use super::tree::{Fate, Gap, Tree};
use super::watch::{CALLS, CUT_OFF, Watch};
use crate::proof::Broken;
use crate::proof::program::{Job, MARK};
use crate::proof::store::Prover;

/// Where the store lies below the folder that is watched. What is between must be made durable as well.
pub(super) const PLACE: &str = "stores/store";

/// How often a recording is made again that a kill cut off within a call.
const ATTEMPTS: usize = 3;

/// What happened in a scenario.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) scenario: Scenario,
    pub(super) disk: Disk,
    /// The moments at which power may be lost.
    pub(super) moments: Vec<usize>,
}

impl Recording {
    /// Records it below `scratch`, as if syncs of the kind `without` were not asked for. The inner error says
    /// why that cannot be done here.
    pub(super) fn make(
        prover: &Prover,
        scenario: Scenario,
        scratch: &Path,
        without: Option<SyncKind>,
    ) -> Result<Result<Self, String>, Broken> {
        let mut why = String::new();
        for attempt in 0..ATTEMPTS {
            let root = scratch.join(format!("recorded-{scenario}-{attempt}"));
            fs::create_dir_all(&root)?;
            let watched = watch(prover, scenario, &root)?;
            fs::remove_dir_all(&root)?;
            match watched {
                Watched::Seen(watch, from) => {
                    let mut timeline = watch.timeline;
                    if let Some(kind) = without {
                        timeline.forget(kind);
                    }
                    return Ok(Ok(Self {
                        scenario,
                        moments: timeline.moments(from),
                        disk: Disk::new(timeline),
                    }));
                }
                Watched::NotHere(why) => return Ok(Err(why)),
                Watched::Unclear(unclear) => why = unclear,
            }
        }
        Err(Broken::new(format!("{scenario} cannot be replayed: {why}")))
    }

    pub(super) fn progresses(&self, moment: usize) -> Progresses {
        Progresses::at(moment, &self.disk.timeline.said)
    }
}

enum Watched {
    /// With the moment from which on power may be lost.
    Seen(Box<Watch>, usize),
    /// Tracing is not possible, or shows what cannot be followed.
    NotHere(String),
    /// The trace does not say what happened.
    Unclear(String),
}

fn watch(prover: &Prover, scenario: Scenario, root: &Path) -> Result<Watched, Broken> {
    // As strace prints it.
    let root = root.canonicalize()?;
    let mut watch = Watch::new(&root);
    let mut from = 0;
    // The phases are the same for stores without recipes.
    let script = Script::of(scenario, true);
    for (phase, acts) in script.phases.iter().enumerate() {
        if phase == script.from {
            from = watch.timeline.end;
        }
        let text = match trace(prover, scenario, phase, acts.killed, &root)? {
            Ok(text) => text,
            Err(why) => return Ok(Watched::NotHere(why)),
        };
        match watch.read(&text) {
            Ok(()) => {}
            Err(why) if why.ends_with(CUT_OFF) => return Ok(Watched::Unclear(why)),
            Err(why) => return Ok(Watched::NotHere(why)),
        }
        // What was seen must explain what is there, to the last byte.
        let seen = Tree::build(&watch.timeline, |_| Some(Fate::Kept), Gap::Short);
        if let Some(path) = seen.differs(&Tree::read(&root)?) {
            let path = path.display();
            return Ok(Watched::Unclear(format!(
                "{path} was changed in a way that was not seen"
            )));
        }
    }
    Ok(Watched::Seen(Box::new(watch), from))
}

/// What strace printed of a phase.
fn trace(
    prover: &Prover,
    scenario: Scenario,
    phase: usize,
    killed: bool,
    root: &Path,
) -> Result<Result<String, String>, Broken> {
    let log = root.with_extension("trace");
    let longest = "16777216";
    let options = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-qq",
        "-s",
        longest,
        "-e",
        "signal=none",
        "-e",
        CALLS,
        "-o",
    ];
    let mut under: Vec<OsString> = options.map(OsString::from).to_vec();
    under.push(log.clone().into());
    let job = Job::new(perform::WORD)
        .with("place", root.join(PLACE).display())
        .with("scenario", scenario)
        .with("phase", phase);
    let mut command = prover.program.command_under(&under, &job);
    let output = match command.stdout(Stdio::null()).output() {
        Err(error) => return Ok(Err(format!("strace does not run: {error}"))),
        Ok(output) => output,
    };
    let text = String::from_utf8(fs::read(&log).unwrap_or_default());
    let text = text.map_err(|_| Broken::new("strace printed what is no text"))?;
    fs::remove_file(&log).ok();
    if output.status.success() || killed && !text.is_empty() {
        return Ok(Ok(text));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default();
    // Where tracing is forbidden the program never began.
    let mark: String = MARK.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    match text.contains(&mark) {
        true => Err(Broken::new(format!("the traced process failed: {said}"))),
        false => Ok(Err(format!("strace cannot trace here: {said}"))),
    }
}
