//! Cases in processes of their own, for what may end a process: a store that maps its files dies of SIGBUS when one is
//! cut off under it.

use std::process::Stdio;
use std::time::Duration;

use deriva_api::{Clock, SystemClock};

use crate::proof::{Broken, Heard, Job, Program, end, listen, serve_fixture, tell};
use crate::trial::Fixtures;
use crate::{Case, CaseReport, Fixture, Outcome};

/// The case that this process was started for; a proof's job is done at once, which ends the process.
pub(crate) fn job(fixtures: &Fixtures<dyn Fixture>) -> Option<String> {
    let asked = Job::of_this_process()?;
    match asked.word.as_str() {
        "case" => asked.text("name").map(str::to_owned),
        _ => {
            serve_fixture(fixtures());
            None
        }
    }
}

/// Tells what came of the case, and ends the process.
pub(crate) fn answer(report: &CaseReport) -> ! {
    for line in report.detail.iter().flat_map(|detail| detail.lines()) {
        tell(&format!("detail {line}"));
    }
    tell(&format!("outcome {}", report.outcome));
    end(Ok(()))
}

/// Runs the case in a process of `program`, which may be silent for `limit`.
pub(crate) fn run(case: &'static Case, program: &Program, limit: Duration) -> CaseReport {
    let clock = SystemClock::new();
    let mut outcome = None;
    let mut detail = Vec::new();
    // The process knows the limit as well, and has more to say.
    let patience = limit.saturating_add(Duration::from_secs(10));
    let heard = start(case, program, patience, |line| match line.split_once(' ') {
        Some(("detail", line)) => detail.push(line.to_owned()),
        Some(("outcome", word)) => outcome = word.parse().ok(),
        _ => {}
    });
    let fault = match heard {
        Err(broken) => Some(format!("the case has no process: {broken}")),
        Ok(Heard::Silent) => {
            let seconds = limit.as_secs_f64();
            Some(format!("it hangs: no end after {seconds} s"))
        }
        Ok(Heard::Ended(status)) if outcome.is_none() => {
            Some(format!("it ended the process: {status}"))
        }
        Ok(Heard::Ended(_)) => None,
    };
    let outcome = match fault {
        Some(fault) => {
            detail.push(fault);
            Outcome::Failed
        }
        None => outcome.unwrap_or(Outcome::Failed),
    };
    CaseReport {
        case,
        outcome,
        seconds: clock.now().as_secs_f64(),
        detail: (!detail.is_empty()).then(|| detail.join("\n")),
    }
}

fn start(
    case: &Case,
    program: &Program,
    limit: Duration,
    tell: impl FnMut(&str),
) -> Result<Heard, Broken> {
    let job = Job::new("case").with("name", case.name);
    let mut command = program.command(&job);
    listen(command.stderr(Stdio::null()), limit, tell)
}
