//! `deriva status`.

use clap::Args;
use serde::Serialize;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, size};

/// Count what the store holds
#[derive(Debug, Args)]
pub(crate) struct Status;

impl Status {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |deriva| out.answer(&Held::from(deriva.status().await?)))
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
    /// How computations are checked by repeating them: not at all.
    verification: &'static str,
    blob_store: String,
    dag_store: String,
    executor: String,
}

impl From<deriva::admin::Status> for Held {
    fn from(status: deriva::admin::Status) -> Self {
        Self {
            recipes: status.recipes,
            outputs: status.outputs,
            blobs: status.blobs,
            blob_bytes: status.blob_bytes,
            roots: status.roots,
            cache_bytes: status.cache_bytes,
            verification: "off",
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
        [
            ("recipes", count(self.recipes)),
            ("outputs", count(self.outputs)),
            ("blobs", count(self.blobs)),
            ("blob bytes", known(self.blob_bytes.map(size))),
            ("roots", count(self.roots)),
            ("cache", size(self.cache_bytes)),
            ("verification", self.verification.to_owned()),
            ("blob store", self.blob_store.clone()),
            ("dag store", self.dag_store.clone()),
            ("executor", self.executor.clone()),
        ]
        .map(|(name, value)| format!("{} {value}", style.dim(&format!("{name:<13}"))))
        .join("\n")
    }
}
