//! `deriva status`.

use clap::Args;
use deriva::Deriva;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Out, Style, size};

/// Count what the store holds
#[derive(Debug, Args)]
pub(crate) struct Status;

impl Status {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| status(deriva, out).await;
        store.existing().work(work).await
    }
}

async fn status(deriva: &Deriva, out: &mut Out) -> Outcome {
    let status = deriva.status().await?;
    if out.json() {
        return out.value(&status);
    }
    let style = Style::stdout();
    let count = |n: Option<u64>| n.map_or_else(|| "not known".to_owned(), |n| n.to_string());
    for (name, value) in [
        ("recipes", count(status.recipes)),
        ("outputs", count(status.outputs)),
        ("blobs", count(status.blobs)),
        (
            "blob bytes",
            status
                .blob_bytes
                .map_or_else(|| "not known".to_owned(), size),
        ),
        ("roots", count(status.roots)),
        ("cache", size(status.cache_bytes)),
        ("verification", status.verification),
        ("blob store", status.blob_store),
        ("dag store", status.dag_store),
        ("executor", status.executor),
    ] {
        out.line(format!("{} {value}", style.dim(&format!("{name:<13}"))))?;
    }
    Ok(())
}
