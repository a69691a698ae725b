//! What every DAG store here says in the same words.

use deriva_api::{CAddr, Error, ErrorKind};

/// `record` for an address that is not a stored recipe.
pub(crate) fn unknown_recipe(addr: CAddr) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "an output is recorded for a stored recipe only",
    )
    .during("record")
    .with("addr", addr)
    .hint("insert the recipe first")
}

/// `remove` of a recipe that one outside the batch needs.
pub(crate) fn still_needed(addr: CAddr, dependent: CAddr) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "a recipe outside the batch still needs this one",
    )
    .during("remove")
    .with("addr", addr)
    .with("dependent", dependent)
    .hint("remove the dependent too, in the same batch or before")
}
