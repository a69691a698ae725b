//! `deriva diff`: what differs between two recipes.

use clap::Args;
use deriva::api::{AddrPrefix, CAddr, FunctionId, Value};
use deriva::{Deriva, Difference, DifferenceKind};
use serde_json::json;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Out, Style, counted, plain};

/// Tell what differs between the graphs of two addresses
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A blob or recipe as it was before, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    before: AddrPrefix,
    /// A blob or recipe as it is now, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    after: AddrPrefix,
    /// Stop after so many differences
    #[arg(long, value_name = "N", default_value_t = Deriva::DIFFERENCES)]
    limit: usize,
}

impl Diff {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| {
            let (before, after) = (
                deriva.find(&self.before).await?,
                deriva.find(&self.after).await?,
            );
            diff(deriva, before, after, self.limit, out).await
        };
        store.existing().work(work).await
    }
}

/// Tells what differs between two addresses.
async fn diff(
    deriva: &Deriva,
    before: CAddr,
    after: CAddr,
    limit: usize,
    out: &mut Out,
) -> Outcome {
    let diff = deriva.diff_up_to(before, after, limit).await?;
    if out.json() {
        return out.value(&json!({
            "before": before,
            "after": after,
            "equal": diff.differences.is_empty() && !diff.truncated,
            "differences": diff.differences,
            "compared": diff.compared,
            "truncated": diff.truncated,
        }));
    }
    print(&diff, out)
}

pub(super) fn print(diff: &deriva::Diff, out: &mut Out) -> Outcome {
    if diff.differences.is_empty() && !diff.truncated {
        return out.line("no difference: the addresses are equal");
    }
    let style = Style::stdout();
    for difference in &diff.differences {
        out.line(format!("{}{}", way(difference, style), what(difference)))?;
    }
    if diff.truncated {
        out.line("... and maybe more (--limit)")?;
    }
    let found = counted(diff.differences.len() as u64, "difference");
    let compared = counted(diff.compared, "compared pair");
    out.line(format!(
        "\n{}",
        style.accent(&format!("{found} in {compared}"))
    ))
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
                literal(from),
                literal(to)
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

fn literal(value: &Option<Value>) -> String {
    match value {
        Some(value) => serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}")),
        None => "not given".to_owned(),
    }
}
