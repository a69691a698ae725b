//! Inserting recipes.

use deriva_api::{CAddr, Recipe, Result};

use crate::handle::recipe_builder::RecipeBuilder;
use crate::planted::{Fault, hidden, planted};
use crate::shared::Deriva;
use crate::shared::invoke::check;

impl Deriva {
    /// Begins a recipe.
    pub fn recipe(&self, name: &str, version: &str) -> RecipeBuilder<'_> {
        RecipeBuilder::new(self, name, version)
    }

    /// Stores recipes in one batch; answers with their addresses, in order. Nothing is computed.
    ///
    /// # Errors
    /// `Invalid` when a known function cannot take a recipe's inputs and params (an unknown function is
    /// no error here: it may be known where the recipe is computed), and what the store says. Then no
    /// recipe is stored.
    pub async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        recipes.iter().try_for_each(|recipe| self.check(recipe))?;
        // The inputs too: what is there when a recipe that needs it is inserted stays there.
        let owns = |addr| recipes.iter().any(|recipe| recipe.addr() == addr);
        let named = recipes
            .iter()
            .flat_map(|recipe| recipe.inputs().chain([recipe.addr()]))
            .filter(|addr| !planted(Fault::insert_leases_no_inputs) || owns(*addr));
        let _adding = self.inner.adding(named.collect()).await;
        let inserted = self.inner.dag.insert(recipes).await;
        inserted.or_else(|error| hidden(Fault::insert_hides_the_error, error))
    }

    pub(crate) fn check(&self, recipe: &Recipe) -> Result<()> {
        let limits = recipe.check_limits();
        limits.map_err(|error| error.during("insert").with("addr", recipe.addr()))?;
        let Some(function) = self.inner.functions.lookup(recipe.name(), recipe.version()) else {
            return Ok(());
        };
        let checked = check(&**function, recipe.input_count(), &recipe.params()?);
        checked.map_err(|error| error.during("insert"))
    }
}
