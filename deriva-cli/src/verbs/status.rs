//! `deriva status`.

use clap::Args;

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
            .work(async |deriva| out.answer(&deriva.status().await?))
            .await
    }
}

impl Answer for deriva::Status {
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
            ("verification", self.verification.clone()),
            ("blob store", self.blob_store.clone()),
            ("dag store", self.dag_store.clone()),
            ("executor", self.executor.clone()),
        ]
        .map(|(name, value)| format!("{} {value}", style.dim(&format!("{name:<13}"))))
        .join("\n")
    }
}
