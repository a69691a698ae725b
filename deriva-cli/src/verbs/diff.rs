//! `deriva diff`: what differs between two recipes.

use clap::Args;
use deriva::admin::{Difference, DifferenceKind};
use deriva::{AddrPrefix, CAddr, Deriva, FunctionId, Value};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::shared::literal;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, plain};

/// Tell what differs between the graphs of two addresses
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A blob or recipe as it was before, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    before: AddrPrefix,
    /// A blob or recipe as it is now, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    after: AddrPrefix,
    /// Stop after N differences
    #[arg(long, value_name = "N", default_value_t = Deriva::DIFFERENCES)]
    limit: usize,
}

impl Diff {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let before = handle.find(&self.before).await?;
                let after = handle.find(&self.after).await?;
                let diff = handle.diff_up_to(before, after, self.limit).await?;
                out.answer(&Compared {
                    before,
                    after,
                    diff,
                })
            })
            .await
    }
}

/// Two addresses, and what differs between them.
struct Compared {
    before: CAddr,
    after: CAddr,
    diff: deriva::admin::Diff,
}

impl Serialize for Compared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let diff = &self.diff;
        json!({
            "before": self.before,
            "after": self.after,
            "equal": is_empty(diff),
            "differences": diff.differences,
            "compared": diff.compared,
            "truncated": diff.truncated,
        })
        .serialize(serializer)
    }
}

impl Answer for Compared {
    fn text(&self, style: Style) -> String {
        text(&self.diff, style)
    }
}

fn is_empty(diff: &deriva::admin::Diff) -> bool {
    diff.differences.is_empty() && !diff.truncated
}

/// The differences, one a line, and how many they are.
pub(super) fn text(diff: &deriva::admin::Diff, style: Style) -> String {
    if is_empty(diff) {
        return "no difference: the addresses are equal".to_owned();
    }
    let mut lines: Vec<String> = diff
        .differences
        .iter()
        .map(|difference| format!("{}{}", way(difference, style), what(difference)))
        .collect();
    if diff.truncated {
        lines.push("... and maybe more (--limit)".to_owned());
    }
    let found = counted(diff.differences.len() as u64, "difference");
    let compared = counted(diff.compared, "compared pair");
    lines.push(format!(
        "\n{}",
        style.accent(&format!("{found} in {compared}"))
    ));
    lines.join("\n")
}

/// The recipes above a difference, as `function input N > ...`.
fn way(difference: &Difference, style: Style) -> String {
    let mut way = String::new();
    if difference.above > 0 {
        way += &format!("({}) > ", counted(difference.above, "recipe"));
    }
    for passed in &difference.path {
        way += &format!("{} input {} > ", passed.function, passed.input);
    }
    style.dim(&way)
}

fn what(difference: &Difference) -> String {
    let function = difference
        .function
        .as_ref()
        .map_or_else(|| "blob".to_owned(), FunctionId::to_string);
    let (before, after) = (difference.before.short(), difference.after.short());
    match &difference.kind {
        DifferenceKind::FunctionChanged { from, to } => format!("function changed: {from} -> {to}"),
        DifferenceKind::VersionChanged { from, to } => format!("version changed: {from} -> {to}"),
        DifferenceKind::ParamChanged { name, from, to } => {
            format!(
                "{function}: param {} changed: {} -> {}",
                plain(name),
                given(from),
                given(to)
            )
        }
        DifferenceKind::InputAdded { input, addr } => {
            format!("{function}: input {input} added: {}", addr.short())
        }
        DifferenceKind::InputRemoved { input, addr } => {
            format!("{function}: input {input} removed: {}", addr.short())
        }
        DifferenceKind::InputsReordered => format!("{function}: the same inputs in another order"),
        DifferenceKind::BlobChanged => format!("blob changed: {before} -> {after}"),
        DifferenceKind::BlobBecameRecipe => {
            format!("a blob became a recipe of {function}: {before} -> {after}")
        }
        DifferenceKind::RecipeBecameBlob => format!("a recipe became a blob: {before} -> {after}"),
        _ => format!("{function}: {before} -> {after}"),
    }
}

fn given(value: &Option<Value>) -> String {
    value
        .as_ref()
        .map_or_else(|| "not given".to_owned(), literal)
}
