//! A collector on this machine, which keeps what it gets.
#![allow(dead_code, reason = "each of those who use it uses a part")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueOf;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

/// What it does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Takes,
    Refuses,
    /// It answers when that changes.
    Hangs,
}

/// A collector; it ends with the value.
pub(crate) struct Collector {
    addr: SocketAddr,
    answer: watch::Sender<Answer>,
    received: watch::Receiver<Received>,
    server: tokio::task::JoinHandle<()>,
}

/// What arrived, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    /// Who sent, by the last export.
    pub(crate) resource: Vec<KeyValue>,
    /// Metrics, by export.
    pub(crate) metrics: Vec<Vec<Metric>>,
    /// The headers of each export.
    pub(crate) headers: Vec<MetadataMap>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (answer, told) = watch::channel(Answer::Takes);
        let (keep, received) = watch::channel(Received::default());
        let service = Service { told, keep };
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(service.clone()))
            .add_service(MetricsServiceServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            addr,
            answer,
            received,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn answers(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// What arrived so far.
    pub(crate) fn received(&self) -> Received {
        self.received.borrow().clone()
    }

    /// What arrived, once it is what was waited for.
    pub(crate) async fn once(&self, is_there: impl Fn(&Received) -> bool) -> Received {
        let mut received = self.received.clone();
        let there = received.wait_for(|received| is_there(received)).await;
        there.unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Received {
    /// The spans of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        let spans = self.spans.iter();
        spans.filter(|span| span.name == name).collect()
    }

    /// The only span of this name.
    pub(crate) fn only(&self, name: &str) -> &Span {
        let named = self.named(name);
        assert_eq!(named.len(), 1, "{name} in {:#?}", self.spans);
        named[0]
    }

    /// What is said of who sent.
    pub(crate) fn of_sender(&self, key: &str) -> Option<String> {
        attribute(&self.resource, key)
    }

    /// The sample of a counter or gauge in the last export of metrics.
    pub(crate) fn number(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let points = match self.last(name)?.data.as_ref()? {
            Data::Sum(sum) => &sum.data_points,
            Data::Gauge(gauge) => &gauge.data_points,
            other => panic!("{name} is no number: {other:?}"),
        };
        let point = points.iter().find(|point| has(&point.attributes, labels))?;
        match point.value? {
            Value::AsDouble(value) => Some(value),
            Value::AsInt(value) => panic!("{name} is the whole number {value}"),
        }
    }

    /// The same of a histogram.
    pub(crate) fn histogram(
        &self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Option<&HistogramDataPoint> {
        let Data::Histogram(histogram) = self.last(name)?.data.as_ref()? else {
            panic!("{name} is no histogram");
        };
        let mut points = histogram.data_points.iter();
        points.find(|point| has(&point.attributes, labels))
    }

    pub(crate) fn last(&self, name: &str) -> Option<&Metric> {
        let mut metrics = self.metrics.last()?.iter();
        metrics.find(|metric| metric.name == name)
    }
}

fn has(attributes: &[KeyValue], labels: &[(&str, &str)]) -> bool {
    let is_there =
        |(key, value): &(&str, &str)| attribute(attributes, key).as_deref() == Some(value);
    attributes.len() == labels.len() && labels.iter().all(is_there)
}

/// An attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        AnyValueOf::StringValue(text) => Some(text.clone()),
        AnyValueOf::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

#[derive(Clone)]
struct Service {
    told: watch::Receiver<Answer>,
    keep: watch::Sender<Received>,
}

impl Service {
    async fn take<T>(
        &self,
        request: Request<T>,
        keep: impl FnOnce(&mut Received, T),
    ) -> Result<(), Status> {
        let mut told = self.told.clone();
        let answer = told.wait_for(|answer| *answer != Answer::Hangs).await;
        if answer.is_ok_and(|answer| *answer == Answer::Refuses) {
            return Err(Status::permission_denied("not for you"));
        }
        self.keep.send_modify(|received| {
            received.headers.push(request.metadata().clone());
            keep(received, request.into_inner());
        });
        Ok(())
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let keep = |received: &mut Received, request: ExportTraceServiceRequest| {
            for of in request.resource_spans {
                received.resource = of.resource.unwrap_or_default().attributes;
                let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                received.spans.extend(spans);
            }
        };
        self.take(request, keep).await?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let keep = |received: &mut Received, request: ExportMetricsServiceRequest| {
            let mut metrics = Vec::new();
            for of in request.resource_metrics {
                received.resource = of.resource.unwrap_or_default().attributes;
                let scopes = of.scope_metrics.into_iter();
                metrics.extend(scopes.flat_map(|scope| scope.metrics));
            }
            received.metrics.push(metrics);
        };
        self.take(request, keep).await?;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
