//! What a bisection tells.

use deriva::determinism::{Difference, Violation};
use deriva::{CAddr, FunctionId};
use serde::Serialize;

use crate::term::{Answer, Style, counted, plain};

/// What was compared, and which recipes are the earliest that differ.
#[derive(Default, Serialize)]
pub(super) struct Bisected {
    pub(super) compared: u64,
    pub(super) differing: u64,
    pub(super) culprits: Vec<Culprit>,
    /// Recipes of which nothing can be said.
    pub(super) unknown: Vec<CAddr>,
    pub(super) seconds: f64,
}

/// A recipe whose inputs agree and whose outputs do not.
#[derive(Serialize)]
pub(super) struct Culprit {
    pub(super) recipe: CAddr,
    pub(super) function: FunctionId,
    /// What the first store has.
    pub(super) first: Option<CAddr>,
    pub(super) first_len: u64,
    /// What the second store has, or what the recipe gives now.
    pub(super) second: Option<CAddr>,
    pub(super) second_len: u64,
    /// Why it gives nothing now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<Difference>,
}

impl Culprit {
    /// What an audit saw: what is recorded comes first.
    pub(super) fn seen(violation: &Violation) -> Option<Self> {
        let [first, second, ..] = violation.answers.as_slice() else {
            return None;
        };
        Some(Self {
            recipe: violation.recipe,
            function: violation.function.clone(),
            first: first.addr,
            first_len: first.len,
            second: second.addr,
            second_len: second.len,
            error: second.error.clone(),
            difference: violation.difference.clone(),
        })
    }

    fn lines(&self, style: Style) -> Vec<String> {
        let output = |addr: Option<CAddr>, len| match addr {
            Some(addr) => format!("{addr} ({len} B)"),
            None => {
                let error = self.error.as_deref().unwrap_or_default();
                format!("a failure: {}", plain(error))
            }
        };
        let mut lines = vec![
            format!("{} {} {}", style.error("x"), self.recipe, self.function),
            format!(
                "    {}  {}",
                style.dim("first:"),
                output(self.first, self.first_len)
            ),
            format!(
                "    {} {}",
                style.dim("second:"),
                output(self.second, self.second_len)
            ),
        ];
        if let Some(difference) = &self.difference {
            lines.push(format!(
                "    {} {difference}",
                style.dim("first difference:")
            ));
        }
        lines
    }
}

impl Answer for Bisected {
    fn text(&self, style: Style) -> String {
        let mut lines = vec![format!(
            "compared {}: {} differ",
            counted(self.compared, "recipe"),
            self.differing
        )];
        lines.extend(
            self.culprits
                .iter()
                .flat_map(|culprit| culprit.lines(style)),
        );
        match self.unknown.as_slice() {
            [] => {}
            [addr] => lines.push(format!(
                "nothing can be said of {addr}: it has no output to compare"
            )),
            [addr, more @ ..] => lines.push(format!(
                "nothing can be said of {addr} and {} more: they have no outputs to compare",
                more.len()
            )),
        }
        lines.push(match (self.differing, self.culprits.len()) {
            (0, _) => style.good("nothing differs"),
            (_, 0) => style.error("what differs was made from what cannot be compared"),
            (_, n) => style.error(&format!(
                "{}: inputs agree, and outputs do not",
                counted(n as u64, "culprit")
            )),
        });
        lines.join("\n")
    }
}
