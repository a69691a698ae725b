//! `deriva functions` and `status`.

use deriva::Deriva;
use deriva::api::Weight;
use serde_json::json;

use crate::exit::Outcome;
use crate::term::{Out, Style, size};

/// Lists the functions that recipes can use.
pub(crate) fn functions(out: &mut Out) -> Outcome {
    let functions = deriva::functions::builtin();
    if out.json() {
        let list: Vec<_> = functions
            .iter()
            .map(|function| {
                json!({
                    "name": function.id().name(),
                    "version": function.id().version(),
                    "description": function.description(),
                    "params": function.params(),
                    "weight": function.weight(),
                })
            })
            .collect();
        return out.value(&list);
    }
    let style = Style::stdout();
    for function in functions.iter() {
        let weight = match function.weight() {
            Weight::Light => "",
            Weight::Heavy => " (heavy)",
        };
        out.line(format!(
            "{}{}",
            style.accent(&function.id().to_string()),
            style.dim(weight)
        ))?;
        out.line(format!("    {}", function.description()))?;
        for param in function.params() {
            let required = if param.required { ", required" } else { "" };
            out.line(format!(
                "    {} ({}{required}): {}",
                param.name, param.kind, param.description
            ))?;
        }
    }
    Ok(())
}

/// Counts what the store holds.
pub(crate) async fn status(deriva: &Deriva, out: &mut Out) -> Outcome {
    let status = deriva.status().await?;
    if out.json() {
        return out.value(&status);
    }
    let style = Style::stdout();
    let count = |n: Option<u64>| n.map_or_else(|| "not known".to_owned(), |n| n.to_string());
    for (name, value) in [
        ("recipes", count(status.recipes)),
        ("outputs", count(status.outputs)),
        ("blobs", count(status.blobs)),
        (
            "blob bytes",
            status
                .blob_bytes
                .map_or_else(|| "not known".to_owned(), size),
        ),
        ("roots", count(status.roots)),
        ("cache", size(status.cache_bytes)),
        ("verification", status.verification),
        ("blob store", status.blob_store),
        ("dag store", status.dag_store),
        ("executor", status.executor),
    ] {
        out.line(format!("{} {value}", style.dim(&format!("{name:<13}"))))?;
    }
    Ok(())
}
