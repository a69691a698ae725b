//! What differs between the graphs of two addresses: "why did it recompute?"
//!
//! A module of its own, as what differs between two outputs of a recipe is a [`crate::Difference`], too.

use serde::Serialize;

use crate::{CAddr, FunctionId, Value};

/// What differs between the graphs of two addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Diff {
    /// The differences, those nearest to the compared addresses first. None means equal addresses.
    pub differences: Vec<Difference>,
    /// Pairs of addresses that were compared.
    pub compared: u64,
    /// Whether there may be more differences than were asked for.
    pub truncated: bool,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The recipes above, from the compared addresses down, and the input that leads on from each; at most
    /// the nearest 32.
    pub path: Vec<Passed>,
    /// Recipes above those that `path` lists.
    pub above: u64,
    /// What differs, as it was before.
    pub before: CAddr,
    /// What differs, as it is now.
    pub after: CAddr,
    /// Its function, as it is now; absent where it is a blob now.
    pub function: Option<FunctionId>,
    /// What it is.
    #[serde(flatten)]
    pub kind: DifferenceKind,
}

impl Difference {
    /// A difference of what was compared, with no recipes above; its function is not said.
    #[must_use]
    pub fn new(before: CAddr, after: CAddr, kind: DifferenceKind) -> Self {
        Self {
            path: Vec::new(),
            above: 0,
            before,
            after,
            function: None,
            kind,
        }
    }
}

/// A pair of recipes on the way to a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Passed {
    /// The recipe before.
    pub before: CAddr,
    /// The recipe now.
    pub after: CAddr,
    /// Its function, as it is now.
    pub function: FunctionId,
    /// Which of its inputs leads on, counted from 0.
    pub input: u32,
}

impl Passed {
    /// A pair of recipes, the function of the second, and which of its inputs leads on.
    #[must_use]
    pub fn new(before: CAddr, after: CAddr, function: FunctionId, input: u32) -> Self {
        Self {
            before,
            after,
            function,
            input,
        }
    }
}

/// What a [`Difference`] is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// Another function is applied.
    FunctionChanged {
        /// The function before.
        from: FunctionId,
        /// The function now.
        to: FunctionId,
    },
    /// The function has another version.
    VersionChanged {
        /// The function before.
        from: FunctionId,
        /// The function now.
        to: FunctionId,
    },
    /// A param has another value, is new, or is gone.
    ParamChanged {
        /// Its name.
        name: String,
        /// The value before, where it was given.
        from: Option<Value>,
        /// The value now, where it is given.
        to: Option<Value>,
    },
    /// There is an input more.
    InputAdded {
        /// Which, counted from 0.
        input: u32,
        /// Its address.
        addr: CAddr,
    },
    /// There is an input less.
    InputRemoved {
        /// Which it was, counted from 0.
        input: u32,
        /// Its address.
        addr: CAddr,
    },
    /// The inputs are the same in another order.
    InputsReordered,
    /// Another blob. What is no recipe in this store counts as one.
    BlobChanged,
    /// A recipe took the place of a blob.
    BlobBecameRecipe,
    /// A blob took the place of a recipe.
    RecipeBecameBlob,
}
