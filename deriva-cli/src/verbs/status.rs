//! `deriva status`.

use clap::Args;
use deriva::determinism::Verification;
use serde::Serialize;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, size};

/// Count what the store holds
#[derive(Debug, Args)]
pub(crate) struct Status;

impl Status {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let status = handle.status().await?;
                let ledger = handle.ledger().await?;
                let open = ledger.iter().filter(|entry| !entry.released).count();
                out.answer(&Held::new(status, open))
            })
            .await
    }
}

/// What is shown, by the names that scripts know.
#[derive(Serialize)]
struct Held {
    recipes: Option<u64>,
    outputs: Option<u64>,
    blobs: Option<u64>,
    blob_bytes: Option<u64>,
    roots: Option<u64>,
    cache_bytes: u64,
    verification: Checks,
    blob_store: String,
    dag_store: String,
    executor: String,
}

/// What came of checks, and what is known of functions that are not deterministic.
#[derive(Serialize)]
struct Checks {
    #[serde(flatten)]
    in_this_store: Verification,
    /// Entries that were not released.
    ledger_entries: usize,
}

impl Held {
    fn new(status: deriva::admin::Status, ledger_entries: usize) -> Self {
        Self {
            recipes: status.recipes,
            outputs: status.outputs,
            blobs: status.blobs,
            blob_bytes: status.blob_bytes,
            roots: status.roots,
            cache_bytes: status.cache_bytes,
            verification: Checks {
                in_this_store: status.verification,
                ledger_entries,
            },
            blob_store: status.blob_store,
            dag_store: status.dag_store,
            executor: status.executor,
        }
    }
}

impl Answer for Held {
    fn text(&self, style: Style) -> String {
        let known = |n: Option<String>| n.unwrap_or_else(|| "not known".to_owned());
        let count = |n: Option<u64>| known(n.map(|n| n.to_string()));
        let rows = [
            ("recipes", count(self.recipes)),
            ("outputs", count(self.outputs)),
            ("blobs", count(self.blobs)),
            ("blob bytes", known(self.blob_bytes.map(size))),
            ("roots", count(self.roots)),
            ("cache", size(self.cache_bytes)),
            ("blob store", self.blob_store.clone()),
            ("dag store", self.dag_store.clone()),
            ("executor", self.executor.clone()),
        ];
        let verification = self.verification.words();
        let rows = rows.into_iter();
        let rows = rows.chain(verification.map(|words| ("verification", words)));
        let lines =
            rows.map(|(name, value)| format!("{} {value}", style.dim(&format!("{name:<13}"))));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Checks {
    /// For people, where there is something to tell.
    fn words(&self) -> Option<String> {
        let total = &self.in_this_store.total;
        let mut words = Vec::new();
        if total.checked > 0 {
            let checked = counted(total.checked, "computation");
            let violated = total.violated;
            let most = 100.0 * total.rate_at_most;
            words.push(format!(
                "{checked} checked, {violated} violated: at most {most:.2} % disagree (95 % confidence)"
            ));
        }
        match self.ledger_entries {
            0 => {}
            1 => words.push("the ledger has 1 recipe (`deriva ledger ls`)".to_owned()),
            n => words.push(format!("the ledger has {n} recipes (`deriva ledger ls`)")),
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}
