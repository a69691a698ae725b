//! An instance over a store in memory, and what it does.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{CAddr, Result};
use deriva_metrics::Metrics;
use deriva_otel::{Otel, OtelBuilder};
use deriva_runtime::{Deriva, DerivaBuilder};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::prelude::*;

use crate::collector::Collector;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PARENT: &str = "00f067aa0ba902b7";

/// What a caller sends.
pub(crate) fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// Spans and metrics are sent when it ends, unless the test says otherwise.
pub(crate) fn to(collector: &Collector) -> OtelBuilder {
    Otel::builder()
        .endpoint(collector.url())
        .timeout(LONG)
        .delay(LONG)
}

/// Spans of this thread are recorded, as long as the guard lives. The runtime of a test has no other.
pub(crate) fn recording(otel: &Otel) -> DefaultGuard {
    tracing_subscriber::registry()
        .with(otel.layer())
        .set_default()
}

/// An instance that counts, with functions that are called `light/1`, `heavy/1` and `wrong/1`.
pub(crate) async fn instance() -> Deriva {
    DerivaBuilder::new()
        .stores(deriva_backends::registry())
        .store("memory:")
        .light_function("light", "1", |inputs, _| Ok(inputs.concat().into()))
        .function("heavy", "1", |inputs, _| Ok(inputs.concat().into()))
        .function("wrong", "1", |_, _| {
            Err(deriva_api::Error::new(
                deriva_api::ErrorKind::Function,
                "it is wrong",
            ))
        })
        .instrument(Arc::new(Metrics::new().unwrap()))
        .build()
        .await
        .unwrap()
}

/// A recipe of this function over a blob.
pub(crate) async fn recipe(deriva: &Deriva, function: &str, input: &str) -> Result<CAddr> {
    let leaf = deriva.put(input.to_owned()).await?;
    deriva.recipe(function, "1").input(leaf).insert().await
}
