//! What was told, added up.

use std::collections::BTreeMap;
use std::time::Duration;

use deriva_api::{
    Audited, Collected, Determinism, Distribution, Error, ErrorKind, FunctionWork, Invalidated,
    Planned, Scrubbed, Summary, Violation, Work,
};

use crate::sheet::Sheet;
use crate::stores::kind_label;

/// The label of functions beyond the limit.
const OTHER: &str = "other";

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests and reads by how they ended.
    results: BTreeMap<&'static str, u64>,
    durations: Distribution,
    nodes: Distribution,
    depths: Distribution,
    planning: Distribution,
    stages: u64,
    /// What requests did, added up.
    done: Summary,
    waits: Distribution,
    commits: Distribution,
    commit_records: Distribution,
    functions: Functions,
    /// Checks by mode and result.
    checks: BTreeMap<(&'static str, &'static str), u64>,
    audits: Upkeep,
    collections: Upkeep,
    collected: Collected,
    scrubs: Upkeep,
    scrubbed: Scrubbed,
    invalidations: Upkeep,
    invalidated: Invalidated,
}

/// What was told of each function, by label.
#[derive(Debug)]
pub(crate) struct Functions {
    of: BTreeMap<String, Function>,
    /// Labels at the most, but for the one of all others.
    pub(crate) limit: usize,
}

impl Default for Functions {
    fn default() -> Self {
        Self {
            of: BTreeMap::new(),
            limit: 100,
        }
    }
}

#[derive(Debug, Default)]
struct Function {
    times: Distribution,
    inputs: Distribution,
    outputs: Distribution,
    failures: BTreeMap<&'static str, u64>,
    violations: u64,
}

/// Runs of one sort of upkeep.
#[derive(Debug, Default)]
struct Upkeep {
    results: BTreeMap<&'static str, u64>,
    durations: Distribution,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Upkeep {
    /// A run ended; one that was done took these seconds.
    fn ended(&mut self, ended: Result<f64, &Error>) {
        let result = match ended {
            Ok(seconds) => {
                let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                self.durations.add(nanos(time));
                "done"
            }
            Err(error) => failed_how(error),
        };
        *self.results.entry(result).or_default() += 1;
    }

    fn note(&self, sheet: &mut Sheet, total: &'static str, duration: &'static str) {
        for result in ["done", "failed", "cancelled"] {
            let count = self.results.get(result).copied().unwrap_or_default();
            sheet.count(total, &[result], count);
        }
        sheet.distribution(duration, &[], &self.durations);
    }
}

fn failed_how(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Cancelled => "cancelled",
        _ => "failed",
    }
}

/// The label of a mode; what is compared with the record without one is healed.
fn mode_label(mode: Determinism) -> &'static str {
    match mode {
        Determinism::Off => "healing",
        Determinism::Dual => "dual",
        Determinism::Sampled { .. } => "sampled",
        Determinism::Quorum { .. } => "quorum",
    }
}

impl Functions {
    fn of(&mut self, function: &impl ToString) -> &mut Function {
        let mut label = function.to_string();
        if self.of.len() >= self.limit && !self.of.contains_key(&label) {
            label = OTHER.to_owned();
        }
        self.of.entry(label).or_default()
    }
}

impl Counts {
    pub(crate) fn limit_functions(&mut self, limit: usize) {
        self.functions.limit = limit;
    }

    /// As if nothing had been told, with the same limit.
    pub(crate) fn forget(&mut self) {
        let limit = self.functions.limit;
        *self = Self::default();
        self.limit_functions(limit);
    }

    pub(crate) fn planned(&mut self, planned: &Planned) {
        self.planning.add(nanos(planned.took));
        if planned.in_part {
            self.stages += 1;
            return;
        }
        self.nodes.add(planned.compute + planned.reused);
        self.depths.add(planned.depth);
    }

    pub(crate) fn worked(&mut self, work: &Work) {
        let (done, more) = (&mut self.done, &work.summary);
        done.computed += more.computed;
        done.cutoff += more.cutoff;
        done.healed += more.healed;
        done.joined += more.joined;
        done.executor_hits += more.executor_hits;
        done.doubted += more.doubted;
        done.skipped += more.skipped;
        done.bytes += more.bytes;
        self.commits.merge(&work.commits);
        self.commit_records.merge(&work.commit_records);
        for work in &work.functions {
            self.function(work);
        }
    }

    fn function(&mut self, work: &FunctionWork) {
        self.waits.merge(&work.waits);
        for (mode, agreed, violated) in &work.checks {
            let mode = mode_label(*mode);
            *self.checks.entry((mode, "agreed")).or_default() += agreed;
            *self.checks.entry((mode, "violated")).or_default() += violated;
        }
        let function = self.functions.of(&work.function);
        function.times.merge(&work.times);
        function.inputs.merge(&work.inputs);
        function.outputs.merge(&work.outputs);
        for (kind, count) in &work.failures {
            *function.failures.entry(kind_label(*kind)).or_default() += count;
        }
    }

    pub(crate) fn request_ended(&mut self, ended: Result<&Summary, &Error>, took: Duration) {
        let result = match ended {
            Ok(summary) if summary.failed > 0 => "failed",
            Ok(summary) if summary.healed > 0 => "healed",
            Ok(Summary {
                computed: 0,
                cutoff: 0,
                joined: 0,
                executor_hits: 0,
                ..
            }) => "stored",
            Ok(_) => "computed",
            Err(error) if error.kind() == ErrorKind::Timeout => "timeout",
            Err(error) => failed_how(error),
        };
        self.ended(result, took);
    }

    pub(crate) fn read(&mut self, took: Duration) {
        self.ended("stored", took);
    }

    fn ended(&mut self, result: &'static str, took: Duration) {
        *self.results.entry(result).or_default() += 1;
        self.durations.add(nanos(took));
    }

    pub(crate) fn violated(&mut self, violation: &Violation) {
        self.functions.of(&violation.function).violations += 1;
    }

    pub(crate) fn audited(&mut self, ended: Result<&Audited, &Error>) {
        self.audits.ended(ended.map(|done| done.seconds));
    }

    pub(crate) fn collected(&mut self, ended: Result<&Collected, &Error>) {
        if ended.is_ok_and(|done| done.dry_run) {
            return;
        }
        self.collections.ended(ended.map(|done| done.seconds));
        if let Ok(done) = ended {
            self.collected.recipes += done.recipes;
            self.collected.outputs += done.outputs;
            self.collected.blobs += done.blobs;
            self.collected.bytes += done.bytes;
            self.collected.rebuild_seconds += done.rebuild_seconds;
        }
    }

    pub(crate) fn scrubbed(&mut self, ended: Result<&Scrubbed, &Error>) {
        self.scrubs.ended(ended.map(|done| done.seconds));
        if let Ok(done) = ended {
            self.scrubbed.recipes += done.recipes;
            self.scrubbed.blobs += done.blobs;
            self.scrubbed.bytes += done.bytes;
            self.scrubbed.corrupt += done.corrupt;
            self.scrubbed.missing += done.missing;
            self.scrubbed.healed += done.healed;
            self.scrubbed.unhealed += done.unhealed;
        }
    }

    pub(crate) fn invalidated(&mut self, ended: Result<&Invalidated, &Error>) {
        if ended.is_ok_and(|done| done.dry_run) {
            return;
        }
        self.invalidations.ended(ended.map(|done| done.seconds));
        if let Ok(done) = ended {
            self.invalidated.outputs += done.outputs;
            self.invalidated.bytes += done.bytes;
            self.invalidated.rebuild_seconds += done.rebuild_seconds;
        }
    }

    /// Notes all of it. `cached` are the reads that the memory cache answered.
    pub(crate) fn note(&self, sheet: &mut Sheet, cached: u64) {
        self.note_requests(sheet, cached);
        self.note_functions(sheet);
        self.note_checks(sheet);
        self.note_upkeep(sheet);
    }

    fn note_requests(&self, sheet: &mut Sheet, cached: u64) {
        sheet.count("deriva_materialize_total", &["cached"], cached);
        for result in [
            "stored",
            "computed",
            "healed",
            "failed",
            "cancelled",
            "timeout",
        ] {
            let count = self.results.get(result).copied().unwrap_or_default();
            sheet.count("deriva_materialize_total", &[result], count);
        }
        let histograms = [
            ("deriva_materialize_duration_seconds", &self.durations),
            ("deriva_materialize_nodes", &self.nodes),
            ("deriva_materialize_depth", &self.depths),
            ("deriva_plan_duration_seconds", &self.planning),
            ("deriva_executor_wait_seconds", &self.waits),
            ("deriva_commit_duration_seconds", &self.commits),
            ("deriva_commit_records", &self.commit_records),
        ];
        for (name, values) in histograms {
            sheet.distribution(name, &[], values);
        }
        let counts = [
            ("deriva_materialize_bytes_total", self.done.bytes),
            ("deriva_stages_total", self.stages),
            ("deriva_singleflight_joined_total", self.done.joined),
            ("deriva_early_cutoff_total", self.done.cutoff),
            ("deriva_executor_hits_total", self.done.executor_hits),
            ("deriva_healed_total", self.done.healed),
            ("deriva_skipped_total", self.done.skipped),
            ("deriva_doubted_outputs_total", self.done.doubted),
        ];
        for (name, count) in counts {
            sheet.count(name, &[], count);
        }
    }

    fn note_functions(&self, sheet: &mut Sheet) {
        for (label, function) in &self.functions.of {
            let label = label.as_str();
            if function.times.count() > 0 {
                let histograms = [
                    ("deriva_compute_duration_seconds", &function.times),
                    ("deriva_compute_input_bytes", &function.inputs),
                    ("deriva_compute_output_bytes", &function.outputs),
                ];
                for (name, values) in histograms {
                    sheet.distribution(name, &[label], values);
                }
            }
            for (kind, count) in &function.failures {
                sheet.count("deriva_compute_failures_total", &[label, kind], *count);
            }
            if function.violations > 0 {
                let name = "deriva_determinism_violations_total";
                sheet.count(name, &[label], function.violations);
            }
        }
    }

    fn note_checks(&self, sheet: &mut Sheet) {
        for ((mode, result), count) in &self.checks {
            let name = "deriva_determinism_checks_total";
            sheet.count(name, &[mode, result], *count);
        }
        self.audits.note(
            sheet,
            "deriva_audits_total",
            "deriva_audit_duration_seconds",
        );
    }

    fn note_upkeep(&self, sheet: &mut Sheet) {
        let Self {
            collected,
            scrubbed,
            invalidated,
            ..
        } = self;
        self.collections.note(
            sheet,
            "deriva_collections_total",
            "deriva_collection_duration_seconds",
        );
        let taken = [
            ("recipes", collected.recipes),
            ("outputs", collected.outputs),
            ("blobs", collected.blobs),
        ];
        for (what, count) in taken {
            sheet.count("deriva_collected_total", &[what], count);
        }
        sheet.count("deriva_collected_bytes_total", &[], collected.bytes);
        let rebuild = "deriva_collected_rebuild_seconds_total";
        sheet.number(rebuild, &[], collected.rebuild_seconds);
        self.scrubs.note(
            sheet,
            "deriva_scrubs_total",
            "deriva_scrub_duration_seconds",
        );
        for (what, count) in [("recipes", scrubbed.recipes), ("blobs", scrubbed.blobs)] {
            sheet.count("deriva_scrubbed_total", &[what], count);
        }
        sheet.count("deriva_scrubbed_bytes_total", &[], scrubbed.bytes);
        let findings = [
            ("corrupt", scrubbed.corrupt),
            ("missing", scrubbed.missing),
            ("healed", scrubbed.healed),
            ("unhealed", scrubbed.unhealed),
        ];
        for (what, count) in findings {
            sheet.count("deriva_scrub_findings_total", &[what], count);
        }
        self.invalidations.note(
            sheet,
            "deriva_invalidations_total",
            "deriva_invalidation_duration_seconds",
        );
        sheet.count("deriva_invalidated_outputs_total", &[], invalidated.outputs);
        sheet.count("deriva_invalidated_bytes_total", &[], invalidated.bytes);
        let rebuild = "deriva_invalidated_rebuild_seconds_total";
        sheet.number(rebuild, &[], invalidated.rebuild_seconds);
    }
}
