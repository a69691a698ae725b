//! Looks at as many disk states of a store as are asked for.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Answer, Question, Verdict};
use super::checker::Checker;
use super::family::{Family, State};
use super::plan::Plan;
use super::record::{PLACE, Recording};
use super::report::{Failed, PowerReport};
use super::scenario::Scenario;
use super::timeline::SyncKind;
use super::tree::Tree;
use crate::proof::Broken;
use crate::proof::store::Prover;

/// Failing states of a scenario, model, family and verdict that are kept.
const KEPT: u64 = 2;

/// Losses of power to be replayed on a store.
#[derive(Clone, Debug)]
pub struct Power {
    /// The store.
    pub prover: Prover,
    /// How many disk states are looked at. Fewer where fewer differ.
    pub states: u64,
    /// Where chance begins.
    pub seed: u64,
    /// What is recorded.
    pub scenarios: Vec<Scenario>,
    /// Where folders with states that failed are kept.
    pub keep: Option<PathBuf>,
    /// Takes the syncs of this kind out of what was recorded. A kind that an acknowledgement needs must then be
    /// missed: this is the control of the replay itself.
    pub without: Option<SyncKind>,
    /// Whether it ends with the first state that fails.
    pub until_failed: bool,
}

impl Power {
    /// As much as it is asked for, of all scenarios, and nothing kept.
    #[must_use]
    pub fn new(prover: Prover, states: u64, seed: u64) -> Self {
        Self {
            prover,
            states,
            seed,
            scenarios: Scenario::ALL.to_vec(),
            keep: None,
            without: None,
            until_failed: false,
        }
    }

    /// Does it, telling `progress` the number of states so far. The inner error says why nothing can be recorded
    /// here.
    ///
    /// # Errors
    /// What keeps it from being found out. A store that fails is no error: see [`PowerReport::held`].
    pub fn run(
        &self,
        mut progress: impl FnMut(u64),
    ) -> Result<Result<PowerReport, String>, Broken> {
        let scratch = scratch()?;
        let mut recordings = Vec::new();
        for scenario in &self.scenarios {
            if *scenario == Scenario::FolderBefore && !self.prover.store.makes_folder() {
                continue;
            }
            match Recording::make(&self.prover, *scenario, scratch.path(), self.without)? {
                Ok(recording) => recordings.push(recording),
                Err(why) => return Ok(Err(why)),
            }
        }
        let mut report = PowerReport::new(self.prover.store.name(), self.seed);
        for recording in &recordings {
            report.syncs.extend(recording.disk.timeline.kinds());
        }
        let mut plan = Plan::new(&recordings, self.states, self.seed);
        let mut checker = Checker::new(&self.prover);
        let mut seen = HashSet::new();
        while report.states() < self.states
            && let Some((at, state)) = plan.next(&recordings)
        {
            let recording = &recordings[at];
            let tree = recording.disk.tree(state);
            let progresses = recording.progresses(state.moment);
            let killed = state.family == Family::Everything;
            let new = seen.insert((tree.hash(), progresses.to_string(), killed, at));
            plan.was_new(new);
            if !new {
                continue;
            }
            let folder = scratch.path().join(format!("state-{}", report.states()));
            tree.write(&folder)?;
            let acknowledged = progresses.acknowledged() as u64;
            let answer = checker.ask(&Question {
                scenario: recording.scenario,
                killed,
                progresses,
                place: folder.join(PLACE),
            })?;
            fs::remove_dir_all(&folder)?;
            report.add(recording.scenario, state, acknowledged, &answer);
            if answer.verdict != Verdict::Ok {
                report.failed.push(self.failed(
                    recording.scenario,
                    state,
                    &tree,
                    &answer,
                    &report,
                )?);
                if self.until_failed {
                    break;
                }
            }
            progress(report.states());
        }
        Ok(Ok(report))
    }

    fn failed(
        &self,
        scenario: Scenario,
        state: State,
        tree: &Tree,
        answer: &Answer,
        report: &PowerReport,
    ) -> Result<Failed, Broken> {
        let State {
            moment,
            model,
            family,
            variant,
        } = state;
        let mut failed = Failed {
            scenario,
            model,
            family,
            moment,
            variant,
            verdict: answer.verdict,
            why: answer.why.clone(),
            kept: None,
        };
        let alike = report
            .failed
            .iter()
            .filter(|other| other.is_like(&failed))
            .count();
        if let Some(keep) = &self.keep
            && (alike as u64) < KEPT
        {
            let store = report
                .store
                .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let seed = self.seed;
            let name =
                format!("{store}-{scenario}-event{moment}-{model}-{family}-{variant}-seed{seed}");
            let folder = keep.join(name);
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            tree.write(&folder)?;
            let told = format!("{failed}\n");
            fs::write(folder.join("why.txt"), told)?;
            failed.kept = Some(folder);
        }
        Ok(failed)
    }
}

/// In memory where that is to be had: states are written, opened and deleted by the thousand.
fn scratch() -> Result<tempfile::TempDir, Broken> {
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory)
        .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) > ROOM);
    let mut builder = tempfile::Builder::new();
    builder.prefix("deriva-power-");
    if roomy && let Ok(folder) = builder.tempdir_in(memory) {
        return Ok(folder);
    }
    Ok(builder.tempdir()?)
}

/// Stores refuse writes where there is little room.
const ROOM: u64 = 1 << 30;
