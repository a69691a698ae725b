//! Metrics arrive, at the interval and at the end.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Clock, async_trait};
use deriva_metrics::Metrics;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokio::sync::Semaphore;

use crate::collector::{Collector, Received};
use crate::common::{instance, recipe, to};

const COMPUTED: &[(&str, &str)] = &[("result", "computed")];

fn requests(received: &Received, result: &str) -> Option<f64> {
    received.number("deriva_materialize_total", &[("result", result)])
}

/// A clock that lets a sleeper wake for each turn that it is given.
#[derive(Debug)]
struct Turns(Semaphore);

impl Turns {
    fn none() -> Arc<Self> {
        Arc::new(Self(Semaphore::new(0)))
    }

    fn give_one(&self) {
        self.0.add_permits(1);
    }

    /// Waits until the last one was taken.
    async fn taken(&self) {
        while self.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Clock for Turns {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        self.0.acquire().await.unwrap().forget();
    }
}

#[tokio::test]
async fn metrics_arrive_with_their_exact_values_at_the_interval_and_at_the_end() {
    let collector = Collector::start().await;
    let clock = Turns::none();
    let otel = to(&collector)
        .service_name("counted")
        .header("tenant", "a")
        .clock(clock.clone())
        .build()
        .unwrap();
    let deriva = instance().await;
    otel.push_metrics(deriva.instrument::<Metrics>().unwrap());
    let addr = recipe(&deriva, "heavy", "four").await.unwrap();
    deriva.materialize(addr).await.unwrap();
    deriva.materialize(addr).await.unwrap();
    assert_eq!(collector.received().metrics.len(), 0, "it is not time yet");
    clock.give_one();

    let received = collector
        .once(|received| !received.metrics.is_empty())
        .await;
    assert_eq!(requests(&received, "computed"), Some(1.0));
    assert_eq!(requests(&received, "failed"), Some(0.0));
    assert_eq!(received.number("deriva_materialize_active", &[]), Some(0.0));
    assert_eq!(
        received.number("deriva_recipes", &[]),
        Some(1.0),
        "it asks the stores"
    );
    let of_heavy = [("function", "heavy/1")];
    let inputs = received
        .histogram("deriva_compute_input_bytes", &of_heavy)
        .unwrap();
    assert_eq!((inputs.count, inputs.sum), (1, Some(4.0)));
    assert_eq!(inputs.bucket_counts.iter().sum::<u64>(), 1);
    assert_eq!(inputs.bucket_counts.len(), inputs.explicit_bounds.len() + 1);
    assert!(inputs.explicit_bounds.is_sorted());

    let total = received.last("deriva_materialize_total").unwrap();
    let Some(Data::Sum(sum)) = &total.data else {
        panic!("{total:?}");
    };
    assert!(sum.is_monotonic);
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    assert_eq!(sum.aggregation_temporality, cumulative);
    let began = received.number("deriva_start_time_seconds", &[]).unwrap();
    for point in &sum.data_points {
        let seconds = point.start_time_unix_nano as f64 / 1e9;
        assert!((seconds - began).abs() < 1e-3, "{seconds}, {began}");
        assert!(point.time_unix_nano >= point.start_time_unix_nano);
    }
    assert!(total.description.contains("equests"), "{total:?}");
    let took = received
        .last("deriva_materialize_duration_seconds")
        .unwrap();
    assert_eq!(took.unit, "s");
    assert_eq!(received.of_sender("service.name").unwrap(), "counted");
    assert_eq!(received.headers[0].get("tenant").unwrap(), "a");

    let other = recipe(&deriva, "light", "y").await.unwrap();
    deriva.get(other).await.unwrap();
    otel.shutdown().await.unwrap();
    let received = collector.received();
    assert_eq!(
        received.metrics.len(),
        2,
        "once at the interval, once at the end"
    );
    assert_eq!(requests(&received, "computed"), Some(2.0));
    otel.shutdown().await.unwrap();
    assert_eq!(collector.received().metrics.len(), 2, "it has ended");
}

#[tokio::test]
async fn what_an_instance_counted_arrives_also_after_it_was_closed() {
    let collector = Collector::start().await;
    let otel = to(&collector).build().unwrap();
    let deriva = instance().await;
    otel.push_metrics(deriva.instrument::<Metrics>().unwrap());
    let addr = recipe(&deriva, "light", "x").await.unwrap();
    deriva.get(addr).await.unwrap();
    drop(deriva);
    otel.shutdown().await.unwrap();
    let received = collector.received();
    assert_eq!(
        received.number("deriva_materialize_total", COMPUTED),
        Some(1.0)
    );
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_is_counted() {
    let collector = Collector::start().await;
    let clock = Turns::none();
    let otel = to(&collector).clock(clock.clone()).build().unwrap();
    clock.give_one();
    clock.taken().await;
    otel.shutdown().await.unwrap();
    let received = collector.received();
    assert!(received.metrics.is_empty() && received.spans.is_empty());
}
