//! How often things happened lately: what is counted, looked at from time to time.

use std::collections::VecDeque;
use std::time::Duration;

use deriva::metrics::prometheus::proto::MetricFamily;
use deriva::{Deriva, DerivaExt};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How far back rates go.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Less time than this says nothing of a rate.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is counted: in words, and the metric that counts it.
const COUNTED: [(&str, &str); 7] = [
    ("calls of the service", "deriva_server_calls_total"),
    ("requests ended", "deriva_materialize_total"),
    ("recipes computed", "deriva_compute_duration_seconds"),
    ("recipes failed", "deriva_compute_failures_total"),
    ("found in the cache", "deriva_cache_hits_total"),
    ("calls of stores", "deriva_store_operations_total"),
    ("bytes of stores", "deriva_store_bytes_total"),
];

type Totals = [f64; COUNTED.len()];

/// What was counted at some moments of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<VecDeque<(Instant, Totals)>>);

/// Something that is counted.
#[derive(Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) what: &'static str,
    pub(super) total: f64,
    /// Of the last minute, or of the time since the start where that is shorter; nothing where it is too short.
    pub(super) per_second: Option<f64>,
}

impl Rates {
    /// Looks for ever.
    pub(super) async fn watch(&self, deriva: &Deriva) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Some(totals) = totals(deriva) {
                self.note(Instant::now(), totals);
            }
        }
    }

    fn note(&self, at: Instant, totals: Totals) {
        let mut noted = self.0.lock();
        noted.push_back((at, totals));
        while noted.front().is_some_and(|(then, _)| at - *then > WINDOW) {
            noted.pop_front();
        }
    }

    /// As of now; nothing where nothing is counted.
    pub(super) fn now(&self, deriva: &Deriva) -> Option<Vec<Rate>> {
        Some(self.at(Instant::now(), totals(deriva)?))
    }

    fn at(&self, now: Instant, totals: Totals) -> Vec<Rate> {
        let noted = self.0.lock();
        let first = noted.front().filter(|(then, _)| now - *then >= SHORTEST);
        let rates = COUNTED.iter().zip(totals).enumerate();
        let rates = rates.map(|(i, ((what, _), total))| Rate {
            what,
            total,
            per_second: first
                .map(|(then, before)| (total - before[i]).max(0.0) / (now - *then).as_secs_f64()),
        });
        rates.collect()
    }
}

fn totals(deriva: &Deriva) -> Option<Totals> {
    let families = deriva.metrics()?.registry().gather();
    Some(COUNTED.map(|(_, name)| {
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, total)
    }))
}

/// How often, over all labels.
fn total(family: &MetricFamily) -> f64 {
    let metrics = family.get_metric().iter();
    let counts = metrics.map(|metric| match metric.get_histogram().get_sample_count() {
        0 => metric.get_counter().get_value(),
        count => count as f64,
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rate_is_that_of_the_last_minute() {
        let (rates, begun) = (Rates::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let of = |seconds, count: f64| rates.at(after(seconds), [count; COUNTED.len()]).remove(0);
        assert_eq!(of(5, 1.0).per_second, None);
        rates.note(begun, [0.0; COUNTED.len()]);
        assert_eq!(of(0, 1.0).per_second, None);
        assert_eq!(of(10, 20.0).per_second, Some(2.0));
        rates.note(after(40), [40.0; COUNTED.len()]);
        rates.note(after(70), [40.0; COUNTED.len()]);
        // The first is more than a minute ago.
        let rate = of(80, 80.0);
        assert_eq!((rate.total, rate.per_second), (80.0, Some(1.0)));
    }
}
