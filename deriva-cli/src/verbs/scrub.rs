//! `deriva scrub`.

use std::sync::{Arc, Mutex, PoisonError};

use bytesize::ByteSize;
use clap::Args;
use deriva::ErrorKind;
use deriva::admin::{Finding, FindingKind, ScrubCursor, Scrubbed};
use deriva::events::ScrubEvent;

use crate::args::parsed;
use crate::exit::{Failure, Outcome};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, bar, counted, size};

/// Read and verify everything stored; compute again what is damaged or lost
#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// Read at most this much in a second
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes)]
    rate: u64,
    /// Continue where an earlier scrub ended
    #[arg(long, value_name = "CURSOR", value_parser = parsed::<ScrubCursor>)]
    resume: Option<ScrubCursor>,
    /// Stop after reading this much, and print where to continue
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
        store
            .existing()
            .if_interrupted(|| reached.next())
            .work(async |handle| {
                let done = self.scrub(handle, &reached).await?;
                out.answer(&done)?;
                match done.unhealed {
                    0 => Ok(()),
                    _ => Err(Failure::Partly(ErrorKind::Corrupt)),
                }
            })
            .await
    }

    async fn scrub(&self, handle: &Handle, reached: &Reached) -> Outcome<Scrubbed> {
        let bar = bar();
        let (shown, reached) = (bar.clone(), reached.clone());
        let mut request = handle
            .scrub()
            .bytes_per_second(self.rate)
            .after(self.resume.unwrap_or_default())
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
        if let Some(bytes) = self.limit {
            request = request.limit_bytes(bytes);
        }
        let done = request.await;
        bar.finish_and_clear();
        Ok(done?)
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

impl Answer for Scrubbed {
    fn text(&self, style: Style) -> String {
        let mut lines = vec![format!(
            "read {} and {} ({})",
            counted(self.recipes, "recipe"),
            counted(self.blobs, "blob"),
            size(self.bytes)
        )];
        for finding in &self.findings {
            describe(finding, style, &mut lines);
        }
        if self.unhealed > self.findings.len() as u64 {
            let more = self.unhealed - self.findings.len() as u64;
            lines.push(format!("... and {more} more"));
        }
        lines.push(match (self.corrupt + self.missing, self.unhealed) {
            (0, _) => style.good("nothing is damaged"),
            (_, 0) => style.good(&format!(
                "{} corrupt, {} missing: all healed",
                self.corrupt, self.missing
            )),
            (_, unhealed) => style.error(&format!(
                "{} corrupt, {} missing: {} healed, {unhealed} not",
                self.corrupt, self.missing, self.healed
            )),
        });
        if let Some(cursor) = self.cursor {
            lines.push(format!("stopped at its limit: --resume {cursor}"));
        }
        lines.join("\n")
    }
}

fn describe(finding: &Finding, style: Style, lines: &mut Vec<String>) {
    let what = match finding.kind {
        FindingKind::Blob => "blob is damaged",
        FindingKind::Output => "recipe has lost its output",
        FindingKind::Recipe => "recipe is damaged",
        _ => "is damaged",
    };
    lines.push(format!("{} {} {what}", style.error("x"), finding.addr));
    lines.push(format!("    {} {}", style.dim("reason:"), finding.reason));
    let needs = &finding.needed_by;
    let some = if needs.complete { "" } else { " at least" };
    lines.push(format!(
        "    {}{some} {}, {}",
        style.dim("needed by:"),
        counted(needs.recipe_count, "recipe"),
        counted(needs.root_count, "root"),
    ));
    lines.extend(
        needs
            .recipes
            .iter()
            .map(|addr| format!("      recipe {addr}")),
    );
    lines.extend(needs.roots.iter().map(|name| format!("      root {name}")));
}
