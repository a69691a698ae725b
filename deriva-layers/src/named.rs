//! Layers by name.

use deriva_api::{Error, ErrorKind, Layers, OpenedStore, Result};

use super::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};

/// The names that [`named`] knows. `none` adds nothing; `all` is `retry,timeout,limit,tiered`.
pub const NAMES: &[&str] = &[
    "none",
    "retry",
    "timeout",
    "limit",
    "read-only",
    "tiered",
    "all",
];

/// Layers by name, with their default settings, separated by commas: `retry,timeout`. A tiered layer has `fast` in
/// front.
///
/// # Errors
/// `Invalid` for an unknown name, listing the known ones.
pub fn named(names: &str, fast: &OpenedStore) -> Result<Layers> {
    names.split(',').try_fold(Layers::new(), |layers, name| {
        Ok(match name.trim() {
            "none" => layers,
            "retry" => layers.layer(RetryLayer::new()),
            "timeout" => layers.layer(TimeoutLayer::default()),
            "limit" => layers.layer(LimitLayer::default()),
            "read-only" => layers.layer(ReadOnlyLayer::new()),
            "tiered" => layers.layer(TieredLayer::new(fast.clone())),
            "all" => layers
                .layer(RetryLayer::new())
                .layer(TimeoutLayer::default())
                .layer(LimitLayer::default())
                .layer(TieredLayer::new(fast.clone())),
            unknown => {
                return Err(Error::new(ErrorKind::Invalid, "unknown layer")
                    .with("layer", unknown)
                    .hint(format!("known layers: {}", NAMES.join(", "))));
            }
        })
    })
}
