//! `deriva why`: why a recipe would be computed, or not.

use clap::Args;
use deriva::api::{AddrPrefix, CAddr};
use deriva::{Deriva, Standing};
use serde_json::json;

use super::diff::print;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::Out;

/// Tell why an address would be computed, or would not
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
    /// Tell also what differs from this earlier one
    #[arg(long, value_name = "ADDR", value_parser = parsed::<AddrPrefix>)]
    than: Option<AddrPrefix>,
}

impl Why {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| {
            let than = match &self.than {
                Some(than) => Some(deriva.find(than).await?),
                None => None,
            };
            why(deriva, deriva.find(&self.addr).await?, than, out).await
        };
        store.existing().work(work).await
    }
}

/// Tells why an address would be computed, and what differs from another.
async fn why(deriva: &Deriva, addr: CAddr, than: Option<CAddr>, out: &mut Out) -> Outcome {
    let why = deriva.why(addr, than).await?;
    if out.json() {
        return out.value(&json!({
            "addr": why.addr,
            "standing": why.standing,
            "would_compute": why.standing.is_computed(),
            "than": than,
            "diff": why.diff,
        }));
    }
    out.line(words(why.standing))?;
    match &why.diff {
        Some(diff) => print(diff, out),
        None => Ok(()),
    }
}

fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::Blob => "a stored blob: nothing is computed",
        Standing::Present => "its output is there: nothing is computed",
        Standing::NeverComputed => "would be computed: it never was, as far as the store tells",
        Standing::OutputForgotten => {
            "would be computed again: its output was forgotten (a recipe over it has one)"
        }
        Standing::BlobLost => {
            "would be computed again: its output is recorded, but the bytes are gone"
        }
        Standing::Missing => "a request would fail: it is neither a blob nor a recipe here",
        _ => "unknown",
    }
}
