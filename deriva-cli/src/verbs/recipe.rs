//! `deriva recipe`.

use clap::Args;
use deriva::Deriva;
use deriva::api::{AddrPrefix, Error, FunctionId, Params};
use serde_json::json;

use super::shared::unknown_function;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::param::{self, Param};
use crate::store::StoreArgs;
use crate::term::Out;

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
        let work = async |deriva: &Deriva| recipe(deriva, self, out).await;
        store.begun().work(work).await
    }

    /// All params; a later one replaces an earlier one of its name.
    fn params(&self) -> Params {
        self.params
            .iter()
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect()
    }
}

async fn recipe(deriva: &Deriva, args: &Recipe, out: &mut Out) -> Outcome {
    let mut inputs = Vec::with_capacity(args.inputs.len());
    for prefix in &args.inputs {
        // A whole address may name what is stored later.
        inputs.push(match prefix.complete() {
            Some(addr) => addr,
            None => deriva.find(prefix).await?,
        });
    }
    let recipe = deriva
        .recipe(args.function.name(), args.function.version())
        .inputs(inputs)
        .params(args.params());
    if !args.allow_unknown && deriva.functions().get(&args.function).is_none() {
        let otherwise = "--allow-unknown stores a recipe for a program that knows it";
        return Err(unknown_function(deriva, &args.function, otherwise).into());
    }
    let addr = recipe.insert().await.map_err(written_as_json)?;
    match out.json() {
        true => out.value(&json!({ "addr": addr })),
        false => out.line(addr),
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
