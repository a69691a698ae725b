//! `deriva get` and `show`.

use std::path::Path;

use deriva::api::{CAddr, Value};
use deriva::{Deriva, Shown, Timeline};
use serde_json::json;

use crate::exit::Outcome;
use crate::files;
use crate::term::{Out, Style, plain, size, time};

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
        if out.closed() {
            break;
        }
    }
    out.flush()
}

/// Makes the bytes of an address available, and writes to a file what ran when; also where it failed.
pub(crate) async fn timed(deriva: &Deriva, addr: CAddr, path: &Path) -> Outcome {
    let timeline = Timeline::new();
    let done = deriva.materialize(addr).timeline(timeline.clone()).await;
    files::write_timeline(path, &timeline)?;
    done?;
    Ok(())
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
    // Params that cannot be shown are no reason to show nothing.
    let params = recipe.params();
    if out.json() {
        let output = node.output.map(|output| {
            json!({ "addr": output.addr, "bytes": output.len, "cost_seconds": output.cost.as_secs_f64() })
        });
        return out.value(&json!({
            "kind": "recipe",
            "addr": recipe.addr(),
            "function": recipe.function(),
            "inputs": recipe.inputs().collect::<Vec<_>>(),
            "params": params.as_ref().ok(),
            "output": output,
        }));
    }
    out.line(format!("{} {}", style.dim("recipe  "), recipe.addr()))?;
    out.line(format!("{} {}", style.dim("function"), recipe.function()))?;
    match &params {
        Ok(params) => params.iter().try_for_each(|(name, value)| {
            out.line(format!(
                "{} {} = {}",
                style.dim("param   "),
                plain(name),
                literal(value)
            ))
        })?,
        Err(error) => out.line(format!(
            "{} {} bytes: {}",
            style.dim("params  "),
            recipe.params_bytes().len(),
            error.message()
        ))?,
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

fn literal(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}
