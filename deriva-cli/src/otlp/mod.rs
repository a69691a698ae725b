//! What a call does, sent to a collector of OpenTelemetry by OTLP: its spans, and what was counted.
//!
//! `sending` does so; `absent` stands in its place where the command was built without the feature `otel`, and says so.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod sending;

use clap::Args;
use deriva::Result;

#[cfg(not(feature = "otel"))]
pub(crate) use absent::Sending;
#[cfg(feature = "otel")]
pub(crate) use sending::Sending;

// No doc comment: it would become that of the command.
#[derive(Debug, Args)]
pub(crate) struct OtlpArgs {
    /// Send spans and metrics of this call to an OpenTelemetry collector (OTLP over gRPC), as http://localhost:4317;
    /// default: that of OTEL_EXPORTER_OTLP_ENDPOINT, and nothing is sent where there is none
    #[cfg_attr(
        not(feature = "otel"),
        doc = "(left out of this build, which lacks the feature `otel`)"
    )]
    #[arg(long, global = true, value_name = "URL")]
    otlp: Option<String>,
}

impl OtlpArgs {
    /// Begins to send, where that was asked for. Called within the runtime.
    ///
    /// # Errors
    /// `Invalid` for what is no URL of a collector, `Unsupported` for one that cannot be reached so, and where nothing can be
    /// sent at all.
    pub(crate) fn begin(&self) -> Result<Sending> {
        Sending::begin(self.otlp.as_deref())
    }
}

/// Nothing can be sent.
#[cfg(any(test, not(feature = "otel")))]
fn left_out(url: &str) -> deriva::Error {
    let what = "this build of deriva cannot send to a collector";
    deriva::Error::new(deriva::ErrorKind::Unsupported, what)
        .with("--otlp", url)
        .hint("build it with OpenTelemetry: cargo build --release -p deriva-cli --features otel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_send_says_how_to_build_what_can() {
        let error = left_out("http://localhost:4317");
        assert_eq!(error.kind(), deriva::ErrorKind::Unsupported);
        assert_eq!(error.context("--otlp"), Some("http://localhost:4317"));
        assert!(error.advice().unwrap().ends_with("--features otel"));
    }
}
