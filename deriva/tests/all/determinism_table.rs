//! The table of the guide: which lies which checks catch. `UPDATE_GUIDE=1` writes it anew.

use std::fmt::Write;
use std::path::Path;

use deriva::prelude::*;
use deriva_testkit::functions::{Liar, liars, light, reads_a_file};

const PAGE: &str = "../docs/guide/determinism.md";
const BEGIN: &str = "<!-- liars: UPDATE_GUIDE=1 writes this table anew -->\n";
const END: &str = "<!-- end of liars -->\n";

const MODES: [&str; 3] = ["dual", "quorum:2/3", "sampled:1"];
/// The columns: as a function of which weight, perturbed or not.
const RUNS: [(Weight, bool); 4] = [
    (Weight::Heavy, true),
    (Weight::Heavy, false),
    (Weight::Light, true),
    (Weight::Light, false),
];

/// Midnight may pass between two runs, and a run be interrupted for longer than a clock needs to move on.
const ATTEMPTS: usize = 4;

/// Whether what is said of a liar holds for this system.
fn is_so_here(liar: &Liar) -> bool {
    cfg!(target_os = "linux") || liar.function.id().name() != "liar.folder"
}

/// All liars, and one that reads a file which nobody changes meanwhile.
fn all(file: &Path) -> Vec<Liar> {
    let mut all = liars();
    all.push(reads_a_file(file.to_owned()).unwrap());
    all
}

/// Which liars are in the ledger after a request that checks all of them, in their order.
async fn caught(file: &Path, mode: &str, weight: Weight, perturb: bool) -> Vec<bool> {
    let liars = all(file);
    let mut functions = FunctionRegistry::new();
    for liar in &liars {
        let function = match weight {
            Weight::Heavy => liar.function.clone(),
            Weight::Light => light(liar.function.clone()),
        };
        functions.register(function).unwrap();
    }
    let builder = Deriva::builder().store("memory:").functions(functions);
    let deriva = builder.jobs(2).perturb(perturb).build().await.unwrap();
    let leaf = deriva.put("an input of some length").await.unwrap();
    let mut found = Vec::new();
    for liar in &liars {
        let id = liar.function.id();
        // What a thread did before is nothing at its first call.
        for inputs in [&[][..], &[leaf]] {
            let recipe = deriva.recipe(id.name(), id.version());
            let addr = recipe
                .inputs(inputs.iter().copied())
                .insert()
                .await
                .unwrap();
            let request = deriva.materialize(addr);
            // What counts is what the ledger has, whatever became of the request.
            let _ = request.determinism(mode.parse().unwrap()).await;
            if !inputs.is_empty() {
                found.push(addr);
            }
        }
    }
    let ledger = deriva.ledger().await.unwrap();
    let is_there = |addr: &CAddr| ledger.iter().any(|entry| entry.recipe == *addr);
    found.iter().map(is_there).collect()
}

/// The table, after the runs that it tells of.
async fn table() -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "as it was").unwrap();
    let liars = all(&file);
    let mut cells = vec![Vec::new(); liars.len()];
    for (weight, perturb) in RUNS {
        for mode in MODES {
            let mut wrong = Vec::new();
            for _ in 0..ATTEMPTS {
                let caught = caught(&file, mode, weight, perturb).await;
                let found = liars.iter().zip(caught);
                let is_wrong = |(liar, is_caught): &(&Liar, bool)| {
                    let sure = liar.is_seen(weight, perturb);
                    sure.is_some_and(|sure| sure != *is_caught) && is_so_here(liar)
                };
                wrong = found.filter(is_wrong).collect();
                if wrong.is_empty() {
                    break;
                }
            }
            assert!(
                wrong.is_empty(),
                "{weight:?}, {mode}, perturbed: {perturb}: {wrong:?}"
            );
        }
        for (liar, cells) in liars.iter().zip(&mut cells) {
            cells.push(match liar.is_seen(weight, perturb) {
                Some(true) => "caught",
                Some(false) => "no",
                None => "sometimes",
            });
        }
    }
    let mut table = String::from(
        "| a function that looks at | heavy, perturbed | heavy, not | light, perturbed | light, not | why |\n\
         |---|---|---|---|---|---|\n",
    );
    for (liar, cells) in liars.iter().zip(cells) {
        let Liar { looks_at, why, .. } = liar;
        writeln!(table, "| {looks_at} | {} | {why} |", cells.join(" | ")).unwrap();
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_says_which_lies_are_caught() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let table = table().await;
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        std::fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, table, "UPDATE_GUIDE=1 writes the table anew");
}
