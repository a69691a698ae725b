//! The value that a program holds.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{Clock, Error, ErrorKind, Result};
use deriva_metrics::Metrics;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::builder::OtelBuilder;
use crate::pusher::{Pusher, Sending};
use crate::settings::Settings;
use crate::spans::{CountedExporter, CountedProcessor, Tally};

/// Sends traces and metrics to a collector, until [`Otel::shutdown`]. Clones are one.
#[derive(Clone, Debug)]
pub struct Otel(Option<Arc<Active>>);

struct Active {
    url: String,
    timeout: Duration,
    spans: Targets,
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
    pusher: Pusher,
    ended: AtomicBool,
}

impl Otel {
    /// Begins one.
    pub fn builder() -> OtelBuilder {
        OtelBuilder::new()
    }

    /// One that does nothing.
    pub(crate) fn disabled() -> Self {
        Self(None)
    }

    pub(crate) fn begin(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Invalid, "a tokio runtime has to do the sending")
                .caused_by(source)
                .hint("build it within an async function, or after `runtime.enter()`")
        })?;
        // The queue of spans starts a thread of its own, and panics where the system gives none.
        let probe = std::thread::Builder::new().spawn(|| ()).map_err(|source| {
            Error::new(ErrorKind::Unavailable, "the system gives no thread").caused_by(source)
        })?;
        let _ = probe.join();
        let channel = settings.endpoint.connect_lazy();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(channel.clone())
            .with_metadata(settings.headers.clone())
            .with_timeout(settings.timeout)
            .build()
            .map_err(|source| {
                let what = "the exporter of spans refuses its settings";
                Error::new(ErrorKind::Invalid, what).caused_by(source)
            })?;
        let tally = Arc::new(Tally::default());
        let mut batches = BatchConfigBuilder::default();
        if let Some(queue) = settings.queue {
            batches = batches.with_max_queue_size(queue);
        }
        if let Some(delay) = settings.delay {
            batches = batches.with_scheduled_delay(delay);
        }
        let exporter = CountedExporter {
            inner: exporter,
            tally: Arc::clone(&tally),
        };
        let processor = CountedProcessor {
            inner: BatchSpanProcessor::new(exporter, batches.build()),
            tally: Arc::clone(&tally),
        };
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(settings.resource.clone());
        if let Some(share) = settings.sampling {
            let here = Sampler::TraceIdRatioBased(share);
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(here)));
        }
        let sending = Sending {
            channel,
            headers: settings.headers,
            resource: settings.resource,
            interval: settings.metrics_interval,
            timeout: settings.timeout,
            clock,
        };
        Ok(Self(Some(Arc::new(Active {
            url: settings.url,
            timeout: settings.timeout,
            spans: settings.spans,
            provider: provider.build(),
            tally,
            pusher: Pusher::begin(&runtime, sending),
            ended: AtomicBool::new(false),
        }))))
    }

    /// Whether anything is sent: not where `OTEL_SDK_DISABLED` says so.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// What a subscriber of `tracing` gets, over a [`Registry`](tracing_subscriber::Registry): it records spans and sends them. Their
    /// events go with them.
    #[must_use]
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        self.0.as_deref().map(|active| {
            let scope = InstrumentationScope::builder("deriva")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build();
            tracing_opentelemetry::layer()
                .with_tracer(active.provider.tracer_with_scope(scope))
                .with_location(false)
                .with_threads(false)
                .with_filter(active.spans.clone())
        })
    }

    /// Sends the metrics of an instance at the interval, and at the end. It does not keep the instance open. Those of several
    /// instances need labels that tell them apart: see [`Registry::new_custom`](deriva_metrics::Registry::new_custom).
    pub fn push_metrics(&self, metrics: &Metrics) {
        if let Some(active) = &self.0 {
            active.pusher.add(metrics.clone());
        }
    }

    /// Sends what waits, the metrics once more, and ends. It takes no longer than the [timeout](OtelBuilder::timeout). Spans that end
    /// later are not sent; a second call does nothing.
    ///
    /// # Errors
    /// What could not be sent since the beginning: the context has `spans_sent` and `spans_not_sent`. `Full` where spans found no room
    /// in the queue, `Unavailable` where the collector was away or refused them; of metrics what the last export says.
    pub async fn shutdown(&self) -> Result<()> {
        let Some(active) = &self.0 else {
            return Ok(());
        };
        if active.ended.swap(true, SeqCst) {
            return Ok(());
        }
        let (spans, metrics) = futures::future::join(active.end_spans(), active.pusher.end()).await;
        let spans = spans.and_then(|ended| active.all_sent(ended));
        let told = match (spans, metrics) {
            (Ok(()), Ok(())) => return Ok(()),
            (Ok(()), Err(metrics)) => metrics.with("metrics_sent", false),
            (Err(spans), metrics) => spans.with("metrics_sent", metrics.is_ok()),
        };
        Err(told
            .with("endpoint", &active.url)
            .with("spans_sent", active.tally.sent())
            .with("spans_not_sent", active.tally.unsent())
            .hint("is a collector listening there? Its port for OTLP over gRPC is as a rule 4317"))
    }
}

impl Active {
    /// Ends the queue, on a thread that may wait for it.
    async fn end_spans(&self) -> Result<OTelSdkResult> {
        let (provider, timeout) = (self.provider.clone(), self.timeout);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("deriva-otel-end".to_owned());
        let lost = |source: Box<dyn std::error::Error + Send + Sync>| {
            let what = "nobody could wait for the last spans";
            Error::new(ErrorKind::Unavailable, what).caused_by(source)
        };
        thread
            .spawn(move || end.send(provider.shutdown_with_timeout(timeout)))
            .map_err(|source| lost(source.into()))?;
        ended.await.map_err(|source| lost(source.into()))
    }

    /// Whether all spans that ended were sent.
    fn all_sent(&self, ended: OTelSdkResult) -> Result<()> {
        let why = self.tally.why();
        if self.tally.unsent() == 0 && ended.is_ok() {
            return Ok(());
        }
        match (ended, why) {
            (Ok(()), None) => {
                let what = "spans found no room in the queue";
                Err(Error::new(ErrorKind::Full, what).hint(
                    "make the queue longer, record fewer levels of spans, or a share of the traces",
                ))
            }
            (_, Some(why)) => {
                Err(Error::new(ErrorKind::Unavailable, "not all spans were sent").with("why", why))
            }
            (Err(source), None) => Err(Error::new(
                ErrorKind::Unavailable,
                "not all spans were sent in time",
            )
            .with("timeout", format!("{:?}", self.timeout))
            .caused_by(source)),
        }
    }
}

impl Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active")
            .field("url", &self.url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
