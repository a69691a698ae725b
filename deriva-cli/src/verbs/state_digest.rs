//! `deriva state-digest`.

use clap::Args;
use deriva::CAddr;
use serde::Serialize;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

/// Print one hash over recipes, outputs, roots and blobs
#[derive(Debug, Args)]
pub(crate) struct StateDigest;

impl StateDigest {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let digest = handle.state_digest().await?;
                out.answer(&Digest { digest })
            })
            .await
    }
}

/// A hash over all that is stored.
#[derive(Serialize)]
struct Digest {
    digest: CAddr,
}

impl Answer for Digest {
    fn text(&self, _: Style) -> String {
        self.digest.to_string()
    }
}
