//! `deriva show`.

use clap::Args;
use deriva::{AddrPrefix, Node, Shown};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::shared::literal;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, plain, size, time};

/// Show what an address is
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
}

impl Show {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| {
                let addr = handle.find(&self.addr).await?;
                out.answer(&Described(handle.show(addr).await?))
            })
            .await
    }
}

/// What an address is.
struct Described(Shown);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = match &self.0 {
            Shown::Blob(stat) => {
                let blob = json!({ "kind": "blob", "addr": stat.addr, "bytes": stat.len });
                return blob.serialize(serializer);
            }
            Shown::Recipe(node) => node,
        };
        let recipe = &node.recipe;
        let output = node.output.map(|output| {
            json!({ "addr": output.addr, "bytes": output.len, "cost_seconds": output.cost.as_secs_f64() })
        });
        json!({
            "kind": "recipe",
            "addr": recipe.addr(),
            "function": recipe.function(),
            "inputs": recipe.inputs().collect::<Vec<_>>(),
            // Params that cannot be shown are no reason to show nothing.
            "params": recipe.params().ok(),
            "output": output,
        })
        .serialize(serializer)
    }
}

impl Answer for Described {
    fn text(&self, style: Style) -> String {
        let rows = match &self.0 {
            Shown::Blob(stat) => vec![
                ("blob  ", stat.addr.to_string()),
                ("length", format!("{} ({} bytes)", size(stat.len), stat.len)),
            ],
            Shown::Recipe(node) => rows(node),
        };
        let lines: Vec<String> = rows
            .iter()
            .map(|(name, value)| format!("{} {value}", style.dim(name)))
            .collect();
        lines.join("\n")
    }
}

fn rows(node: &Node) -> Vec<(&'static str, String)> {
    let recipe = &node.recipe;
    let mut rows = vec![
        ("recipe  ", recipe.addr().to_string()),
        ("function", recipe.function().to_string()),
    ];
    match recipe.params() {
        Ok(params) => rows.extend(params.iter().map(|(name, value)| {
            let param = format!("{} = {}", plain(name), literal(value));
            ("param   ", param)
        })),
        Err(error) => {
            let bytes = recipe.params_bytes().len();
            rows.push(("params  ", format!("{bytes} bytes: {}", error.message())));
        }
    }
    rows.extend(recipe.inputs().map(|input| ("input   ", input.to_string())));
    let output = node.output.map_or_else(
        || "not computed yet".to_owned(),
        |output| {
            format!(
                "{} ({}, computed in {})",
                output.addr,
                size(output.len),
                time(output.cost)
            )
        },
    );
    rows.push(("output  ", output));
    rows
}
