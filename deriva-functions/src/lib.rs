//! The functions that come with deriva, one file per family: [`builtin`] gives a registry of them.
//!
//! A result is kept for ever under its recipe's address, so nothing here may change what it computes:
//! what would gets a new version beside the old one. Text is therefore taken as bytes, with the case
//! of ASCII letters only, and no order comes out of a hash map.

mod bench;
mod bytes;
#[cfg(any(feature = "flate2", feature = "zstd"))]
mod compress;
#[cfg(feature = "csv")]
mod csv;
mod define;
mod hash;
mod json;
mod lines;
#[cfg(feature = "regex")]
mod pattern;
#[cfg(feature = "regex")]
mod search;
mod table;
mod text;
mod words;

#[cfg(test)]
mod features;
#[cfg(test)]
#[cfg(all(
    feature = "csv",
    feature = "flate2",
    feature = "regex",
    feature = "sha2",
    feature = "zstd"
))]
mod tests;

use define::Function;
use deriva_api::{FunctionRegistry, Result};

/// A registry with deriva's own functions, as far as the crate's features bring them; `docs/reference/functions.md`
/// describes them.
#[must_use]
pub fn builtin() -> FunctionRegistry {
    let mut functions = FunctionRegistry::new();
    let families: &[fn() -> Family] = &[
        bytes::functions,
        text::functions,
        #[cfg(feature = "regex")]
        search::functions,
        words::functions,
        hash::functions,
        #[cfg(any(feature = "flate2", feature = "zstd"))]
        compress::functions,
        #[cfg(feature = "csv")]
        csv::functions,
        json::functions,
        bench::functions,
    ];
    for function in families.iter().flat_map(|family| family()) {
        let added = function.and_then(|function| functions.register(function));
        debug_assert!(added.is_ok(), "{added:?}");
    }
    for (feature, names) in BY_FEATURE {
        for name in names {
            functions.note_feature(name, feature);
        }
    }
    functions
}

/// The functions that need a crate feature.
const BY_FEATURE: [(&str, &[&str]); 5] = [
    ("csv", &["csv.aggregate", "csv.filter", "csv.select"]),
    ("flate2", &["compress.gunzip", "compress.gzip"]),
    ("regex", &["text.grep", "text.replace"]),
    ("sha2", &["hash.sha256"]),
    ("zstd", &["compress.unzstd", "compress.zstd"]),
];

type Family = Vec<Result<Function>>;
