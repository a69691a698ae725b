//! Which spans were sent, and which were not: counted around the exporter and around the queue before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Context, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use parking_lot::Mutex;

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ended: AtomicU64,
    sent: AtomicU64,
    /// Why the last export failed.
    why: Mutex<Option<String>>,
    outage: Outage,
}

impl Tally {
    /// Spans that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Spans that ended and were not sent: they found no room in the queue, wait in it, or their export failed.
    pub(crate) fn unsent(&self) -> u64 {
        let sent = self.sent();
        self.ended.load(Relaxed).saturating_sub(sent)
    }

    /// Why the last export failed, where one did.
    pub(crate) fn why(&self) -> Option<String> {
        self.why.lock().clone()
    }

    fn exported(&self, spans: u64, done: &OTelSdkResult) {
        match done {
            Ok(()) => {
                self.sent.fetch_add(spans, Relaxed);
                self.outage.over("traces");
            }
            Err(error) => {
                let why = match error {
                    OTelSdkError::InternalFailure(why) => why.clone(),
                    other => other.to_string(),
                };
                self.outage.met("traces", &why);
                *self.why.lock() = Some(why);
            }
        }
    }
}

/// Whether the collector is away: said once when that begins, and once when it is over.
#[derive(Debug, Default)]
pub(crate) struct Outage(AtomicBool);

impl Outage {
    pub(crate) fn met(&self, what: &str, why: &str) {
        if !self.0.swap(true, Relaxed) {
            tracing::warn!(why, "{what} cannot be sent to the collector");
        }
    }

    pub(crate) fn over(&self, what: &str) {
        if self.0.swap(false, Relaxed) {
            tracing::info!("{what} are sent to the collector again");
        }
    }
}

/// Counts what is sent.
#[derive(Debug)]
pub(crate) struct CountedExporter<E> {
    pub(crate) inner: E,
    pub(crate) tally: Arc<Tally>,
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let done = self.inner.export(batch).await;
        self.tally.exported(spans, &done);
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what ends. A span that has the kind of an error has failed, which `tracing` has no other word for.
#[derive(Debug)]
pub(crate) struct CountedProcessor<P> {
    pub(crate) inner: P,
    pub(crate) tally: Arc<Tally>,
}

impl<P: SpanProcessor> SpanProcessor for CountedProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        self.tally.ended.fetch_add(1, Relaxed);
        let mut errors = span
            .attributes
            .iter()
            .filter(|it| it.key.as_str() == "kind");
        if span.status == Status::Unset
            && let Some(Value::String(error)) = errors.next().map(|it| &it.value)
        {
            span.status = Status::error(error.as_str().to_owned());
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
