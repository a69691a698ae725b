//! Calling a function: the one place where foreign code runs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use deriva_api::{Bytes, ComputeFunction, Error, ErrorKind, Params, Result};

/// Calls a function. A panic in it becomes an error; either names the function.
pub(crate) fn call(
    function: &dyn ComputeFunction,
    inputs: &[Bytes],
    params: &Params,
) -> Result<Bytes> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        function.check(inputs.len(), params)?;
        function.call(inputs, params)
    }));
    let named = |error: Error| error.with("function", function.id());
    match outcome {
        Ok(result) => result.map_err(named),
        Err(panic) => Err(named(
            Error::new(ErrorKind::Function, "the function panicked")
                .with("panic", message(&*panic)),
        )),
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
