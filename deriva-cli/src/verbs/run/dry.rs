//! What a run would compute, and why. Writes nothing.

use std::path::Path;

use deriva::admin::NodeState;
use deriva::{CAddr, Result};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::expand::Expansion;
use super::lists::Stale;
use super::report::stale_lines;
use crate::handle::Handle;
use crate::pipeline::Pipeline;
use crate::term::{Answer, Style, counted, lines, table};

/// What would run in one step.
#[derive(Clone, Default)]
struct Row {
    nodes: u64,
    never: u64,
    lost: u64,
    /// Refused, as their runs gave different outputs.
    condemned: u64,
    /// Reused, or above what is reused.
    rest: u64,
    /// An item that would run.
    example: Option<String>,
}

impl Row {
    fn runs(&self) -> u64 {
        self.never + self.lost
    }
}

/// Tells what a run would do.
pub(crate) async fn explain<'a>(
    handle: &Handle,
    pipeline: &'a Pipeline,
    expansion: &Expansion,
    output: &Path,
) -> Result<Foretold<'a>> {
    let wanted = super::outputs::wanted(pipeline, expansion);
    let would_run = would_run(handle, expansion, &wanted).await?;
    let mut rows = vec![Row::default(); pipeline.steps.len()];
    for (node, found) in would_run.iter().enumerate() {
        let Some(step) = (expansion.owner[node] as usize).checked_sub(expansion.sources) else {
            continue;
        };
        let row = &mut rows[step];
        row.nodes += 1;
        match found {
            None => {
                row.rest += 1;
                continue;
            }
            Some(NodeState::Lost) => row.lost += 1,
            Some(NodeState::Condemned) => {
                row.condemned += 1;
                continue;
            }
            Some(_) => row.never += 1,
        }
        if row.example.is_none() {
            row.example = expansion.item_name(node as u32).map(str::to_owned);
        }
    }
    Ok(Foretold {
        pipeline,
        rows,
        stale: super::outputs::would_remove(pipeline, expansion, output)?,
    })
}

/// The state of each node that a request for `wanted` would compute: one without output that it reaches without
/// crossing one that has. A recipe that is new is missing from the stores. Looked up as a request does, level by level.
async fn would_run(
    handle: &Handle,
    expansion: &Expansion,
    wanted: &[CAddr],
) -> Result<Vec<Option<NodeState>>> {
    let mut would_run = vec![None; expansion.len()];
    let mut met = vec![false; expansion.len()];
    let mut meet = |node: &u32| {
        !expansion.is_source(*node) && !std::mem::replace(&mut met[*node as usize], true)
    };
    let mut frontier: Vec<u32> = wanted
        .iter()
        .filter_map(|addr| expansion.node(addr))
        .filter(&mut meet)
        .collect();
    while !frontier.is_empty() {
        let addrs: Vec<CAddr> = frontier
            .iter()
            .map(|node| expansion.addrs[*node as usize])
            .collect();
        let states = handle.states(&addrs).await?;
        let mut next = Vec::new();
        for (node, state) in frontier.into_iter().zip(states) {
            if state != NodeState::Present {
                would_run[node as usize] = Some(state);
            }
            if !matches!(state, NodeState::Present | NodeState::Condemned) {
                next.extend(expansion.inputs(node).iter().copied().filter(&mut meet));
            }
        }
        frontier = next;
    }
    Ok(would_run)
}

/// What a run would do.
pub(crate) struct Foretold<'a> {
    pipeline: &'a Pipeline,
    /// By step.
    rows: Vec<Row>,
    stale: Stale,
}

impl Foretold<'_> {
    fn sum(&self, of: fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).sum()
    }
}

impl Serialize for Foretold<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let steps = self
            .pipeline
            .steps
            .iter()
            .zip(&self.rows)
            .map(|(step, row)| {
                json!({
                    "name": step.name,
                    "function": step.function.id(),
                    "nodes": row.nodes,
                    "would_compute": row.runs(),
                    "never_computed": row.never,
                    "lost": row.lost,
                    "condemned": row.condemned,
                    "reused": row.rest,
                    "example": row.example,
                })
            });
        json!({
            "pipeline": self.pipeline.name,
            "nodes": self.sum(|row| row.nodes),
            "would_compute": self.sum(Row::runs),
            "reused": self.sum(|row| row.rest),
            "would_remove": self.stale.remove,
            "edited": self.stale.edited,
            "steps": steps.collect::<Vec<_>>(),
        })
        .serialize(serializer)
    }
}

impl Answer for Foretold<'_> {
    fn text(&self, style: Style) -> String {
        let mut steps = table([
            ("step", false),
            ("function", false),
            ("nodes", true),
            ("would run", true),
            ("reused", true),
            ("why", false),
        ]);
        for (step, row) in self.pipeline.steps.iter().zip(&self.rows) {
            steps.add_row([
                step.name.clone(),
                step.function.id().to_string(),
                row.nodes.to_string(),
                row.runs().to_string(),
                row.rest.to_string(),
                why(row),
            ]);
        }
        let verdict = match self.sum(Row::runs) {
            _ if self.sum(|row| row.condemned) > 0 => style.error(
                "a run would fail: runs of recipes that it needs gave different outputs (`deriva ledger ls`)",
            ),
            0 => style.good("nothing would run: every result is there"),
            n => format!(
                "{} of {} would run; fewer where a changed file gives the same result",
                n,
                counted(self.sum(|row| row.nodes), "recipe")
            ),
        };
        let stale = stale_lines(&self.stale, "would be removed");
        format!("{}\n{stale}\n{verdict}", lines(&steps))
    }
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
    if row.condemned > 0 {
        reasons.push(format!("{} refused, as their runs differed", row.condemned));
    }
    reasons.join("; ")
}
