//! Executors: where steps run.

mod inline;
mod pool;

pub use inline::InlineExecutor;
pub use pool::PoolExecutor;

use std::time::Duration;

use deriva_api::{
    Blob, Bytes, Clock, Error, ErrorKind, Executed, FunctionRegistry, Operand, Result, Step,
};

use crate::shared::invoke::invoke_within;
use crate::shared::nesting::Nesting;

/// Runs a step on this thread: what both executors do in the end.
fn run(
    functions: &FunctionRegistry,
    clock: &dyn Clock,
    step: &Step,
    nesting: &Nesting,
) -> Result<Executed> {
    if step.deadline == Some(Duration::ZERO) {
        return Err(late());
    }
    let recipe = &step.recipe;
    let Some(function) = functions.lookup(recipe.name(), recipe.version()) else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "this executor does not have the function",
        )
        .with("function", recipe.function()));
    };
    let inputs: Vec<Bytes> = step.inputs.iter().map(held).collect::<Result<_>>()?;
    let began = clock.now();
    let params = recipe.params()?;
    let output = nesting.enter(step.addr, || {
        invoke_within(&**function, &inputs, &params, &step.context)
    })?;
    let cost = clock.now().saturating_sub(began);
    Ok(Executed::new(Operand::Held(Blob::new(output)), cost))
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the step was not done by its deadline")
}

fn held(operand: &Operand) -> Result<Bytes> {
    match operand {
        Operand::Held(blob) => Ok(blob.bytes().clone()),
        Operand::Stored(stat) => Err(Error::new(
            ErrorKind::Invalid,
            "this executor wants its inputs in hand",
        )
        .with("addr", stat.addr)),
    }
}
