//! Spans and metrics of a call on their way to a collector.
//!
//! The call is a span, `command`, and all that it does lies below. It is a part of the trace that the variables `TRACEPARENT` and
//! `TRACESTATE` name, where the caller set them. A collector that is away costs a note at the end, never an exit code.

use std::env;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deriva::otel::{Otel, TraceContext, end_span};
use deriva::spans::TARGET;
use deriva::{Deriva, DerivaExt, Error, ErrorKind, Result};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_subscriber::{Layer, Registry};

use crate::interrupt::interrupted;
use crate::term::{Style, counted, note};

/// The variable that turns it on, as in other programs.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How many spans may wait, unless this variable says so: a run that writes thousands of outputs ends as many at once, each with
/// three spans. 8 MB.
const QUEUE: (&str, usize) = ("OTEL_BSP_MAX_QUEUE_SIZE", 1 << 14);
/// In these a caller says of which trace this call is a part.
const TRACEPARENT: &str = "TRACEPARENT";
const TRACESTATE: &str = "TRACESTATE";

/// Sends what the call does, where that was asked for. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending(Option<Arc<Active>>);

#[derive(Debug)]
struct Active {
    otel: Otel,
    /// The whole call.
    span: OnceLock<Span>,
    /// Whether there is an instance whose metrics are sent.
    counts: AtomicBool,
}

impl Sending {
    /// Begins, within the runtime that does the sending.
    ///
    /// # Errors
    /// What is wrong with what the call says. What the environment alone says is not the call's: it is told in a note.
    pub(super) fn begin(url: Option<&str>) -> Result<Self> {
        if url.is_none() && variable(ENDPOINT).is_none() {
            return Ok(Self::default());
        }
        let mut builder = Otel::builder();
        if let Some(url) = url {
            builder = builder.endpoint(url);
        }
        if variable(QUEUE.0).is_none() {
            builder = builder.queue(QUEUE.1);
        }
        let otel = match builder.build() {
            Ok(otel) => otel,
            Err(error) if url.is_some() => return Err(error),
            Err(error) => {
                note(format!("note: nothing is sent to a collector: {error:#}"));
                return Ok(Self::default());
            }
        };
        if !otel.is_enabled() {
            if url.is_some() {
                note("note: nothing is sent to a collector: OTEL_SDK_DISABLED says so");
            }
            return Ok(Self::default());
        }
        Ok(Self(Some(Arc::new(Active {
            otel,
            span: OnceLock::new(),
            counts: AtomicBool::new(false),
        }))))
    }

    /// What the subscriber gets.
    pub(crate) fn layer(&self) -> Option<impl Layer<Registry> + Send + Sync + use<>> {
        self.0.as_ref().map(|active| active.otel.layer())
    }

    /// The span of the whole call, which ends with [`Sending::end`]. The subscriber has the layer by now.
    pub(crate) fn span(&self, verb: &str) -> Span {
        let Some(active) = &self.0 else {
            return Span::none();
        };
        let begin = || {
            let span = tracing::info_span!(
                target: TARGET,
                "command",
                otel.name = format!("deriva {verb}"),
                process.exit.code = Empty,
                kind = Empty,
            );
            if let Some(caller) = caller()
                && let Err(error) = caller.set_parent_of(&span)
            {
                note(format!(
                    "note: this call is a trace of its own, and not a part of {caller}: {error}"
                ));
            }
            span
        };
        active.span.get_or_init(begin).clone()
    }

    /// Sends what this instance counts, meanwhile and at the end. Metrics of several cannot be told apart, so of those that a
    /// call opens it is the first.
    pub(crate) fn counts(&self, deriva: &Deriva) {
        if let Some(active) = &self.0
            && let Some(metrics) = deriva.metrics()
            && !active.counts.swap(true, Relaxed)
        {
            active.otel.push_metrics(metrics);
        }
    }

    /// The work on this instance is done: asks once more how much its stores hold, for it is closed when that is sent.
    pub(crate) async fn counted(&self, deriva: &Deriva) {
        if self.0.is_some()
            && let Some(metrics) = deriva.metrics()
        {
            // What they do not tell is sent as they last told it; whether the call failed is told elsewhere.
            let _ = metrics.refresh(deriva).await;
        }
    }

    /// Tells how the call ended and sends what waits. That takes no longer than one export may; a signal ends it at once.
    pub(crate) async fn end(&self, code: u8, kind: Option<ErrorKind>) {
        let Some(active) = &self.0 else {
            return;
        };
        if let Some(span) = active.span.get() {
            span.record("process.exit.code", code);
            if let Some(kind) = kind {
                span.record("kind", display(kind));
            }
            // Threads that cannot be stopped may hold spans within it.
            end_span(span);
        }
        let sent = tokio::select! {
            sent = active.otel.shutdown() => sent,
            () = interrupted() => {
                return note("note: a signal came before all was sent to the collector");
            }
        };
        if let Err(error) = sent {
            note(unsent(&error));
        }
    }
}

/// With these words an export of spans says why it failed, and whose library it is.
const CLIENT: &str = "TonicTracesClient export failed with gRPC code: ";

/// What was not sent, why, and what to do.
fn unsent(error: &Error) -> String {
    let of = |key| error.context(key);
    let spans = of("spans_not_sent").and_then(|it| it.parse().ok());
    let what = match (spans.unwrap_or(0), of("metrics_sent")) {
        (0, _) => "the metrics were".to_owned(),
        (spans, Some("false")) => format!("{} and the metrics were", counted(spans, "span")),
        (1, _) => "1 span was".to_owned(),
        (spans, _) => format!("{} were", counted(spans, "span")),
    };
    let why = match (of("why"), of("timeout"), of("code")) {
        (Some(why), ..) => why.strip_prefix(CLIENT).unwrap_or(why).to_owned(),
        (_, Some(timeout), _) => format!("no answer within {timeout}"),
        (.., Some(code)) => format!("{}: {code}", error.message()),
        _ => error.message().to_owned(),
    };
    let next = match error.kind() {
        ErrorKind::Full => {
            "set OTEL_BSP_MAX_QUEUE_SIZE to more, or record a share of the traces (OTEL_TRACES_SAMPLER)"
        }
        _ => error.advice().unwrap_or_default(),
    };
    let endpoint = of("endpoint").unwrap_or_default();
    let (head, style) = (
        format!("note: {what} not sent to {endpoint}"),
        Style::stderr(),
    );
    format!("{head}: {why}\n{} {next}", style.accent("next:"))
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    // What is no text is of no form that anybody looks for, and is told with its place marked.
    Some(value.to_string_lossy().into_owned())
}

/// The trace that the caller names.
fn caller() -> Option<TraceContext> {
    let parent = variable(TRACEPARENT)?;
    let alone = match TraceContext::from_headers(&parent, None) {
        Ok(alone) => alone,
        Err(error) => {
            note(format!(
                "note: this call is a trace of its own, as {TRACEPARENT} cannot be read: {error:#}"
            ));
            return None;
        }
    };
    let Some(state) = variable(TRACESTATE) else {
        return Some(alone);
    };
    match TraceContext::from_headers(&parent, Some(&state)) {
        Ok(caller) => Some(caller),
        Err(error) => {
            note(format!("note: {TRACESTATE} is left out: {error:#}"));
            Some(alone)
        }
    }
}
