//! `deriva state-digest`.

use clap::Args;
use deriva::Deriva;
use serde_json::json;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::Out;

/// Print one hash over recipes, outputs, roots and blobs
#[derive(Debug, Args)]
pub(crate) struct StateDigest;

impl StateDigest {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| state_digest(deriva, out).await;
        store.existing().work(work).await
    }
}

async fn state_digest(deriva: &Deriva, out: &mut Out) -> Outcome {
    let digest = deriva.state_digest().await?;
    match out.json() {
        true => out.value(&json!({ "digest": digest })),
        false => out.line(digest),
    }
}
