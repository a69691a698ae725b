//! Who needs an address: the recipes that have it as an input, and the roots that keep something made from it.

use serde::Serialize;

use crate::CAddr;

/// Who needs an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NeededBy {
    /// Recipes that have it among their inputs: the first 20 by address.
    pub recipes: Vec<CAddr>,
    /// Number of these recipes.
    pub recipe_count: u64,
    /// Roots that name it or something made from it: the first 20 by name.
    pub roots: Vec<String>,
    /// Number of these roots.
    pub root_count: u64,
    /// Whether everything made from it was looked at. Otherwise there are too many, and the numbers count
    /// only some.
    pub complete: bool,
}
