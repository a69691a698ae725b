//! What a run would compute, and why. Writes nothing.

use std::path::Path;

use deriva::Deriva;
use deriva::api::{CAddr, Result};
use serde_json::json;

use super::expand::Expansion;
use super::lists::Stale;
use super::report::stale_lines;
use crate::exit::Outcome;
use crate::pipeline::Pipeline;
use crate::term::{Out, Style, counted, lines, table};

const BATCH: usize = 4096;

/// What the stores know of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Output recorded and stored, or a source.
    There,
    /// Output recorded, but the bytes are gone.
    Lost,
    /// No output recorded.
    Never,
}

/// What would run in one step.
#[derive(Clone, Default)]
struct Row {
    nodes: u64,
    never: u64,
    lost: u64,
    /// Reused, or above what is reused.
    rest: u64,
    /// An item that would run.
    example: Option<String>,
}

/// Prints what a run would do.
pub(crate) async fn explain(
    deriva: &Deriva,
    pipeline: &Pipeline,
    expansion: &Expansion,
    output: &Path,
    out: &mut Out,
) -> Outcome {
    let found = look_up(deriva, expansion).await?;
    let wanted = super::outputs::wanted(pipeline, expansion);
    let would_run = needed(expansion, &found, &wanted);
    let mut rows = vec![Row::default(); pipeline.steps.len()];
    for (node, runs) in would_run.iter().enumerate() {
        let Some(step) = (expansion.owner[node] as usize).checked_sub(expansion.sources) else {
            continue;
        };
        let row = &mut rows[step];
        row.nodes += 1;
        if !runs {
            row.rest += 1;
            continue;
        }
        match found[node] {
            Found::Lost => row.lost += 1,
            _ => row.never += 1,
        }
        if row.example.is_none() {
            row.example = expansion.item_name(node as u32).map(str::to_owned);
        }
    }
    let stale = super::outputs::would_remove(pipeline, expansion, output)?;
    print(pipeline, &rows, &stale, out)
}

async fn look_up(deriva: &Deriva, expansion: &Expansion) -> Result<Vec<Found>> {
    let mut found = Vec::with_capacity(expansion.len());
    for batch in expansion.addrs.chunks(BATCH) {
        let start = found.len();
        let outputs = deriva.dag().outputs(batch).await?;
        let contents: Vec<CAddr> = outputs.iter().flatten().map(|output| output.addr).collect();
        let mut stats = deriva.blobs().stat(&contents).await?.into_iter();
        for (i, output) in outputs.iter().enumerate() {
            found.push(match output {
                _ if expansion.is_source((start + i) as u32) => Found::There,
                None => Found::Never,
                Some(_) if stats.next().flatten().is_some() => Found::There,
                Some(_) => Found::Lost,
            });
        }
    }
    Ok(found)
}

/// Which nodes a request for `wanted` would compute: those without output that it reaches without
/// crossing one that has.
fn needed(expansion: &Expansion, found: &[Found], wanted: &[CAddr]) -> Vec<bool> {
    let mut runs = vec![false; expansion.len()];
    let mut open: Vec<u32> = wanted
        .iter()
        .filter_map(|addr| expansion.node(addr))
        .collect();
    while let Some(node) = open.pop() {
        let at = node as usize;
        if found[at] == Found::There || std::mem::replace(&mut runs[at], true) {
            continue;
        }
        open.extend(expansion.inputs(node));
    }
    runs
}

fn print(pipeline: &Pipeline, rows: &[Row], stale: &Stale, out: &mut Out) -> Outcome {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let (nodes, rest) = (sum(|row| row.nodes), sum(|row| row.rest));
    let runs = nodes - rest;
    if out.json() {
        let steps = pipeline.steps.iter().zip(rows).map(|(step, row)| {
            json!({
                "name": step.name,
                "function": step.function.id(),
                "nodes": row.nodes,
                "would_compute": row.never + row.lost,
                "never_computed": row.never,
                "lost": row.lost,
                "reused": row.rest,
                "example": row.example,
            })
        });
        return out.value(&json!({
            "pipeline": pipeline.name,
            "nodes": nodes,
            "would_compute": runs,
            "reused": rest,
            "would_remove": stale.remove,
            "edited": stale.edited,
            "steps": steps.collect::<Vec<_>>(),
        }));
    }
    let mut steps = table([
        ("step", false),
        ("function", false),
        ("nodes", true),
        ("would run", true),
        ("reused", true),
        ("why", false),
    ]);
    for (step, row) in pipeline.steps.iter().zip(rows) {
        steps.add_row([
            step.name.clone(),
            step.function.id().to_string(),
            row.nodes.to_string(),
            (row.never + row.lost).to_string(),
            row.rest.to_string(),
            why(row),
        ]);
    }
    out.line(lines(&steps))?;
    let style = Style::stdout();
    let verdict = match runs {
        0 => style.good("nothing would run: every result is there"),
        n => format!(
            "{} of {} would run; fewer where a changed file gives the same result",
            n,
            counted(nodes, "recipe")
        ),
    };
    let stale = stale_lines(stale, "would be removed");
    out.line(format!("{stale}\n{verdict}"))
}

fn why(row: &Row) -> String {
    let mut reasons = Vec::new();
    if row.never > 0 {
        let example = row
            .example
            .as_deref()
            .map(|e| format!(", such as {e}"))
            .unwrap_or_default();
        reasons.push(format!("{} new or with changed input{example}", row.never));
    }
    if row.lost > 0 {
        reasons.push(format!("{} whose stored bytes are gone", row.lost));
    }
    reasons.join("; ")
}
