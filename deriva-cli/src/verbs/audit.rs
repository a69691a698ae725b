//! `deriva audit`: recorded outputs, compared with what their recipes give now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{ArgGroup, Args};
use deriva::determinism::{AuditEvent, Audited, Skipped, Violation};
use deriva::{AddrPrefix, CAddr, Error, ErrorKind, FunctionId};
use indicatif::ProgressBar;
use serde::Serialize;

use super::checks::{RepeatArgs, entries};
use super::shared::{known_or_used, violation_lines};
use crate::args::{jobs, parsed};
use crate::exit::{Failure, Outcome, usage};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, bar, counted, note, size};

/// Compute recorded outputs again and compare; what differs is entered into the ledger and forgotten
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["addr", "function", "root", "all"]))]
pub(crate) struct Audit {
    /// A recipe, with all that it needs, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: Option<AddrPrefix>,
    /// The outputs of this function
    #[arg(long, value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>)]
    function: Option<FunctionId>,
    /// The recipe that this root names, with all that it needs
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Begin at most N computations in a second; default: as many as there can be
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Recipes computed at a time; default: 1
    #[arg(long, short, value_name = "N", value_parser = jobs())]
    jobs: Option<u16>,
    /// Continue where an earlier audit of the same ended
    #[arg(long, value_name = "CURSOR", value_parser = parsed::<CAddr>)]
    resume: Option<CAddr>,
    /// Stop after about N computations, and print where to continue
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only tell what differs; enters and forgets nothing
    #[arg(long)]
    dry_run: bool,
    /// Tell which functions have N recipes or more in the ledger then: `get` and `run` refuse these with the same option
    #[arg(long, value_name = "N", value_parser = entries())]
    quarantine_after: Option<u64>,
    #[command(flatten)]
    repeats: RepeatArgs,
}

/// Parses computations in a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number of computations in a second, more than 0".to_owned()),
    }
}

impl Audit {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let seen = Arc::new(Seen::default());
        store
            .existing()
            .jobs(self.jobs)
            .not_there(self.repeats.not_there())
            .built_with(|builder| self.repeats.build(builder))
            .if_interrupted(|| Some(self.next(&seen)))
            .work(async |handle| {
                let audited = self.audit(handle, &seen).await?;
                let violated = audited.violated;
                out.answer(&Report {
                    audited,
                    found: seen.take(),
                    is_entered: !self.dry_run && is_writable(handle),
                })?;
                self.note_quarantined(handle).await?;
                match violated {
                    0 => Ok(()),
                    _ => Err(Failure::Partly(ErrorKind::Nondeterministic)),
                }
            })
            .await
    }

    /// What to do after an interruption.
    fn next(&self, seen: &Seen) -> String {
        match seen.cursor().or(self.resume) {
            Some(cursor) => format!("continue with --resume {cursor}"),
            None => {
                "run the same command again: it came to no place where it could continue".to_owned()
            }
        }
    }

    /// Tells of functions of which too much is known.
    async fn note_quarantined(&self, handle: &Handle) -> Outcome {
        let Some(after) = self.quarantine_after else {
            return Ok(());
        };
        for suspect in handle.suspects().await? {
            let entries = suspect.entries.len() as u64;
            if entries >= after {
                let (function, recipes) = (&suspect.function, counted(entries, "recipe"));
                note(format!(
                    "note: the ledger has {recipes} of {function} (`deriva quarantine ls`)"
                ));
            }
        }
        Ok(())
    }

    async fn audit(&self, handle: &Handle, seen: &Arc<Seen>) -> Outcome<Audited> {
        let request = handle.audit().jobs(self.jobs.unwrap_or(1).into());
        let mut request = match (&self.addr, &self.function, &self.root) {
            (Some(addr), ..) => request.addr(handle.find(addr).await?),
            (_, Some(id), _) => {
                let otherwise = "no recipe here is of it, so nothing was audited";
                known_or_used(handle, id, otherwise).await?;
                request.function(id)
            }
            (.., Some(root)) => request.root(root),
            _ if self.all => request,
            _ => return Err(usage("give an address, --function, --root or --all").into()),
        };
        if let Some(rate) = self.rate {
            request = request.per_second(rate);
        }
        if let Some(cursor) = self.resume {
            request = request.after(cursor);
        }
        if let Some(limit) = self.limit {
            request = request.limit(limit);
        }
        if self.dry_run {
            request = request.dry_run();
        }
        let bar = bar();
        let (shown, heard) = (bar.clone(), Arc::clone(seen));
        let audited = request
            .progress(move |event| {
                show(&shown, event);
                heard.take_in(event);
            })
            .await;
        bar.finish_and_clear();
        let continued = |error: Error| match error.context("cursor").map(str::to_owned) {
            Some(cursor) if error.advice().is_none() => {
                error.hint(format!("continue with --resume {cursor}"))
            }
            _ => error,
        };
        Ok(audited.map_err(continued)?)
    }
}

/// Whether the stores take what is entered and forgotten.
fn is_writable(handle: &Handle) -> bool {
    handle.dag().capabilities().writable && handle.blobs().capabilities().writable
}

/// Shows how far an audit is.
pub(super) fn show(bar: &ProgressBar, event: &AuditEvent) {
    if let AuditEvent::Progress {
        outputs,
        audited,
        violated,
        ..
    } = event
    {
        bar.set_message(format!(
            "{}, {audited} computed again, {violated} differ",
            counted(*outputs, "output"),
        ));
    }
}

/// What was heard of an audit so far.
#[derive(Debug, Default)]
struct Seen(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    cursor: Option<CAddr>,
    violations: Vec<Arc<Violation>>,
    /// How many outputs could not be compared, by the reason.
    skipped: BTreeMap<&'static str, u64>,
}

/// Violations that are listed; the rest is counted.
const LISTED: usize = 100;

impl Seen {
    fn take_in(&self, event: &AuditEvent) {
        let mut found = self.lock();
        match event {
            AuditEvent::Progress { cursor, .. } => found.cursor = Some(*cursor),
            AuditEvent::Violated { violation, .. } if found.violations.len() < LISTED => {
                found.violations.push(Arc::clone(violation));
            }
            AuditEvent::Skipped { reason, .. } => {
                *found.skipped.entry(words(*reason)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Where an audit that ends now is continued.
    fn cursor(&self) -> Option<CAddr> {
        self.lock().cursor
    }

    fn take(&self) -> Found {
        std::mem::take(&mut *self.lock())
    }

    // What was heard has no half-done state, so a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why outputs could not be compared.
fn words(reason: Skipped) -> &'static str {
    match reason {
        Skipped::Inputs => "an input is not there",
        Skipped::UnknownFunction => "the function is not known here",
        Skipped::Condemned => "the recipe is refused already",
        Skipped::Changed => "something changed meanwhile",
        Skipped::Damaged => "the recipe is damaged",
        _ => "nothing more is known",
    }
}

/// What an audit found: programs get the counts, people the differences, too.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    audited: Audited,
    #[serde(skip)]
    found: Found,
    /// Whether what differs was entered into the ledger.
    #[serde(skip)]
    is_entered: bool,
}

impl Answer for Report {
    fn text(&self, style: Style) -> String {
        let (audited, found) = (&self.audited, &self.found);
        let mut lines = vec![format!(
            "computed {} of {} again ({})",
            audited.audited,
            counted(audited.outputs, "output"),
            size(audited.bytes)
        )];
        for violation in &found.violations {
            lines.extend(violation_lines(violation, style));
        }
        match audited
            .violated
            .saturating_sub(found.violations.len() as u64)
        {
            0 => {}
            more => lines.push(format!("... and {more} more")),
        }
        if audited.skipped > 0 {
            let reasons = found.skipped.iter();
            let reasons: Vec<String> = reasons
                .map(|(reason, n)| format!("of {n} {reason}"))
                .collect();
            lines.push(format!(
                "{} could not be compared: {}",
                counted(audited.skipped, "output"),
                reasons.join(", ")
            ));
        }
        lines.push(match (audited.audited, audited.violated) {
            (0, 0) => "nothing was compared".to_owned(),
            (_, 0) => style.good("all agree with what is recorded"),
            (_, violated) => {
                let differ = counted(violated, "recorded output");
                let then = match self.is_entered {
                    false => "nothing was entered or forgotten",
                    true => "entered into the ledger, and forgotten with all that was made from it",
                };
                style.error(&format!("{differ} not what the recipe gives now: {then}"))
            }
        });
        if let Some(cursor) = audited.cursor {
            lines.push(format!("stopped at its limit: --resume {cursor}"));
        }
        lines.join("\n")
    }
}
