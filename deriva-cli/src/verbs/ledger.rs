//! `deriva ledger`: what is known of recipes whose runs gave different outputs.

use clap::{Args, Subcommand};
use deriva::determinism::{LedgerEntry, Violation};
use deriva::{AddrPrefix, CAddr, Error, ErrorKind, Result};
use deriva_draw::{date, entry_state};
use serde::Serialize;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, lines, plain, table};

/// List recipes whose runs gave different outputs, and let them be computed again
#[derive(Debug, Args)]
pub(crate) struct Ledger {
    #[command(subcommand)]
    verb: LedgerVerb,
}

#[derive(Debug, Subcommand)]
enum LedgerVerb {
    /// List the entries, released ones too
    Ls,
    /// Show all that is known of a recipe
    Show {
        /// The recipe of an entry, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
    },
    /// Let a recipe be computed and served again; its entry stays as history
    Release {
        /// The recipe of an entry, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
    },
}

impl Ledger {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let entries = handle.ledger().await?;
                match &self.verb {
                    LedgerVerb::Ls => out.answer(&Listed::new(entries)),
                    LedgerVerb::Show { addr } => {
                        let recipe = find(&entries, addr)?;
                        let of_it = entries.into_iter();
                        let of_it = of_it.filter(|entry| entry.recipe == recipe);
                        out.answer(&Listed::new(of_it.collect()).in_full())
                    }
                    LedgerVerb::Release { addr } => {
                        let recipe = match addr.complete() {
                            Some(recipe) => recipe,
                            None => find(entries.iter().filter(|entry| !entry.released), addr)?,
                        };
                        handle.release(recipe).await?;
                        out.answer(&Released {
                            recipe,
                            released: true,
                        })
                    }
                }
            })
            .await
    }
}

/// Candidates that an ambiguous prefix lists.
const CANDIDATES: usize = 8;

/// The one recipe of these entries whose address begins with these digits.
///
/// # Errors
/// `NotFound` where there is none, `Invalid` where there are several.
fn find<'a>(
    entries: impl IntoIterator<Item = &'a LedgerEntry>,
    prefix: &AddrPrefix,
) -> Result<CAddr> {
    let recipes = entries.into_iter().map(|entry| entry.recipe);
    let mut found: Vec<CAddr> = recipes.filter(|recipe| prefix.matches(recipe)).collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [recipe] => Ok(*recipe),
        [] => Err(
            Error::new(ErrorKind::NotFound, "the ledger has no such entry")
                .with("addr", prefix)
                .hint("`deriva ledger ls` lists the entries"),
        ),
        several => {
            let listed = several.iter().take(CANDIDATES).map(ToString::to_string);
            let what = "several recipes in the ledger begin with these digits";
            Err(Error::new(ErrorKind::Invalid, what)
                .with("given", prefix)
                .with("candidates", listed.collect::<Vec<_>>().join(", "))
                .hint("give more digits"))
        }
    }
}

/// A recipe that was released.
#[derive(Serialize)]
struct Released {
    recipe: CAddr,
    released: bool,
}

impl Answer for Released {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

/// Entries, and how many there are of each sort.
#[derive(Serialize)]
struct Listed {
    /// Those that were not released.
    open: usize,
    released: usize,
    /// Those of either sort that cannot be read.
    damaged: usize,
    entries: Vec<LedgerEntry>,
    /// Whether people see all of them.
    #[serde(skip)]
    full: bool,
}

impl Listed {
    fn new(mut entries: Vec<LedgerEntry>) -> Self {
        // Those that matter first.
        entries.sort_by_key(|entry| (entry.released, entry.recipe));
        let released = entries.iter().filter(|entry| entry.released).count();
        Self {
            open: entries.len() - released,
            released,
            damaged: entries.iter().filter(|it| it.damage.is_some()).count(),
            entries,
            full: false,
        }
    }

    fn in_full(self) -> Self {
        Self { full: true, ..self }
    }
}

impl Answer for Listed {
    fn text(&self, style: Style) -> String {
        if self.full {
            let entries = self.entries.iter().map(|entry| in_full(entry, style));
            return entries.collect::<Vec<_>>().join("\n\n");
        }
        if self.entries.is_empty() {
            return String::new();
        }
        let mut rows = table([
            ("recipe", false),
            ("function", false),
            ("found", true),
            ("by", false),
            ("last", false),
            ("state", false),
        ]);
        for entry in &self.entries {
            let seen = entry.violation.as_ref();
            let of = |told: fn(&Violation) -> String| seen.map_or_else(|| "-".to_owned(), told);
            rows.add_row([
                entry.recipe.to_string(),
                of(|seen| seen.function.to_string()),
                of(|seen| times(seen.times)),
                of(|seen| seen.found_by.to_string()),
                of(|seen| date(seen.at_millis)),
                entry_state(entry).to_owned(),
            ]);
        }
        lines(&rows)
    }
}

fn times(n: u64) -> String {
    counted(n, "time")
}

/// All that is known.
fn in_full(entry: &LedgerEntry, style: Style) -> String {
    let mut rows = vec![
        ("recipe", entry.recipe.to_string()),
        ("state", entry_state(entry).to_owned()),
    ];
    if let Some(damage) = &entry.damage {
        rows.push(("damage", plain(damage)));
    }
    if let Some(seen) = &entry.violation {
        rows.extend(seen_rows(seen));
    }
    let evidence = entry.evidence.iter();
    rows.extend(evidence.map(|blob| ("evidence", blob.to_string())));
    let rows = rows.iter();
    let lines = rows.map(|(name, value)| format!("{} {value}", style.dim(&format!("{name:<9}"))));
    lines.collect::<Vec<_>>().join("\n")
}

fn seen_rows(seen: &Violation) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("function", seen.function.to_string()),
        ("resolved", seen.resolved.to_string()),
        (
            "found",
            format!("{}, last by {}", times(seen.times), seen.found_by),
        ),
        ("last", date(seen.at_millis)),
        ("perturbed", yes_or_no(seen.perturbed).to_owned()),
    ];
    for answer in &seen.answers {
        let runs = counted(answer.runs, "run");
        let gave = match (&answer.addr, &answer.error) {
            (Some(addr), _) => format!("gave {addr} ({} B)", answer.len),
            (None, Some(error)) => format!("failed: {}", plain(error)),
            (None, None) => "failed".to_owned(),
        };
        rows.push(("answer", format!("{runs} {gave}")));
    }
    if let Some(difference) = &seen.difference {
        let line = difference.line.map(|line| format!(", line {line}"));
        rows.push((
            "differ at",
            format!("byte {}{}", difference.offset, line.unwrap_or_default()),
        ));
        let excerpts = difference.hex.iter().zip(&difference.text);
        for ((hex, text), which) in excerpts.zip(["first", "second"]) {
            let text = plain(text);
            let from = difference.from;
            rows.push((which, format!("from byte {from}: {hex} \"{text}\"")));
        }
    }
    rows.extend(seen.accepted.map(|output| ("accepted", output.to_string())));
    rows
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_is_shown_as_one_that_refuses() {
        let recipe = CAddr::of_blob(b"recipe");
        let listed = Listed::new(vec![LedgerEntry::damaged(recipe, false, "no JSON")]);
        assert_eq!((listed.open, listed.damaged), (1, 1));
        let text = listed.text(Style::plain());
        assert!(text.ends_with("refused; the entry is damaged"), "{text}");
        let text = listed.in_full().text(Style::plain());
        assert!(text.contains("damage    no JSON"), "{text}");
    }
}
