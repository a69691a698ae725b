//! `deriva functions`.

use clap::Args;
use deriva::FunctionRegistry;
use deriva::api::Weight;
use serde_json::json;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Out, Style};

/// List the functions that recipes can use
#[derive(Debug, Args)]
pub(crate) struct Functions;

impl Functions {
    pub(crate) async fn run(&self, _: &StoreArgs, out: &mut Out) -> Outcome {
        functions(out)
    }
}

fn functions(out: &mut Out) -> Outcome {
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
