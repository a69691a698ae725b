//! What can be chosen.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Clock, Result, SystemClock};

use crate::otel::Otel;
use crate::settings::Settings;

/// Begins an [`Otel`]. What is not set is as the [environment](crate#the-environment) says.
#[derive(Clone)]
#[must_use = "nothing is sent before it is built"]
pub struct OtelBuilder {
    pub(crate) endpoint: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) sampling: Option<f64>,
    pub(crate) spans: String,
    pub(crate) queue: Option<usize>,
    pub(crate) delay: Option<Duration>,
    pub(crate) metrics_interval: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl OtelBuilder {
    /// Which spans are recorded unless told otherwise: those of deriva down to `debug`, those of others down to `info`.
    pub const DEFAULT_SPANS: &str = "info,deriva=debug";
    /// The longest timeout and delay: an hour.
    pub const MAX_TIME: Duration = Duration::from_secs(3600);
    /// The longest queue: 65,536 spans.
    pub const MAX_QUEUE: usize = 1 << 16;

    pub(crate) fn new() -> Self {
        Self {
            endpoint: None,
            service_name: None,
            attributes: Vec::new(),
            headers: Vec::new(),
            timeout: None,
            sampling: None,
            spans: Self::DEFAULT_SPANS.to_owned(),
            queue: None,
            delay: None,
            metrics_interval: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The collector, as `http://HOST:PORT`. Default: `http://localhost:4317`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// What the program is called (`service.name`). Default: `deriva`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Says more of who sends, such as `deployment.environment.name`. May be called again. Default: what the environment says,
    /// and a `service.instance.id` that is drawn, so that the sums of two processes are not taken for one.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// Sends a header with each export, such as `authorization`. May be called again. Default: none.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one export may take, and how long [`Otel::shutdown`]: 1 ms to [`OtelBuilder::MAX_TIME`]. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The share of the traces that begin here which is recorded, from 0 to 1. A trace that others began is recorded if they do
    /// so. Default: 1.
    pub fn sampling(mut self, share: f64) -> Self {
        self.sampling = Some(share);
        self
    }

    /// Which spans are recorded: levels, and levels of targets, as `info,deriva=trace`. The spans of what sends them (`h2`, `tonic`
    /// and others) never are: each export would bring more. Default: [`OtelBuilder::DEFAULT_SPANS`].
    pub fn spans(mut self, levels: impl Into<String>) -> Self {
        self.spans = levels.into();
        self
    }

    /// How many spans that ended may wait to be sent: 1 to [`OtelBuilder::MAX_QUEUE`]. Those that find no room are dropped, and
    /// counted. Default: 2,048.
    pub fn queue(mut self, spans: usize) -> Self {
        self.queue = Some(spans);
        self
    }

    /// How long a span may wait for others to be sent with: 1 ms to [`OtelBuilder::MAX_TIME`]. Default: 5 s.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The time between two exports of metrics: 1 ms to [`OtelBuilder::MAX_TIME`]. Default: 60 s.
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.metrics_interval = Some(interval);
        self
    }

    /// Where the time of metrics comes from, and of the interval between them. Default: the system.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Begins. Called within a tokio runtime, which then does the sending; nothing waits for the collector.
    ///
    /// # Errors
    /// `Invalid` for what is out of its range or not of its form, here or in the environment, and outside of a runtime;
    /// `Unsupported` for `https:` and for another protocol than gRPC; `Unavailable` where the system gives no thread.
    pub fn build(self) -> Result<Otel> {
        let clock = Arc::clone(&self.clock);
        match Settings::new(self, &|name| std::env::var_os(name))? {
            Some(settings) => Otel::begin(settings, clock),
            None => Ok(Otel::disabled()),
        }
    }
}

/// Without the values of headers: they are often secrets.
impl Debug for OtelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtelBuilder")
            .field("endpoint", &self.endpoint)
            .field("service_name", &self.service_name)
            .field("attributes", &self.attributes)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("sampling", &self.sampling)
            .field("spans", &self.spans)
            .field("queue", &self.queue)
            .field("delay", &self.delay)
            .field("metrics_interval", &self.metrics_interval)
            .finish_non_exhaustive()
    }
}
