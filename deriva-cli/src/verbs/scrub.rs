//! `deriva scrub`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use deriva::api::ErrorKind;
use deriva::{Deriva, Finding, FindingKind, ScrubCursor, ScrubEvent, Scrubbed};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::args::parsed;
use crate::exit::{Failure, Outcome};
use crate::store::StoreArgs;
use crate::term::{Out, Style, counted, size};

/// Read and verify everything stored; compute again what is damaged or lost
#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// Read at most so much in a second
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes)]
    rate: u64,
    /// Continue where an earlier scrub ended
    #[arg(long, value_name = "CURSOR", value_parser = parsed::<ScrubCursor>)]
    resume: Option<ScrubCursor>,
    /// Stop after reading so much, and print where to continue
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit: Option<u64>,
}

/// Parses a size of at least a byte.
fn bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("a size is a number with a unit, such as 64MiB".to_owned()),
    }
}

impl Scrub {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let reached = Reached::default();
        let work = async |deriva: &Deriva| scrub(deriva, self, &reached, out).await;
        let opening = store.existing().if_interrupted(|| reached.next());
        opening.work(work).await
    }
}

/// How far a scrub has come, for when it is interrupted.
#[derive(Clone, Debug, Default)]
struct Reached(Arc<Mutex<Option<ScrubCursor>>>);

impl Reached {
    fn set(&self, cursor: ScrubCursor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
    }

    /// What to do after an interruption.
    fn next(&self) -> Option<String> {
        let reached = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reached.map(|cursor| format!("continue with --resume {cursor}"))
    }
}

async fn scrub(deriva: &Deriva, args: &Scrub, reached: &Reached, out: &mut Out) -> Outcome {
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(120));
    let (shown, reached) = (bar.clone(), reached.clone());
    let mut request = deriva
        .scrub()
        .bytes_per_second(args.rate)
        .after(args.resume.unwrap_or_default())
        .progress(move |event| {
            if let ScrubEvent::Progress {
                recipes,
                blobs,
                bytes,
                cursor,
            } = event
            {
                reached.set(*cursor);
                shown.set_message(format!(
                    "{}, {}, {}",
                    counted(*recipes, "recipe"),
                    counted(*blobs, "blob"),
                    size(*bytes)
                ));
            }
        });
    if let Some(bytes) = args.limit {
        request = request.limit_bytes(bytes);
    }
    let done = request.await;
    bar.finish_and_clear();
    let done = done?;
    match out.json() {
        true => out.value(&done)?,
        false => report(&done, out)?,
    }
    match done.unhealed {
        0 => Ok(()),
        _ => Err(Failure::Partly(ErrorKind::Corrupt)),
    }
}

fn report(done: &Scrubbed, out: &mut Out) -> Outcome {
    let style = Style::stdout();
    out.line(format!(
        "read {} and {} ({})",
        counted(done.recipes, "recipe"),
        counted(done.blobs, "blob"),
        size(done.bytes)
    ))?;
    for finding in &done.findings {
        describe(finding, style, out)?;
    }
    if done.unhealed > done.findings.len() as u64 {
        let more = done.unhealed - done.findings.len() as u64;
        out.line(format!("... and {more} more"))?;
    }
    let verdict = match (done.corrupt + done.missing, done.unhealed) {
        (0, _) => style.good("nothing is damaged"),
        (_, 0) => style.good(&format!(
            "{} corrupt, {} missing: all healed",
            done.corrupt, done.missing
        )),
        (_, unhealed) => style.error(&format!(
            "{} corrupt, {} missing: {} healed, {unhealed} not",
            done.corrupt, done.missing, done.healed
        )),
    };
    out.line(verdict)?;
    match done.cursor {
        Some(cursor) => out.line(format!("stopped at its limit: --resume {cursor}")),
        None => Ok(()),
    }
}

fn describe(finding: &Finding, style: Style, out: &mut Out) -> Outcome {
    let what = match finding.kind {
        FindingKind::Blob => "blob is damaged",
        FindingKind::Output => "recipe has lost its output",
        FindingKind::Recipe => "recipe is damaged",
        _ => "is damaged",
    };
    out.line(format!("{} {} {what}", style.error("x"), finding.addr))?;
    out.line(format!("    {} {}", style.dim("reason:"), finding.reason))?;
    let needs = &finding.needed_by;
    let some = if needs.complete { "" } else { " at least" };
    out.line(format!(
        "    {}{some} {}, {}",
        style.dim("needed by:"),
        counted(needs.recipe_count, "recipe"),
        counted(needs.root_count, "root"),
    ))?;
    for addr in &needs.recipes {
        out.line(format!("      recipe {addr}"))?;
    }
    for name in &needs.roots {
        out.line(format!("      root {name}"))?;
    }
    Ok(())
}
