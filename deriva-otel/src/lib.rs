//! Traces and metrics of a deriva for OpenTelemetry: sent to a collector by OTLP over gRPC, with the W3C trace context of those
//! who call, and for those who are called.
//!
//! ```no_run
//! # use deriva_metrics::Metrics;
//! # use deriva_otel::{Otel, TraceContext};
//! # use tracing_subscriber::prelude::*;
//! # async fn example(deriva: deriva_runtime::Deriva, addr: deriva_api::CAddr) -> deriva_api::Result<()> {
//! let otel = Otel::builder().service_name("previews").build()?;
//! tracing_subscriber::registry().with(otel.layer()).init();
//! if let Some(metrics) = deriva.instrument::<Metrics>() {
//!     otel.push_metrics(metrics);
//! }
//!
//! // What a caller sent: the request is a part of its trace.
//! let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! let caller = TraceContext::from_headers(traceparent, None)?;
//! caller.scope(deriva.get(addr)).await?;
//!
//! otel.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `builder.rs` | what can be chosen |
//! | `settings.rs` | what holds, with what the environment says; what is refused |
//! | `otel.rs` | the value that a program holds: the layer for `tracing`, the end |
//! | `spans.rs` | which spans were sent, and which were not |
//! | `pusher.rs` | metrics, sent at an interval and at the end |
//! | `convert.rs` | a family of Prometheus as a metric of OTLP |
//! | `context.rs` | W3C trace context |
//!
//! # A collector that is away
//!
//! costs an application the spans that do not fit into a bounded queue, and nothing else: no request waits or fails for it. A
//! warning is logged when it is away for the first time, and what could not be sent is told by [`Otel::shutdown`]. Metrics are
//! sums since the beginning, so the next ones that arrive make up for those that did not.
//!
//! # The environment
//!
//! What a program sets goes first, then the environment:
//!
//! | variable | what it is | default |
//! |---|---|---|
//! | `OTEL_SDK_DISABLED` | `true`: nothing is recorded and nothing sent | `false` |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, as `http://HOST:PORT` | `http://localhost:4317` |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `key=value`, several by commas, percent-encoded; they go before those that a program sets | none |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one export, and for the end | 10000 |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc`; anything else is refused | `grpc` |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who sends; `service.instance.id` is drawn where nobody sets it | `deriva` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which traces are recorded | all, or as the caller says |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY` | spans that wait, spans in one export, milliseconds between exports | 2048, 512, 5000 |
//! | `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between exports of metrics | 60000 |
//!
//! Variables of one signal, such as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, are not read: both signals go to one collector. Left out as
//! well: TLS, compression, OTLP over HTTP, logs. A collector on the same machine does all of these for others.

mod builder;
mod context;
mod convert;
mod otel;
mod pusher;
mod settings;
mod spans;

pub use builder::OtelBuilder;
pub use context::{TraceContext, end_span};
pub use otel::Otel;
