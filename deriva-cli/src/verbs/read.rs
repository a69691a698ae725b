//! `deriva get`, `show` and `explain`.

use std::path::Path;

use deriva::api::{CAddr, Error, ErrorKind, Value};
use deriva::{Deriva, NodeState, Shown};
use serde_json::json;

use crate::exit::Outcome;
use crate::files;
use crate::term::{Out, Style, counted, lines, size, table, time};

/// Rows of `explain` without `--all`.
const ROWS: usize = 50;

/// Writes the bytes of an address to stdout or to a file.
pub(crate) async fn get(
    deriva: &Deriva,
    addr: CAddr,
    output: Option<&Path>,
    out: &mut Out,
) -> Outcome {
    if let Some(path) = output {
        let (stat, written) = files::write(deriva, addr, path).await?;
        return match out.json() {
            true => out.value(&json!({
                "addr": stat.addr, "path": path.display().to_string(), "bytes": stat.len, "written": written,
            })),
            false => Ok(()),
        };
    }
    if out.json() {
        return Err(
            crate::usage("`get --json` describes a file, and stdout takes the bytes")
                .hint("add -o FILE, or leave --json away")
                .into(),
        );
    }
    let mut reader = deriva.open(addr).await?;
    while let Some(chunk) = reader.next_chunk().await? {
        out.bytes(&chunk)?;
    }
    out.flush()
}

/// Tells what an address is.
pub(crate) async fn show(deriva: &Deriva, addr: CAddr, out: &mut Out) -> Outcome {
    let style = Style::stdout();
    let node = match deriva.show(addr).await? {
        Shown::Blob(stat) => {
            if out.json() {
                return out.value(&json!({ "kind": "blob", "addr": stat.addr, "bytes": stat.len }));
            }
            out.line(format!("{} {}", style.dim("blob  "), stat.addr))?;
            return out.line(format!(
                "{} {} ({} bytes)",
                style.dim("length"),
                size(stat.len),
                stat.len
            ));
        }
        Shown::Recipe(node) => node,
    };
    let recipe = &node.recipe;
    if out.json() {
        let output = node.output.map(|output| {
            json!({ "addr": output.addr, "bytes": output.len, "cost_seconds": output.cost.as_secs_f64() })
        });
        return out.value(&json!({
            "kind": "recipe",
            "addr": recipe.addr(),
            "function": recipe.function(),
            "inputs": recipe.inputs().collect::<Vec<_>>(),
            "params": recipe.params(),
            "output": output,
        }));
    }
    out.line(format!("{} {}", style.dim("recipe  "), recipe.addr()))?;
    out.line(format!("{} {}", style.dim("function"), recipe.function()))?;
    for (name, value) in recipe.params().iter() {
        out.line(format!(
            "{} {name} = {}",
            style.dim("param   "),
            plain(value)
        ))?;
    }
    for input in recipe.inputs() {
        out.line(format!("{} {input}", style.dim("input   ")))?;
    }
    match node.output {
        Some(output) => out.line(format!(
            "{} {} ({}, computed in {})",
            style.dim("output  "),
            output.addr,
            size(output.len),
            time(output.cost)
        )),
        None => out.line(format!("{} not computed yet", style.dim("output  "))),
    }
}

/// Tells what is there and what a `get` would compute.
pub(crate) async fn explain(deriva: &Deriva, addr: CAddr, all: bool, out: &mut Out) -> Outcome {
    let explanation = deriva.explain(addr).await?;
    let compute = explanation
        .nodes
        .iter()
        .filter(|node| node.state.is_computed())
        .count();
    if out.json() {
        let mut value = serde_json::to_value(&explanation).map_err(|source| {
            Error::new(
                ErrorKind::Internal,
                "an explanation could not be written as JSON",
            )
            .caused_by(source)
        })?;
        if let Some(object) = value.as_object_mut() {
            object.insert("would_compute".into(), compute.into());
        }
        return out.value(&value);
    }
    let mut rows = table([
        ("address", false),
        ("function", false),
        ("state", false),
        ("inputs", true),
        ("bytes", true),
    ]);
    let shown = if all { explanation.nodes.len() } else { ROWS };
    for node in explanation.nodes.iter().take(shown) {
        rows.add_row([
            node.addr.short(),
            node.function
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
            words(node.state).to_owned(),
            node.inputs.len().to_string(),
            node.len.map_or_else(|| "-".to_owned(), size),
        ]);
    }
    out.line(lines(&rows))?;
    let hidden = explanation.nodes.len().saturating_sub(shown);
    if hidden > 0 {
        out.line(format!(
            "... and {} (--all lists them)",
            counted(hidden as u64, "more node")
        ))?;
    }
    for addr in &explanation.missing {
        out.line(format!(
            "missing: {addr} is neither a blob nor a recipe here"
        ))?;
    }
    for id in &explanation.unknown_functions {
        out.line(format!("unknown function: {id}"))?;
    }
    let verdict = match compute {
        0 if explanation.missing.is_empty() => "nothing would be computed".to_owned(),
        _ if !explanation.missing.is_empty() || !explanation.unknown_functions.is_empty() => {
            "a request would fail before any work".to_owned()
        }
        n => format!("{} would be computed", counted(n as u64, "recipe")),
    };
    out.line(format!("\n{}", Style::stdout().accent(&verdict)))
}

fn words(state: NodeState) -> &'static str {
    match state {
        NodeState::Leaf => "stored blob",
        NodeState::Present => "output is there: reused",
        NodeState::Lost => "output recorded, bytes gone: computed again",
        NodeState::Absent => "never computed: computed",
        NodeState::InFlight => "being computed by another request",
        NodeState::UnknownFunction => "function not known here",
        NodeState::Missing => "missing",
        _ => "unknown",
    }
}

fn plain(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}
