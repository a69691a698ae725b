//! Metrics, sent at an interval and at the end.

use std::fmt::{self, Debug};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Clock, Error, ErrorKind, Result};
use deriva_metrics::Metrics;
use futures::FutureExt;
use futures::future::{Either, select};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::convert;
use crate::spans::Outage;

/// What a pusher is made of.
pub(crate) struct Sending {
    pub(crate) channel: Channel,
    pub(crate) headers: MetadataMap,
    pub(crate) resource: opentelemetry_sdk::Resource,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Sends the metrics of instances until it is told to end.
pub(crate) struct Pusher {
    sources: Arc<Mutex<Vec<Metrics>>>,
    end: Mutex<Option<End>>,
}

/// Tells the task to end, and what came of the last export.
struct End {
    tell: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<()>>,
}

impl Pusher {
    /// Begins, in a task of this runtime.
    pub(crate) fn begin(runtime: &Handle, sending: Sending) -> Self {
        let sources = Arc::new(Mutex::new(Vec::new()));
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let pushing = Pushing {
            sources: Arc::clone(&sources),
            sending,
            outage: Outage::default(),
        };
        runtime.spawn(async move {
            // Who waits for it may have gone.
            let _ = end.send(pushing.run(told).await);
        });
        Self {
            sources,
            end: Mutex::new(Some(End { tell, ended })),
        }
    }

    pub(crate) fn add(&self, metrics: Metrics) {
        self.sources.lock().push(metrics);
    }

    /// Sends once more, and ends.
    pub(crate) async fn end(&self) -> Result<()> {
        let Some(End { tell, ended }) = self.end.lock().take() else {
            return Ok(());
        };
        let _ = tell.send(());
        ended.await.unwrap_or_else(|source| {
            let what = "the runtime ended before metrics were sent for the last time";
            Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
        })
    }
}

impl Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pusher")
    }
}

/// The task.
struct Pushing {
    sources: Arc<Mutex<Vec<Metrics>>>,
    sending: Sending,
    outage: Outage,
}

impl Pushing {
    /// Sends until it is told to end, or nobody is left to tell it; then once more.
    async fn run(self, mut told: oneshot::Receiver<()>) -> Result<()> {
        loop {
            let interval = self.sending.clock.sleep(self.sending.interval);
            let turn = async {
                interval.await;
                match self.push().await {
                    Ok(()) => self.outage.over("metrics"),
                    Err(error) => self.outage.met("metrics", &format!("{error:#}")),
                }
            };
            let turn = pin!(turn);
            // One that is under way is given up: the last one has all that it has.
            if let Either::Right(_) = select(turn, &mut told).await {
                return self.push().await;
            }
        }
    }

    /// Sends all there is, within the time for one export.
    async fn push(&self) -> Result<()> {
        let pushed = tokio::time::timeout(self.sending.timeout, self.export());
        pushed.await.unwrap_or_else(|_| {
            let what = "metrics were not sent in time";
            let timeout = format!("{:?}", self.sending.timeout);
            Err(Error::new(ErrorKind::Timeout, what).with("timeout", timeout))
        })
    }

    async fn export(&self) -> Result<()> {
        let sources = self.sources.lock().clone();
        if sources.is_empty() {
            return Ok(());
        }
        let mut scopes = Vec::with_capacity(sources.len());
        for source in sources {
            let families = source.gather().await;
            scopes.push(ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "deriva".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                metrics: convert::metrics(&families, self.sending.clock.date()),
                schema_url: String::new(),
            });
        }
        let of = ResourceAttributesWithSchema::from(&self.sending.resource);
        let mut request = Request::new(ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: of.attributes.0,
                    ..Resource::default()
                }),
                scope_metrics: scopes,
                schema_url: of.schema_url.unwrap_or_default(),
            }],
        });
        *request.metadata_mut() = self.sending.headers.clone();
        let mut client = MetricsServiceClient::new(self.sending.channel.clone());
        let answer = client.export(request).map(|done| done.map_err(refused));
        let partly = answer.await?.into_inner().partial_success;
        match partly {
            Some(partly) if partly.rejected_data_points > 0 => {
                let what = "the collector did not take all metrics";
                Err(Error::new(ErrorKind::Invalid, what)
                    .with("refused", partly.rejected_data_points)
                    .with("why", partly.error_message))
            }
            _ => Ok(()),
        }
    }
}

/// What the collector, or the way there, said.
fn refused(status: Status) -> Error {
    let kind = match status.code() {
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument => {
            ErrorKind::Invalid
        }
        Code::Unimplemented => ErrorKind::Unsupported,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "the collector did not take metrics")
        .with("code", format!("{:?}", status.code()))
        .caused_by(status)
}
