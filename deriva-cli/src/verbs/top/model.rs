//! From two answers of an instance to what is shown: how much happened in a second between them, and how much there is.

use std::collections::BTreeMap;
use std::time::Duration;

use deriva::metrics::ActivityReport;
use serde::Serialize;

use super::exposition::{Exposition, Histogram};

/// Samples of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// By the clock of whoever asked.
    pub(super) at: Duration,
    pub(super) metrics: Exposition,
    /// Nothing where the instance does not tell it.
    pub(super) activity: Option<ActivityReport>,
}

/// What is shown. Rates are those between the last two samples; they are not known after the first one, and after the
/// instance began anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Picture {
    /// Where it comes from.
    pub(super) url: String,
    pub(super) version: Option<String>,
    pub(super) store: Option<String>,
    pub(super) uptime_seconds: Option<f64>,
    /// Time between the two samples that rates are of.
    pub(super) interval_seconds: Option<f64>,
    pub(super) requests: Requests,
    pub(super) nodes: Nodes,
    pub(super) cache: Cache,
    pub(super) memory: Memory,
    pub(super) checks: Checks,
    pub(super) stored: Stored,
    /// Upkeep under way: audits, collections, scrubs, invalidations.
    pub(super) upkeep: BTreeMap<&'static str, f64>,
    pub(super) functions: Vec<Row>,
    pub(super) stores: Vec<Row>,
    /// Requests that are under way and what went wrong; nothing where the instance does not tell it.
    pub(super) activity: Option<ActivityReport>,
}

/// Requests and reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Requests {
    pub(super) active: f64,
    /// How many ended, by result.
    pub(super) total: BTreeMap<String, f64>,
    pub(super) per_second: BTreeMap<String, f64>,
}

/// Recipes, and steps of the executor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Nodes {
    pub(super) computed: Counter,
    pub(super) reused: Counter,
    pub(super) failed: Counter,
    pub(super) steps: f64,
    pub(super) slots: f64,
    pub(super) waiting: f64,
}

/// A number that only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Counter {
    pub(super) total: f64,
    pub(super) per_second: Option<f64>,
}

/// The memory cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Cache {
    /// The part of all look-ups that it had, between the two samples; of all where there was none between.
    pub(super) hit_rate: Option<f64>,
    pub(super) lookups: Counter,
    pub(super) bytes: f64,
    pub(super) limit_bytes: f64,
    pub(super) entries: f64,
    pub(super) saved_seconds: f64,
}

/// The memory budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Memory {
    pub(super) used_bytes: f64,
    pub(super) budget_bytes: f64,
    pub(super) spilled_bytes: Counter,
}

/// Checks, and what came of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Checks {
    pub(super) agreed: f64,
    pub(super) violations: f64,
    pub(super) doubted: f64,
    pub(super) quarantined: f64,
    pub(super) ledger: f64,
}

/// What the stores hold, where they tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Stored {
    pub(super) recipes: Option<f64>,
    pub(super) outputs: Option<f64>,
    pub(super) blobs: Option<f64>,
    pub(super) blob_bytes: Option<f64>,
}

/// Calls of one function, or of one operation of one store. Mean and percentile are of the calls between the two samples; of
/// all where there was none between.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) calls: Counter,
    pub(super) mean_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    /// Time of all calls.
    pub(super) total_seconds: f64,
    pub(super) failures: f64,
}

impl Picture {
    /// What two samples of the instance at `url` show, the earlier one where there is one.
    pub(super) fn of(url: &str, before: Option<&Sample>, now: &Sample) -> Self {
        Look::new(before, now).picture(url)
    }
}

const START: &str = "deriva_start_time_seconds";

/// Two samples of one process.
struct Look<'a> {
    now: &'a Sample,
    /// The earlier one, and the seconds since.
    before: Option<(&'a Sample, f64)>,
}

impl<'a> Look<'a> {
    fn new(before: Option<&'a Sample>, now: &'a Sample) -> Self {
        let same = |before: &&Sample| before.metrics.sum(START) == now.metrics.sum(START);
        let before = before.filter(same).and_then(|before| {
            let seconds = now.at.saturating_sub(before.at).as_secs_f64();
            (seconds > 0.0).then_some((before, seconds))
        });
        Self { now, before }
    }

    fn picture(&self, url: &str) -> Picture {
        let metrics = &self.now.metrics;
        let activity = &self.now.activity;
        let version = metrics.label("deriva_build_info", "version");
        let began = metrics.sum(START);
        let now = activity.as_ref().map(|told| told.now_millis as f64 / 1e3);
        let upkeep = [
            ("audits", "deriva_audits_active"),
            ("collections", "deriva_collections_active"),
            ("scrubs", "deriva_scrubs_active"),
            ("invalidations", "deriva_invalidations_active"),
        ];
        Picture {
            url: url.to_owned(),
            version: version.map(str::to_owned),
            store: activity.as_ref().map(|told| told.store.clone()),
            uptime_seconds: now.zip(began).map(|(now, began)| (now - began).max(0.0)),
            interval_seconds: self.before.map(|(_, seconds)| seconds),
            requests: self.requests(),
            nodes: self.nodes(),
            cache: self.cache(),
            memory: Memory {
                used_bytes: self.gauge("deriva_memory_used_bytes"),
                budget_bytes: self.gauge("deriva_memory_budget_bytes"),
                spilled_bytes: self.counter("deriva_spilled_bytes_total"),
            },
            checks: self.checks(),
            stored: Stored {
                recipes: metrics.sum("deriva_recipes"),
                outputs: metrics.sum("deriva_outputs"),
                blobs: metrics.sum("deriva_blobs"),
                blob_bytes: metrics.sum("deriva_blob_bytes"),
            },
            upkeep: upkeep.map(|(what, name)| (what, self.gauge(name))).into(),
            functions: self.rows(
                "deriva_compute_duration_seconds",
                &["function"],
                metrics.grouped("deriva_compute_failures_total", &["function"], None),
            ),
            stores: self.rows(
                "deriva_store_duration_seconds",
                &["store", "operation"],
                metrics.grouped(
                    "deriva_store_operations_total",
                    &["store", "operation"],
                    Some(("result", "ok")),
                ),
            ),
            activity: activity.clone(),
        }
    }

    fn requests(&self) -> Requests {
        const TOTAL: &str = "deriva_materialize_total";
        let total = self.now.metrics.by(TOTAL, "result");
        let per_second = self.before.map(|(before, seconds)| {
            let before = before.metrics.by(TOTAL, "result");
            let rate = |(result, now): (&String, &f64)| {
                let before = before.get(result).copied().unwrap_or_default();
                (result.clone(), (now - before).max(0.0) / seconds)
            };
            total.iter().map(rate).collect()
        });
        Requests {
            active: self.gauge("deriva_materialize_active"),
            per_second: per_second.unwrap_or_default(),
            total,
        }
    }

    fn nodes(&self) -> Nodes {
        let reused = |sample: &Sample| match &sample.activity {
            Some(told) => told.reused as f64,
            // Without those that were recorded, of which metrics do not tell.
            None => [
                "deriva_early_cutoff_total",
                "deriva_executor_hits_total",
                "deriva_singleflight_joined_total",
            ]
            .iter()
            .filter_map(|name| sample.metrics.sum(name))
            .sum(),
        };
        Nodes {
            computed: self.counter("deriva_compute_duration_seconds_count"),
            reused: self.counted(reused),
            failed: self.counter("deriva_compute_failures_total"),
            steps: self.gauge("deriva_executor_steps"),
            slots: self.gauge("deriva_executor_slots"),
            waiting: self.gauge("deriva_executor_slots_wanted"),
        }
    }

    fn cache(&self) -> Cache {
        let hits = |sample: &Sample| sum(sample, "deriva_cache_hits_total");
        let lookups = |sample: &Sample| hits(sample) + sum(sample, "deriva_cache_misses_total");
        let of = |hits: f64, lookups: f64| (lookups > 0.0).then(|| hits / lookups);
        let lately = self.before.and_then(|(before, _)| {
            let hits = (hits(self.now) - hits(before)).max(0.0);
            of(hits, lookups(self.now) - lookups(before))
        });
        Cache {
            hit_rate: lately.or_else(|| of(hits(self.now), lookups(self.now))),
            lookups: self.counted(lookups),
            bytes: self.gauge("deriva_cache_bytes"),
            limit_bytes: self.gauge("deriva_cache_limit_bytes"),
            entries: self.gauge("deriva_cache_entries"),
            saved_seconds: self.gauge("deriva_cache_saved_seconds_total"),
        }
    }

    fn checks(&self) -> Checks {
        let results = self
            .now
            .metrics
            .by("deriva_determinism_checks_total", "result");
        Checks {
            agreed: results.get("agreed").copied().unwrap_or_default(),
            violations: self.gauge("deriva_determinism_violations_total"),
            doubted: self.gauge("deriva_doubted_outputs_total"),
            quarantined: self.gauge("deriva_quarantined_functions"),
            ledger: self.gauge("deriva_ledger_entries"),
        }
    }

    /// A row for each combination of values of labels, those with failures alone included.
    fn rows(&self, name: &str, labels: &[&str], failures: BTreeMap<Vec<String>, f64>) -> Vec<Row> {
        let mut histograms = self.now.metrics.histograms(name, labels);
        for key in failures.keys() {
            histograms.entry(key.clone()).or_default();
        }
        let earlier = self.before;
        let earlier = earlier.map(|(before, _)| before.metrics.histograms(name, labels));
        let row = |(key, all): (&Vec<String>, &Histogram)| {
            let before = earlier.as_ref().and_then(|earlier| earlier.get(key));
            let lately = match (before, self.before) {
                (Some(before), _) => Some(all.since(before)),
                // It is new.
                (None, Some(_)) => Some(all.clone()),
                (None, None) => None,
            };
            let shown = lately.as_ref().filter(|lately| lately.count > 0.0);
            let shown = shown.unwrap_or(all);
            let count = lately.as_ref().map(|lately| lately.count);
            Row {
                name: key.join(" "),
                calls: Counter {
                    total: all.count,
                    per_second: count
                        .zip(self.before)
                        .map(|(count, (_, seconds))| count / seconds),
                },
                mean_seconds: shown.mean(),
                p99_seconds: shown.quantile(0.99),
                total_seconds: all.sum,
                failures: failures.get(key).copied().unwrap_or_default(),
            }
        };
        histograms.iter().map(row).collect()
    }

    fn gauge(&self, name: &str) -> f64 {
        sum(self.now, name)
    }

    fn counter(&self, name: &str) -> Counter {
        self.counted(|sample| sum(sample, name))
    }

    /// What was added in a second; nothing where it went back.
    fn counted(&self, of: impl Fn(&Sample) -> f64) -> Counter {
        let total = of(self.now);
        let rate = |(before, seconds)| (total - of(before)).max(0.0) / seconds;
        Counter {
            total,
            per_second: self.before.map(rate),
        }
    }
}

fn sum(sample: &Sample, name: &str) -> f64 {
    sample.metrics.sum(name).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An instance that began at `began`, after N calls, some seconds after the first sample.
    pub(in crate::verbs::top) fn sample(began: u64, calls: u64, at: u64) -> Sample {
        let (hits, misses, half) = (3 * calls, calls, calls as f64 / 2.0);
        let quick = calls / 2;
        let text = format!(
            r#"
deriva_build_info{{version="9.8.7"}} 1
deriva_start_time_seconds {began}
deriva_materialize_total{{result="computed"}} {calls}
deriva_materialize_total{{result="failed"}} 1
deriva_materialize_active 2
deriva_compute_duration_seconds_bucket{{function="f/1",le="1"}} {calls}
deriva_compute_duration_seconds_bucket{{function="f/1",le="+Inf"}} {calls}
deriva_compute_duration_seconds_sum{{function="f/1"}} {half}
deriva_compute_duration_seconds_count{{function="f/1"}} {calls}
deriva_compute_duration_seconds_bucket{{function="g/2",le="1"}} {quick}
deriva_compute_duration_seconds_bucket{{function="g/2",le="+Inf"}} {quick}
deriva_compute_duration_seconds_sum{{function="g/2"}} 0.5
deriva_compute_duration_seconds_count{{function="g/2"}} {quick}
deriva_compute_failures_total{{function="broken/1",kind="function"}} 3
deriva_compute_failures_total{{function="broken/1",kind="internal"}} 1
deriva_executor_steps 2
deriva_executor_slots 4
deriva_executor_slots_wanted 5
deriva_cache_hits_total {hits}
deriva_cache_misses_total {misses}
deriva_cache_bytes 1048576
deriva_cache_limit_bytes 2097152
deriva_cache_entries 7
deriva_cache_saved_seconds_total 12.5
deriva_memory_budget_bytes 4194304
deriva_memory_used_bytes{{what="requests"}} 1048576
deriva_memory_used_bytes{{what="cache"}} 1048576
deriva_spilled_bytes_total 1024
deriva_determinism_checks_total{{mode="dual",result="agreed"}} 6
deriva_determinism_checks_total{{mode="dual",result="violated"}} 2
deriva_determinism_violations_total{{function="f/1"}} 2
deriva_ledger_entries 2
deriva_blobs 11
deriva_store_duration_seconds_bucket{{store="sled",operation="blob_get",le="1"}} {calls}
deriva_store_duration_seconds_sum{{store="sled",operation="blob_get"}} {half}
deriva_store_duration_seconds_count{{store="sled",operation="blob_get"}} {calls}
deriva_store_operations_total{{store="sled",operation="blob_get",result="ok"}} {calls}
deriva_store_operations_total{{store="sled",operation="blob_get",result="corrupt"}} 1
"#
        );
        let mut activity = ActivityReport::default();
        activity.store = "sled:here".to_owned();
        activity.now_millis = 1000 * (began + at);
        activity.reused = 10 * calls;
        Sample {
            at: Duration::from_secs(100 + at),
            metrics: Exposition::parse(&text),
            activity: Some(activity),
        }
    }

    #[test]
    fn two_samples_give_rates() {
        let (before, now) = (sample(50, 10, 0), sample(50, 30, 2));
        let picture = Picture::of("u", Some(&before), &now);
        assert_eq!(picture.version.as_deref(), Some("9.8.7"));
        assert_eq!(picture.uptime_seconds, Some(2.0));
        assert_eq!(picture.interval_seconds, Some(2.0));
        assert_eq!(picture.requests.active, 2.0);
        let rates = &picture.requests.per_second;
        assert_eq!((rates["computed"], rates["failed"]), (10.0, 0.0));
        let computed = picture.nodes.computed;
        assert_eq!((computed.total, computed.per_second), (45.0, Some(15.0)));
        assert_eq!(picture.nodes.reused.per_second, Some(100.0));
        assert_eq!(picture.cache.hit_rate, Some(0.75));
        assert_eq!(picture.cache.lookups.per_second, Some(40.0));
        assert_eq!(picture.memory.used_bytes, 2097152.0);
        assert_eq!(
            (picture.checks.agreed, picture.checks.violations),
            (6.0, 2.0)
        );
        assert_eq!(
            (picture.stored.blobs, picture.stored.recipes),
            (Some(11.0), None)
        );
        let [broken, f, g] = &picture.functions[..] else {
            panic!("{:?}", picture.functions);
        };
        assert_eq!((&*broken.name, broken.failures), ("broken/1", 4.0));
        assert_eq!((broken.mean_seconds, broken.calls.total), (None, 0.0));
        assert_eq!(
            (f.calls.per_second, f.mean_seconds),
            (Some(10.0), Some(0.5))
        );
        assert!(f.p99_seconds.is_some_and(|p99| (p99 - 0.99).abs() < 1e-9));
        assert_eq!(g.total_seconds, 0.5);
        let [get] = &picture.stores[..] else {
            panic!("{:?}", picture.stores);
        };
        assert_eq!((&*get.name, get.failures), ("sled blob_get", 1.0));
        assert_eq!(get.calls.per_second, Some(10.0));
    }

    #[test]
    fn one_sample_gives_no_rates_and_what_there_is() {
        let picture = Picture::of("u", None, &sample(50, 10, 0));
        assert_eq!(picture.interval_seconds, None);
        assert_eq!(picture.nodes.computed.per_second, None);
        assert!(picture.requests.per_second.is_empty());
        assert_eq!(picture.functions[1].mean_seconds, Some(0.5));
        assert_eq!(picture.cache.hit_rate, Some(0.75));
        // A moment has no rate.
        let now = sample(50, 10, 0);
        assert_eq!(Picture::of("u", Some(&now), &now).interval_seconds, None);
    }

    #[test]
    fn an_instance_that_began_anew_has_no_negative_rates() {
        let (before, now) = (sample(50, 30, 0), sample(90, 10, 2));
        assert_eq!(Picture::of("u", Some(&before), &now).interval_seconds, None);
        // One that does not tell when it began.
        let strip = |sample: Sample| Sample {
            metrics: Exposition::parse("deriva_cache_hits_total 1\n"),
            ..sample
        };
        let mut low = strip(now);
        low.activity = None;
        let picture = Picture::of("u", Some(&before), &low);
        assert_eq!(picture.interval_seconds, None);
        let back = Picture::of("u", Some(&sample(50, 30, 0)), &sample(50, 10, 2));
        assert_eq!(back.nodes.computed.per_second, Some(0.0));
        assert_eq!(back.requests.per_second["computed"], 0.0);
        let rates = back.functions.iter().chain(&back.stores);
        assert!(rates.clone().count() > 2);
        assert!(
            rates
                .map(|row| row.calls.per_second)
                .all(|rate| rate >= Some(0.0))
        );
        assert!(
            back.cache
                .hit_rate
                .is_some_and(|rate| (0.0..=1.0).contains(&rate))
        );
    }

    #[test]
    fn an_instance_without_activity_and_one_without_anything_are_shown() {
        let mut now = sample(50, 10, 0);
        now.activity = None;
        let picture = Picture::of("u", None, &now);
        assert_eq!((picture.store, picture.uptime_seconds), (None, None));
        let nothing = Picture::of("u", Some(&now), &Sample::default());
        assert_eq!(nothing.cache.hit_rate, None);
        assert!(nothing.functions.is_empty());
    }
}
