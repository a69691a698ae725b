//! `deriva functions`.

use clap::Args;
use deriva::functions::{FunctionDoc, Weight};
use serde::Serialize;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

/// List the functions that recipes can use
#[derive(Debug, Args)]
pub(crate) struct Functions;

impl Functions {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        out.answer(&Known(match store.connected().await? {
            Some(server) => server.functions().await?,
            None => deriva::functions::builtin().docs(),
        }))
    }
}

/// The functions that are known.
#[derive(Serialize)]
#[serde(transparent)]
struct Known(Vec<FunctionDoc>);

impl Answer for Known {
    fn text(&self, style: Style) -> String {
        let mut lines = Vec::new();
        for function in &self.0 {
            let weight = match function.weight {
                Weight::Light => "",
                Weight::Heavy => " (heavy)",
            };
            lines.push(format!(
                "{}{}",
                style.accent(&function.id.to_string()),
                style.dim(weight)
            ));
            lines.push(format!("    {}", function.description));
            lines.extend(function.params.iter().map(|param| {
                let required = if param.required { ", required" } else { "" };
                format!(
                    "    {} ({}{required}): {}",
                    param.name, param.kind, param.description
                )
            }));
        }
        lines.join("\n")
    }
}
