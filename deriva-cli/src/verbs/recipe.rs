//! `deriva recipe`.

use clap::Args;
use deriva::{AddrPrefix, CAddr, Error, FunctionId, Params, Recipe as Stored, Result};
use serde::Serialize;

use super::shared::unknown_function;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::handle::Handle;
use crate::param::{self, Param};
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

/// Store a recipe, a function over inputs with params, and print its address
#[derive(Debug, Args)]
pub(crate) struct Recipe {
    /// The function: `text.upper/1` (`deriva functions` lists them)
    #[arg(value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>)]
    function: FunctionId,
    /// An input, in order: an address or the first digits of a known one
    #[arg(short, long = "input", value_name = "ADDR", value_parser = parsed::<AddrPrefix>)]
    inputs: Vec<AddrPrefix>,
    /// A param: `key=text`, or `key:=json` for numbers, bools, lists
    #[arg(short, long = "param", value_name = "KEY=TEXT", value_parser = param::parse)]
    params: Vec<Param>,
    /// Store a recipe of a function that is not known here, unchecked, for a program that knows it
    #[arg(long)]
    allow_unknown: bool,
}

impl Recipe {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .begun()
            .work(async |handle| {
                let addr = self.insert(handle).await?;
                out.answer(&Inserted { addr })
            })
            .await
    }

    async fn insert(&self, handle: &Handle) -> Result<CAddr> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for prefix in &self.inputs {
            // A whole address may name what is stored later.
            inputs.push(match prefix.complete() {
                Some(addr) => addr,
                None => handle.find(prefix).await?,
            });
        }
        let recipe = Stored::new(&self.function, &inputs, &self.params())?;
        if !self.allow_unknown {
            let functions = handle.functions().await?;
            if functions.get(&self.function).is_none() {
                let otherwise = "--allow-unknown stores a recipe for a program that knows it";
                return Err(unknown_function(&functions, &self.function, otherwise));
            }
        }
        let inserted = handle.insert(std::slice::from_ref(&recipe)).await;
        inserted.map_err(written_as_json)?;
        Ok(recipe.addr())
    }

    /// All params; a later one replaces an earlier one of its name.
    fn params(&self) -> Params {
        self.params
            .iter()
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect()
    }
}

/// A recipe that is stored.
#[derive(Serialize)]
struct Inserted {
    addr: CAddr,
}

impl Answer for Inserted {
    fn text(&self, _: Style) -> String {
        self.addr.to_string()
    }
}

/// Says how a param is written that was taken for text.
fn written_as_json(error: Error) -> Error {
    match (error.context("param"), error.context("found")) {
        (Some(param), Some("text")) if error.advice().is_none() => {
            let hint =
                format!("what is not text is written as JSON: `{param}:=5`, `{param}:=[\"a\"]`");
            error.hint(hint)
        }
        _ => error,
    }
}
