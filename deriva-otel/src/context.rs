//! W3C trace context: which span of whose trace something is a part of, as headers say it.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use deriva_api::{Error, ErrorKind, Result};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt, SpanContext, TraceContextExt, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// A span in a trace, in this process or another: what the headers `traceparent` and `tracestate` of
/// [W3C trace context](https://www.w3.org/TR/trace-context/) say.
///
/// ```
/// use deriva_otel::TraceContext;
///
/// # fn main() -> deriva_api::Result<()> {
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let caller = TraceContext::from_headers(traceparent, Some("vendor=1"))?;
/// assert_eq!(caller.traceparent(), traceparent);
/// assert_eq!(caller.tracestate(), "vendor=1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// The name of the header that [`TraceContext::traceparent`] is the value of.
    pub const TRACEPARENT: &str = "traceparent";
    /// The name of the header that [`TraceContext::tracestate`] is the value of.
    pub const TRACESTATE: &str = "tracestate";

    /// What a caller sent. Several headers `tracestate` are one, joined by commas; none, and an empty one, say nothing.
    ///
    /// # Errors
    /// `Invalid` for what is not of the form of these headers. The recommendation is to begin a trace of one's own then, and to
    /// go on without a `tracestate` that cannot be read.
    pub fn from_headers(traceparent: &str, tracestate: Option<&str>) -> Result<Self> {
        let traceparent = traceparent.trim();
        let wrong = || {
            Error::new(ErrorKind::Invalid, "this is no `traceparent`")
                .with("found", format!("{traceparent:?}"))
                .hint(
                    "the form is VERSION-TRACE-PARENT-FLAGS in lower-case hexadecimal digits, 2, 32, 16 and 2 of them, as \
                     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; neither TRACE nor PARENT is zero",
                )
        };
        if !is_formed(traceparent.as_bytes()) {
            return Err(wrong());
        }
        let state = state(tracestate.unwrap_or_default())?;
        let headers = HashMap::from([(Self::TRACEPARENT.to_owned(), traceparent.to_owned())]);
        let extracted =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let parent = extracted.span().span_context().clone();
        if !parent.is_valid() {
            return Err(wrong());
        }
        let flags = parent.trace_flags();
        let (trace, span) = (parent.trace_id(), parent.span_id());
        Ok(Self(SpanContext::new(trace, span, flags, true, state)))
    }

    /// The span that the calling code runs in: what to send to those who are called. `None` where no span is recorded, and outside
    /// of [`TraceContext::scope`].
    #[must_use]
    pub fn current() -> Option<Self> {
        let here = Context::current().span().span_context().clone();
        here.is_valid().then_some(Self(here))
    }

    /// The header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let sampled = u8::from(self.is_sampled());
        format!(
            "00-{}-{}-{sampled:02x}",
            self.0.trace_id(),
            self.0.span_id()
        )
    }

    /// The header `tracestate`; empty where there is nothing to say, then it is not sent.
    #[must_use]
    pub fn tracestate(&self) -> String {
        self.0.trace_state().header()
    }

    /// The trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// Does `work` as a part of this: a span that it begins, and that has no other parent within it, is a child of this. So is a
    /// request of deriva that it awaits.
    ///
    /// A task that `work` spawns is not a part of it, unless it is in a span of its own.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.context())
    }

    /// Makes a span a child of this. The span was not entered yet, and the [layer](crate::Otel::layer) sees it.
    ///
    /// ```no_run
    /// # use deriva_otel::TraceContext;
    /// # use tracing::Instrument;
    /// # async fn example(caller: TraceContext, deriva: deriva_runtime::Deriva, addr: deriva_api::CAddr) -> deriva_api::Result<()> {
    /// let request = tracing::info_span!("preview", %addr);
    /// caller.set_parent_of(&request)?;
    /// deriva.get(addr).instrument(request).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` where the span was entered already; `Unsupported` where no layer sees it: none is installed, or its filter leaves
    /// this span out.
    pub fn set_parent_of(&self, span: &Span) -> Result<()> {
        span.set_parent(self.context()).map_err(|source| {
            let (kind, what) = match source {
                SetParentError::AlreadyStarted => (
                    ErrorKind::Invalid,
                    "the span was entered before it got its parent",
                ),
                _ => (
                    ErrorKind::Unsupported,
                    "no layer of OpenTelemetry sees the span",
                ),
            };
            Error::new(kind, what).caused_by(source)
        })
    }

    fn context(&self) -> Context {
        Context::current().with_remote_span_context(self.0.clone())
    }
}

/// As the header `traceparent`.
impl Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent())
    }
}

/// Ends a span now, in what is sent, though somebody still holds it: for a program that is about to exit.
pub fn end_span(span: &Span) {
    span.context().span().end();
}

fn state(text: &str) -> Result<TraceState> {
    let wrong = || {
        Error::new(ErrorKind::Invalid, "this is no `tracestate`")
            .with("found", format!("{text:?}"))
            .hint("the form is KEY=VALUE, several by commas, as vendor=1,tenant@other=2")
    };
    let state = TraceState::from_str(text).map_err(|source| wrong().caused_by(source))?;
    // It is sent on in a header, and the crate looks at keys alone.
    let header = state.header();
    let is_printable = header.bytes().all(|c| matches!(c, b' '..=b'~'));
    let has_keys = !header.split(',').any(|pair| pair.starts_with('='));
    match is_printable && has_keys {
        true => Ok(state),
        false => Err(wrong()),
    }
}

/// Whether the digits and dashes are in their places. A version that is not known yet may have more after another dash.
fn is_formed(text: &[u8]) -> bool {
    const LEN: usize = 55;
    let Some((head, rest)) = text.split_at_checked(LEN) else {
        return false;
    };
    let is_right = |(place, c): (usize, &u8)| match place {
        2 | 35 | 52 => *c == b'-',
        _ => matches!(c, b'0'..=b'9' | b'a'..=b'f'),
    };
    let ends = match rest.first() {
        None => true,
        Some(next) => *next == b'-' && !head.starts_with(b"00"),
    };
    head.iter().enumerate().all(is_right) && ends
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use futures::FutureExt;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_sent_is_what_is_sent_on() {
        for (traceparent, tracestate) in [
            (PARENT, ""),
            (PARENT, "vendor=1,tenant@other=a b"),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                "x=y",
            ),
        ] {
            let read = TraceContext::from_headers(traceparent, Some(tracestate)).unwrap();
            assert_eq!(read.traceparent(), traceparent);
            assert_eq!(read.tracestate(), tracestate);
            assert_eq!(read.is_sampled(), traceparent.ends_with('1'));
            assert_eq!(read.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        // Flags and versions that are not known yet are not passed on.
        for later in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-is-to-come",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        ] {
            let read = TraceContext::from_headers(later, None).unwrap();
            assert_eq!(read.to_string(), PARENT, "{later}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_refused_with_the_form() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-+0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bä-01",
            "0\u{301}-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let error = TraceContext::from_headers(wrong, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
            assert!(error.advice().unwrap().contains(PARENT), "{error:#}");
        }
        for wrong in [
            "novalue",
            "UPPER=1",
            "a=1,b",
            "=1",
            "a=1,=2",
            "k=\r\nx: y",
            "k=ä",
            "k=a=b",
        ] {
            let error = TraceContext::from_headers(PARENT, Some(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
            assert!(error.advice().unwrap().contains("KEY=VALUE"), "{error:#}");
        }
    }

    #[test]
    fn work_in_its_scope_is_a_part_of_it_and_work_outside_is_not() {
        let caller = TraceContext::from_headers(PARENT, Some("a=b")).unwrap();
        assert_eq!(TraceContext::current(), None);
        let seen = caller.scope(async { TraceContext::current() });
        assert_eq!(TraceContext::current(), None, "nothing is polled yet");
        assert_eq!(seen.now_or_never().unwrap(), Some(caller));
        assert_eq!(TraceContext::current(), None);
    }

    #[test]
    fn a_span_that_no_layer_sees_gets_no_parent_and_says_so() {
        let caller = TraceContext::from_headers(PARENT, None).unwrap();
        let error = caller.set_parent_of(&Span::none()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#}");
        end_span(&Span::none());
    }
}
