//! A family of Prometheus as a metric of OTLP: the same names, labels and numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deriva_metrics::prometheus::proto::{
    Bucket, Histogram, Metric as Sample, MetricFamily, MetricType, Summary,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueOf;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as OtlpHistogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary as OtlpSummary, SummaryDataPoint,
};

/// Families of one registry as they were at `now`. Those without samples are left out.
///
/// Counters and histograms are cumulative. They began when the instance did, those of the process (`process_*`) when it did; where
/// nobody says when, the beginning is not known, which is 0.
pub(crate) fn metrics(families: &[MetricFamily], now: SystemTime) -> Vec<Metric> {
    let now = nanos(now);
    let began = |name| began(families, name, now);
    let (instance, process) = (
        began("deriva_start_time_seconds"),
        began("process_start_time_seconds"),
    );
    let with_samples = families
        .iter()
        .filter(|family| !family.get_metric().is_empty());
    with_samples
        .map(|family| {
            let began = match family.name().starts_with("process_") {
                true => process,
                false => instance,
            };
            Metric {
                name: family.name().to_owned(),
                description: family.help().to_owned(),
                unit: unit(family.name()).to_owned(),
                metadata: Vec::new(),
                data: Some(Points { began, now }.of(family)),
            }
        })
        .collect()
}

/// Nanoseconds since 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When this gauge says that something began; 0 where it is not there or says what cannot be.
fn began(families: &[MetricFamily], name: &str, now: u64) -> u64 {
    let family = families.iter().find(|family| family.name() == name);
    let sample = family.and_then(|family| family.get_metric().first());
    let seconds = sample.map_or(0.0, |sample| sample.get_gauge().get_value());
    let began = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let began = u64::try_from(began.as_nanos()).unwrap_or_default();
    if began <= now { began } else { 0 }
}

/// The unit, by the name's ending, as UCUM writes it.
fn unit(name: &str) -> &'static str {
    match name.strip_suffix("_total").unwrap_or(name) {
        name if name.ends_with("_seconds") => "s",
        name if name.ends_with("_bytes") => "By",
        _ => "",
    }
}

/// What all points have in common.
#[derive(Clone, Copy)]
struct Points {
    began: u64,
    now: u64,
}

impl Points {
    fn of(self, family: &MetricFamily) -> Data {
        let samples = family.get_metric().iter();
        let cumulative = AggregationTemporality::Cumulative.into();
        match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: samples
                    .map(|sample| self.number(sample, sample.get_counter().get_value(), self.began))
                    .collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            MetricType::HISTOGRAM => Data::Histogram(OtlpHistogram {
                data_points: samples
                    .map(|sample| self.histogram(sample, sample.get_histogram()))
                    .collect(),
                aggregation_temporality: cumulative,
            }),
            MetricType::SUMMARY => Data::Summary(OtlpSummary {
                data_points: samples
                    .map(|sample| self.summary(sample, sample.get_summary()))
                    .collect(),
            }),
            // What has no type never has a value in this version of the crate; a gauge promises least.
            MetricType::GAUGE | MetricType::UNTYPED => Data::Gauge(Gauge {
                data_points: samples
                    .map(|sample| self.number(sample, sample.get_gauge().get_value(), 0))
                    .collect(),
            }),
        }
    }

    fn number(self, sample: &Sample, value: f64, began: u64) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: began,
            time_unix_nano: self.now,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(self, sample: &Sample, histogram: &Histogram) -> HistogramDataPoint {
        let buckets = Buckets::of(histogram.get_bucket(), histogram.get_sample_count());
        let sum = histogram.get_sample_sum();
        HistogramDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count: buckets.counts.iter().sum(),
            sum: (!sum.is_nan()).then_some(sum),
            bucket_counts: buckets.counts,
            explicit_bounds: buckets.bounds,
            ..HistogramDataPoint::default()
        }
    }

    fn summary(self, sample: &Sample, summary: &Summary) -> SummaryDataPoint {
        let quantiles = summary.get_quantile().iter();
        SummaryDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count: summary.sample_count(),
            sum: summary.sample_sum(),
            quantile_values: quantiles
                .map(|of| ValueAtQuantile {
                    quantile: of.quantile(),
                    value: of.value(),
                })
                .collect(),
            ..SummaryDataPoint::default()
        }
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let labels = sample.get_label().iter();
    labels
        .map(|label| KeyValue {
            key: label.name().to_owned(),
            value: Some(AnyValue {
                value: Some(AnyValueOf::StringValue(label.value().to_owned())),
            }),
            ..KeyValue::default()
        })
        .collect()
}

/// A histogram as OTLP has it: finite bounds that rise, a count for each bucket between them, and one above the last.
struct Buckets {
    bounds: Vec<f64>,
    counts: Vec<u64>,
}

impl Buckets {
    /// From counts that add up, to `count` in the end. Bounds that do not rise are left out with what they say, and counts that
    /// fall are as many as before: all counts together are never less than any count that was given.
    fn of(given: &[Bucket], count: u64) -> Self {
        let (mut bounds, mut counts) = (Vec::new(), Vec::new());
        let mut below = 0;
        for bucket in given {
            let bound = bucket.upper_bound();
            let rises = bounds.last().is_none_or(|last| bound > *last);
            if bound.is_finite() && rises {
                let within = bucket.cumulative_count().max(below);
                bounds.push(bound);
                counts.push(within - below);
                below = within;
            }
        }
        counts.push(count.saturating_sub(below));
        Self { bounds, counts }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use deriva_metrics::Registry;
    use deriva_metrics::prometheus::proto::{LabelPair, Quantile};
    use deriva_metrics::prometheus::{
        Gauge as PromGauge, HistogramOpts, HistogramVec, IntCounterVec, Opts,
    };

    use super::*;

    const NOW: u64 = 1_700_000_000_500_000_000;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(NOW)
    }

    fn labelled(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(AnyValueOf::StringValue(value.to_owned())),
            }),
            ..KeyValue::default()
        }
    }

    fn number(value: f64, began: u64, attributes: Vec<KeyValue>) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: began,
            time_unix_nano: NOW,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    /// A registry with one of each kind, as others fill it.
    fn registry() -> Registry {
        let registry = Registry::new();
        let add = |name: &str, value: f64| {
            let gauge = PromGauge::new(name, "A gauge.").unwrap();
            gauge.set(value);
            registry.register(Box::new(gauge)).unwrap();
        };
        add("deriva_start_time_seconds", 1_600_000_000.25);
        add("process_start_time_seconds", 1_500_000_000.0);
        add("deriva_inflight_bytes", -1.5);
        let counter = IntCounterVec::new(Opts::new("deriva_read_bytes_total", "Read."), &["store"]);
        let counter = counter.unwrap();
        counter.with_label_values(&["a\"b"]).inc_by(7);
        counter.with_label_values(&[""]).inc_by(1 << 53);
        registry.register(Box::new(counter)).unwrap();
        let times = HistogramOpts::new("deriva_took_seconds", "Took.").buckets(vec![0.5, 1.0, 2.0]);
        let times = HistogramVec::new(times, &["function"]).unwrap();
        for time in [0.5, 0.75, 1.5, 64.0] {
            times.with_label_values(&["f/1"]).observe(time);
        }
        times.with_label_values(&["never/1"]);
        registry.register(Box::new(times)).unwrap();
        let none = IntCounterVec::new(Opts::new("deriva_none_total", "None."), &["x"]).unwrap();
        registry.register(Box::new(none)).unwrap();
        let cpu = deriva_metrics::prometheus::Counter::new("process_cpu_seconds_total", "CPU.");
        registry.register(Box::new(cpu.unwrap())).unwrap();
        registry
    }

    #[test]
    fn every_kind_has_its_exact_values() {
        const BEGAN: u64 = 1_600_000_000_250_000_000;
        let found = metrics(&registry().gather(), now());
        let names = found.iter().map(|metric| (&*metric.name, &*metric.unit));
        let names: Vec<_> = names.collect();
        assert_eq!(
            names,
            [
                ("deriva_inflight_bytes", "By"),
                ("deriva_read_bytes_total", "By"),
                ("deriva_start_time_seconds", "s"),
                ("deriva_took_seconds", "s"),
                ("process_cpu_seconds_total", "s"),
                ("process_start_time_seconds", "s"),
            ],
            "a family without samples is left out"
        );
        let cumulative = i32::from(AggregationTemporality::Cumulative);
        assert_eq!(found[0].description, "A gauge.");
        let gauge = Gauge {
            data_points: vec![number(-1.5, 0, Vec::new())],
        };
        assert_eq!(found[0].data, Some(Data::Gauge(gauge)));
        let sum = Sum {
            data_points: vec![
                number(9_007_199_254_740_992.0, BEGAN, vec![labelled("store", "")]),
                number(7.0, BEGAN, vec![labelled("store", "a\"b")]),
            ],
            aggregation_temporality: cumulative,
            is_monotonic: true,
        };
        assert_eq!(found[1].data, Some(Data::Sum(sum)));
        let point = |function: &str, count, sum, counts: [u64; 4]| HistogramDataPoint {
            attributes: vec![labelled("function", function)],
            start_time_unix_nano: BEGAN,
            time_unix_nano: NOW,
            count,
            sum: Some(sum),
            bucket_counts: counts.to_vec(),
            explicit_bounds: vec![0.5, 1.0, 2.0],
            ..HistogramDataPoint::default()
        };
        let histogram = OtlpHistogram {
            data_points: vec![
                point("f/1", 4, 66.75, [1, 1, 1, 1]),
                point("never/1", 0, 0.0, [0; 4]),
            ],
            aggregation_temporality: cumulative,
        };
        assert_eq!(found[3].data, Some(Data::Histogram(histogram)));
        let cpu = Sum {
            data_points: vec![number(0.0, 1_500_000_000_000_000_000, Vec::new())],
            aggregation_temporality: cumulative,
            is_monotonic: true,
        };
        assert_eq!(found[4].data, Some(Data::Sum(cpu)));
    }

    fn bucket(bound: f64, count: u64) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    }

    fn family(name: &str, kind: MetricType, samples: Vec<Sample>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_field_type(kind);
        family.set_metric(samples);
        family
    }

    #[test]
    fn odd_buckets_become_some_that_add_up() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        type Case<'a> = (&'a [(f64, u64)], u64, &'a [f64], &'a [u64]);
        let cases: [Case<'_>; 7] = [
            (&[], 0, &[], &[0]),
            (&[], 3, &[], &[3]),
            (&[(1.0, 1), (infinite, 4)], 4, &[1.0], &[1, 3]),
            (&[(1.0, 5), (2.0, 3)], 4, &[1.0, 2.0], &[5, 0, 0]),
            (&[(2.0, 1), (1.0, 2), (3.0, 4)], 4, &[2.0, 3.0], &[1, 3, 0]),
            (&[(nan, 1), (1.0, 2), (1.0, 3)], 2, &[1.0], &[2, 0]),
            (
                &[(-infinite, 1), (0.0, u64::MAX)],
                1,
                &[0.0],
                &[u64::MAX, 0],
            ),
        ];
        for (given, count, bounds, counts) in cases {
            let buckets: Vec<_> = given.iter().map(|(b, n)| bucket(*b, *n)).collect();
            let found = Buckets::of(&buckets, count);
            assert_eq!(found.bounds, bounds, "{given:?}");
            assert_eq!(found.counts, counts, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_number_or_not_known_is_passed_on_or_left_open() {
        let of_gauge = |value| {
            let mut gauge = deriva_metrics::prometheus::proto::Gauge::default();
            gauge.set_value(value);
            Sample::from_gauge(gauge)
        };
        let mut histogram = Histogram::default();
        histogram.set_sample_sum(f64::NAN);
        let mut timed = Sample::from_label(vec![LabelPair::default()]);
        timed.set_histogram(histogram);
        let mut summary = Summary::default();
        summary.set_sample_count(2);
        summary.set_sample_sum(3.0);
        let mut half = Quantile::default();
        half.set_quantile(0.5);
        half.set_value(1.5);
        summary.set_quantile(vec![half]);
        let mut summed = Sample::default();
        summed.set_summary(summary);
        for began in [f64::NAN, f64::INFINITY, -1.0, 1e300, 1_700_000_001.0] {
            let found = metrics(
                &[
                    family(
                        "deriva_start_time_seconds",
                        MetricType::GAUGE,
                        vec![of_gauge(began)],
                    ),
                    family("deriva_none", MetricType::GAUGE, vec![of_gauge(f64::NAN)]),
                    family("deriva_h", MetricType::HISTOGRAM, vec![timed.clone()]),
                    family("deriva_s", MetricType::SUMMARY, vec![summed.clone()]),
                    family("", MetricType::UNTYPED, vec![Sample::default()]),
                    // Another kind than its samples have.
                    family("deriva_c_total", MetricType::COUNTER, vec![of_gauge(1.0)]),
                ],
                now(),
            );
            assert_eq!(found.len(), 6);
            let Some(Data::Gauge(gauge)) = &found[1].data else {
                panic!("{:?}", found[1]);
            };
            let Some(Value::AsDouble(value)) = gauge.data_points[0].value else {
                panic!("{gauge:?}");
            };
            assert!(value.is_nan());
            let Some(Data::Histogram(histogram)) = &found[2].data else {
                panic!("{:?}", found[2]);
            };
            let point = &histogram.data_points[0];
            assert_eq!(
                (point.sum, point.count, point.start_time_unix_nano),
                (None, 0, 0)
            );
            assert_eq!(point.attributes, [labelled("", "")]);
            let Some(Data::Summary(summary)) = &found[3].data else {
                panic!("{:?}", found[3]);
            };
            let point = &summary.data_points[0];
            assert_eq!((point.count, point.sum), (2, 3.0));
            assert_eq!(point.quantile_values[0].value, 1.5);
            let Some(Data::Sum(sum)) = &found[5].data else {
                panic!("{:?}", found[5]);
            };
            assert_eq!(sum.data_points, [number(0.0, 0, Vec::new())]);
        }
        // A clock before 1970.
        let early = UNIX_EPOCH - Duration::from_secs(1);
        let gauge = family("deriva_g", MetricType::GAUGE, vec![of_gauge(1.0)]);
        let Some(Data::Gauge(gauge)) = &metrics(&[gauge], early)[0].data else {
            panic!("a gauge");
        };
        assert_eq!(gauge.data_points[0].time_unix_nano, 0);
    }

    #[test]
    fn units_go_by_the_last_word_of_the_name() {
        for (name, expected) in [
            ("deriva_store_duration_seconds", "s"),
            ("deriva_spilled_bytes_total", "By"),
            ("deriva_materialize_total", ""),
            ("deriva_seconds_passed", ""),
            ("megabytes", ""),
            ("", ""),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
    }
}
