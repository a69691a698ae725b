//! `deriva why`: why a recipe would be computed, or not.

use clap::Args;
use deriva::admin::NodeState;
use deriva::{AddrPrefix, CAddr};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::diff;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

/// Tell why an address would be computed, or would not
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
    /// Tell also what differs from this earlier one
    #[arg(long, alias = "than", value_name = "ADDR", value_parser = parsed::<AddrPrefix>)]
    previous: Option<AddrPrefix>,
}

impl Why {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let previous = match &self.previous {
                    Some(previous) => Some(handle.find(previous).await?),
                    None => None,
                };
                let addr = handle.find(&self.addr).await?;
                let why = handle.why(addr, previous).await?;
                out.answer(&Told { why, previous })
            })
            .await
    }
}

/// Why an address would be computed, and the address that it was compared with.
struct Told {
    why: deriva::admin::Why,
    previous: Option<CAddr>,
}

impl Told {
    /// What a request would do and why: for programs, and for people.
    fn standing(&self) -> (&'static str, &'static str) {
        match self.why.state {
            NodeState::Leaf => ("blob", "a stored blob: nothing is computed"),
            NodeState::Present => ("present", "its output is there: nothing is computed"),
            NodeState::Absent if self.why.forgotten => (
                "output-forgotten",
                "would be computed again: its output was forgotten (a recipe over it has one)",
            ),
            NodeState::Absent => (
                "never-computed",
                "would be computed: it never was, as far as the store tells",
            ),
            NodeState::Lost => (
                "blob-lost",
                "would be computed again: its output is recorded, but the bytes are gone",
            ),
            NodeState::InFlight => ("in-flight", "another request computes it"),
            NodeState::UnknownFunction => (
                "unknown-function",
                "a request would fail: its function is not known here",
            ),
            NodeState::Condemned => (
                "condemned",
                "a request would fail: its runs gave different outputs, or its function is in quarantine (`deriva ledger ls`)",
            ),
            NodeState::Missing => (
                "missing",
                "a request would fail: it is neither a blob nor a recipe here",
            ),
            _ => ("unknown", "unknown"),
        }
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "addr": self.why.addr,
            "standing": self.standing().0,
            "would_compute": self.why.state.is_computed(),
            "than": self.previous,
            "diff": self.why.diff,
        })
        .serialize(serializer)
    }
}

impl Answer for Told {
    fn text(&self, style: Style) -> String {
        let (_, words) = self.standing();
        match &self.why.diff {
            Some(diff) => format!("{words}\n{}", diff::text(diff, style)),
            None => words.to_owned(),
        }
    }
}
