//! `deriva show`.

use clap::Args;
use deriva::api::{AddrPrefix, CAddr, Value};
use deriva::{Deriva, Shown};
use serde_json::json;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Out, Style, plain, size, time};

/// Show what an address is
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
}

impl Show {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| show(deriva, deriva.find(&self.addr).await?, out).await;
        store.existing().work(work).await
    }
}

async fn show(deriva: &Deriva, addr: CAddr, out: &mut Out) -> Outcome {
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
