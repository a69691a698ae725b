//! How samples become what Prometheus reads.

use std::collections::BTreeMap;

use deriva_api::Distribution;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::families::{Family, Kind, family};

/// Samples by family.
#[derive(Debug, Default)]
pub(crate) struct Sheet(BTreeMap<&'static str, Vec<Metric>>);

impl Sheet {
    /// Notes a number, of a counter or a gauge.
    pub(crate) fn number(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let family = family(name);
        let mut metric = Metric::from_label(pairs(family, labels));
        match family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram(_) => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.0.entry(family.name).or_default().push(metric);
    }

    /// Notes a count.
    pub(crate) fn count(&mut self, name: &'static str, labels: &[&str], value: u64) {
        self.number(name, labels, value as f64);
    }

    /// Notes a distribution.
    pub(crate) fn distribution(
        &mut self,
        name: &'static str,
        labels: &[&str],
        values: &Distribution,
    ) {
        let family = family(name);
        let Kind::Histogram(buckets) = family.kind else {
            return;
        };
        let bucket = |&power: &usize| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(buckets.in_unit(Distribution::bound(power)));
            bucket.set_cumulative_count(values.up_to(power));
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.powers().iter().map(bucket).collect());
        histogram.set_sample_count(values.count());
        histogram.set_sample_sum(buckets.in_unit(values.sum()));
        let mut metric = Metric::from_label(pairs(family, labels));
        metric.set_histogram(histogram);
        self.0.entry(family.name).or_default().push(metric);
    }

    /// The families that have samples.
    pub(crate) fn finish(self) -> Vec<MetricFamily> {
        let made = |(name, metrics)| {
            let family = family(name);
            let mut made = MetricFamily::default();
            made.set_name(name.to_owned());
            made.set_help(family.help.to_owned());
            made.set_field_type(match family.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram(_) => MetricType::HISTOGRAM,
            });
            made.set_metric(metrics);
            made
        };
        self.0.into_iter().map(made).collect()
    }
}

fn pairs(family: &Family, labels: &[&str]) -> Vec<LabelPair> {
    debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    family.labels.iter().zip(labels).map(pair).collect()
}
