//! `deriva recipe`.

use deriva::Deriva;
use deriva::api::Error;
use serde_json::json;

use super::unknown::unknown_function;
use crate::args::RecipeArgs;
use crate::exit::Outcome;
use crate::term::Out;

/// Stores a recipe and prints its address.
pub(crate) async fn recipe(deriva: &Deriva, args: &RecipeArgs, out: &mut Out) -> Outcome {
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
