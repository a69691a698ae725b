//! The ledger: what was seen of functions that are not deterministic.

use axum::extract::State;
use axum::response::IntoResponse;
use deriva::determinism::{LedgerEntry, Violation};
use deriva::{CAddr, Error, ErrorKind, Result};
use deriva_draw::{counted, date, entry_state};
use maud::{Markup, html};

use super::layout::Page;
use super::query::Query;
use super::words::{function, isolated, link, more, short, shortened};
use super::{Answer, Pages, ROWS};

/// The place of an entry: those that were not released first, then by recipe; and which it is of several for one recipe.
type Place = (bool, CAddr, usize);

pub(super) async fn page(State(pages): State<Pages>, query: Query) -> Answer {
    let after = query.get("after").map(parsed).transpose()?;
    let mut entries = pages.site.deriva.ledger().await?;
    let (all, open) = (entries.len(), entries.iter().filter(|it| !it.released));
    let open = open.count();
    entries.sort_by_key(|entry| (entry.released, entry.recipe));
    let mut placed = placed(entries);
    if let Some(after) = after {
        placed.retain(|(place, _)| *place > after);
    }
    let next = (placed.len() > ROWS).then(|| {
        placed.truncate(ROWS);
        link("/ledger", &[("after", &written(&placed[ROWS - 1].0))])
    });
    let body = html! {
        p { "Recipes whose runs gave different outputs, though their functions are said to be deterministic." }
        p { (open) " open, " (all - open) " released." }
        @if placed.is_empty() && after.is_some() { p { "None after this one." } }
        @for (_, entry) in &placed { (told(entry)) }
        (more(next))
    };
    let page = Page::new("Verification ledger", body).at("/ledger");
    Ok(page.into_response())
}

fn placed(entries: Vec<LedgerEntry>) -> Vec<(Place, LedgerEntry)> {
    let mut placed: Vec<(Place, LedgerEntry)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let which = match placed.last() {
            Some(((released, recipe, which), _))
                if (*released, *recipe) == (entry.released, entry.recipe) =>
            {
                which + 1
            }
            _ => 0,
        };
        placed.push(((entry.released, entry.recipe, which), entry));
    }
    placed
}

fn written((released, recipe, which): &Place) -> String {
    format!("{}-{recipe}-{which}", u8::from(*released))
}

fn parsed(text: &str) -> Result<Place> {
    let parts = || {
        let (released, rest) = text.split_once('-')?;
        let (recipe, which) = rest.split_once('-')?;
        let released = match released {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        Some((released, recipe.parse().ok()?, which.parse().ok()?))
    };
    parts().ok_or_else(|| {
        let what = "this is no place in the ledger";
        let error = Error::new(ErrorKind::Invalid, what).with("found", shortened(text, 128));
        error.hint("begin at /ledger")
    })
}

fn told(entry: &LedgerEntry) -> Markup {
    let accepted = entry.violation.as_ref().and_then(|seen| seen.accepted);
    let class = match (entry.released, &entry.damage, accepted) {
        (true, ..) => "quiet",
        (false, None, Some(_)) => "warn",
        (false, ..) => "bad",
    };
    html! {
        section.card {
            h2 { (short(&entry.recipe)) " " span class={ "badge " (class) } { (entry_state(entry)) } }
            @if let Some(damage) = &entry.damage { p.failure { (isolated(damage)) } }
            @if let Some(seen) = &entry.violation { (facts(seen)) }
            @if !entry.evidence.is_empty() {
                p { "Kept outputs: " @for blob in &entry.evidence { (short(blob)) " " } }
            }
        }
    }
}

fn facts(seen: &Violation) -> Markup {
    html! {
        dl.facts {
            dt { "Function" } dd { (function(&seen.function)) }
            dt { "Found" } dd { (counted(seen.times, "time")) ", last by " (seen.found_by) " at " time { (date(seen.at_millis)) } }
            @for answer in &seen.answers {
                dt { (counted(answer.runs, "run")) " gave" }
                dd {
                    @match (&answer.addr, &answer.error) {
                        (Some(addr), _) => { (short(addr)) " (" (answer.len) " B)" },
                        (None, Some(error)) => { "a failure: " (shortened(error, 512)) },
                        (None, None) => "a failure",
                    }
                }
            }
            @if let Some(difference) = &seen.difference {
                dt { "First difference" } dd { (isolated(&difference.to_string())) }
            }
            @if let Some(output) = &seen.accepted { dt { "Accepted" } dd { (short(output)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_all_else_is_refused() {
        let recipe = CAddr::of_blob(b"a");
        let entry = |released| LedgerEntry::damaged(recipe, released, "x");
        let placed = placed(vec![entry(false), entry(true), entry(true)]);
        let places: Vec<Place> = placed.iter().map(|(place, _)| *place).collect();
        assert_eq!(
            places,
            [(false, recipe, 0), (true, recipe, 0), (true, recipe, 1)]
        );
        assert!(places.is_sorted());
        for place in places {
            assert_eq!(parsed(&written(&place)).unwrap(), place);
        }
        for wrong in ["", "2-a-0", "0-zz-0", &format!("0-{recipe}"), "<script>"] {
            assert_eq!(parsed(wrong).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
