//! Writing a recipe step by step.

use deriva_api::{CAddr, FunctionId, Params, Recipe, Result, Value};

use crate::shared::Deriva;

/// A recipe in the making; see [`Deriva::recipe`]. Mistakes are reported when it is built.
#[derive(Debug)]
#[must_use = "a recipe exists once it is inserted"]
pub struct RecipeBuilder<'a> {
    deriva: &'a Deriva,
    function: Result<FunctionId>,
    inputs: Vec<CAddr>,
    params: Params,
}

impl<'a> RecipeBuilder<'a> {
    pub(crate) fn new(deriva: &'a Deriva, name: &str, version: &str) -> Self {
        Self {
            deriva,
            function: FunctionId::new(name, version),
            inputs: Vec::new(),
            params: Params::new(),
        }
    }

    /// Adds an input: the address of a blob or of a recipe. Order matters.
    pub fn input(mut self, addr: CAddr) -> Self {
        self.inputs.push(addr);
        self
    }

    /// Adds inputs, in order.
    pub fn inputs(mut self, addrs: impl IntoIterator<Item = CAddr>) -> Self {
        self.inputs.extend(addrs);
        self
    }

    /// Adds a param, replacing one of the same name.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name, value);
        self
    }

    /// Takes these params instead of those given so far.
    pub fn params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// Makes the recipe without storing it.
    ///
    /// # Errors
    /// `Invalid` for a bad function name, a float that is not finite, or, where the function is
    /// known, inputs and params that it cannot take.
    pub fn build(self) -> Result<Recipe> {
        let recipe = Recipe::new(&self.function?, &self.inputs, &self.params)?;
        self.deriva.check(&recipe)?;
        Ok(recipe)
    }

    /// Makes the recipe and stores it; answers with its address. Nothing is computed.
    ///
    /// # Errors
    /// As [`RecipeBuilder::build`], and what the store says.
    pub async fn insert(self) -> Result<CAddr> {
        let deriva = self.deriva;
        let recipe = self.build()?;
        deriva.insert(std::slice::from_ref(&recipe)).await?;
        Ok(recipe.addr())
    }
}
