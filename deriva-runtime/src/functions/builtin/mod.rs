//! The built-in functions, one file per family.
//!
//! A result is kept for ever under its recipe's address, so nothing here may change what it computes:
//! what would gets a new version beside the old one. Text is therefore taken as bytes, with the case
//! of ASCII letters only, and no order comes out of a hash map.

mod bench;
mod bytes;
mod compress;
mod csv;
mod define;
mod hash;
mod json;
mod lines;
mod pattern;
mod table;
mod text;
mod words;

#[cfg(test)]
mod tests;

use super::FunctionRegistry;
use define::Function;
use deriva_api::Result;

impl FunctionRegistry {
    /// A registry with deriva's own functions; `docs/reference/functions.md` describes them.
    #[must_use]
    pub fn builtin() -> Self {
        let mut functions = Self::new();
        let families = [
            bytes::functions(),
            text::functions(),
            words::functions(),
            hash::functions(),
            compress::functions(),
            csv::functions(),
            json::functions(),
            bench::functions(),
        ];
        for function in families.into_iter().flatten() {
            let added = function.and_then(|function| functions.register(function));
            debug_assert!(added.is_ok(), "{added:?}");
        }
        functions
    }
}

type Family = Vec<Result<Function>>;
