//! Which functions recipes can apply: those that are registered, and those that the executor has of its own.
//!
//! Heavy functions run where the executor says, so it is asked for each before any work. Light ones run beside
//! the scheduler, and stay there where the executor lacks them.

use std::sync::Arc;

use deriva_api::{
    Bytes, ComputeFunction, Error, ErrorKind, Executor, FunctionId, FunctionRegistry, ParamDoc,
    Params, Recipe, Result, Weight,
};

use crate::shared::invoke::guarded;

/// Whether the recipes of a function can be computed.
pub(crate) enum Able {
    Yes(Arc<dyn ComputeFunction>),
    /// Neither the registry nor the executor has the function.
    Unknown(FunctionId),
    /// It is registered, but the executor does not run it.
    Lacking(FunctionId),
}

impl Able {
    pub(crate) fn function(self) -> Option<Arc<dyn ComputeFunction>> {
        match self {
            Self::Yes(function) => Some(function),
            Self::Unknown(_) | Self::Lacking(_) => None,
        }
    }
}

/// Whether the function of a recipe can be applied.
pub(crate) fn able(functions: &FunctionRegistry, executor: &dyn Executor, recipe: &Recipe) -> Able {
    match functions.lookup(recipe.name(), recipe.version()) {
        Some(function) => registered(executor, function),
        None => unregistered(executor, recipe.function()),
    }
}

/// As [`able`], of the function itself.
pub(crate) fn able_by_id(
    functions: &FunctionRegistry,
    executor: &dyn Executor,
    id: &FunctionId,
) -> Able {
    match functions.get(id) {
        Some(function) => registered(executor, function),
        None => unregistered(executor, id.clone()),
    }
}

fn registered(executor: &dyn Executor, function: &Arc<dyn ComputeFunction>) -> Able {
    match function.weight() == Weight::Light || supports(executor, function.id()) {
        true => Able::Yes(Arc::clone(function)),
        false => Able::Lacking(function.id().clone()),
    }
}

fn unregistered(executor: &dyn Executor, id: FunctionId) -> Able {
    match supports(executor, &id) {
        true => Able::Yes(Arc::new(Offered(id))),
        false => Able::Unknown(id),
    }
}

/// Whether an executor runs a function. One that panics does not.
pub(crate) fn supports(executor: &dyn Executor, id: &FunctionId) -> bool {
    let asked = || executor.supports(id);
    guarded(ErrorKind::Internal, "the executor panicked", asked).unwrap_or(false)
}

/// A function of which only the executor knows more than the name.
#[derive(Debug)]
struct Offered(FunctionId);

impl ComputeFunction for Offered {
    fn id(&self) -> &FunctionId {
        &self.0
    }

    fn weight(&self) -> Weight {
        Weight::Heavy
    }

    fn description(&self) -> &str {
        ""
    }

    fn params(&self) -> &[ParamDoc] {
        &[]
    }

    fn check(&self, _: usize, _: &Params) -> Result<()> {
        Ok(())
    }

    fn call(&self, _: &[Bytes], _: &Params) -> Result<Bytes> {
        let message = "only the executor can run this function";
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}
