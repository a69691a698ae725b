//! Whether the suite notices what is broken on purpose.

use std::sync::atomic::{AtomicUsize, Ordering};

use comfy_table::{Table, presets};
use conformance::mutants::{self, Mutant};
use deriva_api::Result;
use parking_lot::Mutex;
use serde_json::json;

use crate::args::MutantsReport;
use crate::verbs::{print, progress_bar};

/// Runs all cases on each mutant and prints which of them failed; answers whether no mutant survived.
pub(crate) fn mutants(report: MutantsReport) -> Result<bool> {
    let hunted = hunt();
    let survived = hunted.iter().filter(|(_, caught)| caught.is_empty());
    let survived = survived.count();
    match report {
        MutantsReport::Json => {
            for (mutant, caught_by) in &hunted {
                let line = json!({
                    "mutant": mutant.name,
                    "breaks": mutant.breaks,
                    "caught_by": caught_by,
                });
                print(&format!("{line}\n"))?;
            }
        }
        MutantsReport::Table => {
            print(&table(&hunted))?;
            let caught = hunted.len() - survived;
            print(&format!("\n{caught} of {} mutants caught\n", hunted.len()))?;
        }
    }
    Ok(survived == 0)
}

type Hunted = (&'static Mutant, Vec<&'static str>);

/// Every mutant with the cases that failed for it. Several mutants at a time: most of their time they wait.
fn hunt() -> Vec<Hunted> {
    let all = mutants::all();
    let bar = progress_bar(all.len());
    let next = AtomicUsize::new(0);
    let hunted = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    bar.set_message(mutant.name);
                    let caught = mutant.caught(true);
                    hunted.lock().push((mutant, caught));
                    bar.inc(1);
                }
            });
        }
    });
    drop(std::panic::take_hook());
    bar.finish_and_clear();
    let mut hunted = hunted.into_inner();
    hunted.sort_by_key(|(mutant, _)| all.iter().position(|known| known.name == mutant.name));
    hunted
}

fn table(hunted: &[Hunted]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["mutant", "breaks", "caught by"]);
    for (mutant, caught) in hunted {
        let caught = match caught.as_slice() {
            [] => "SURVIVED".to_owned(),
            [first] => (*first).to_owned(),
            // The declared case says most; the others are many.
            [first, rest @ ..] => {
                let declared = caught.iter().find(|name| **name == mutant.caught_by);
                format!("{} and {} more", declared.unwrap_or(first), rest.len())
            }
        };
        table.add_row([mutant.name, mutant.breaks, &caught]);
    }
    let lines = table.lines();
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}
