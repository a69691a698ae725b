//! `deriva why`: why a recipe would be computed, or not.

use clap::Args;
use deriva::admin::NodeState;
use deriva::{AddrPrefix, CAddr};
use deriva_draw::standing;
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
    /// What a request would do and why, for programs.
    fn standing(&self) -> &'static str {
        match self.why.state {
            NodeState::Leaf => "blob",
            NodeState::Present => "present",
            NodeState::Absent if self.why.forgotten => "output-forgotten",
            NodeState::Absent => "never-computed",
            NodeState::Lost => "blob-lost",
            NodeState::InFlight => "in-flight",
            NodeState::UnknownFunction => "unknown-function",
            NodeState::Condemned => "condemned",
            NodeState::Missing => "missing",
            _ => "unknown",
        }
    }

    /// The same for people, and the verb that tells more.
    fn words(&self) -> String {
        let words = standing(self.why.state, self.why.forgotten);
        match self.why.state {
            NodeState::Condemned => format!("{words} (`deriva ledger ls`)"),
            _ => words.to_owned(),
        }
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "addr": self.why.addr,
            "standing": self.standing(),
            "would_compute": self.why.state.is_computed(),
            "than": self.previous,
            "diff": self.why.diff,
        })
        .serialize(serializer)
    }
}

impl Answer for Told {
    fn text(&self, style: Style) -> String {
        let words = self.words();
        match &self.why.diff {
            Some(diff) => format!("{words}\n{}", diff::text(diff, style)),
            None => words,
        }
    }
}
