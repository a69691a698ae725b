//! What is told to `tracing`, in one place: names, levels and fields are what dashboards and searches rely on, and change
//! only with a line in the changelog. `docs/reference/spans.md` is made from [`SPANS`] and [`EVENTS`], and a test holds them
//! against what is told in fact.
//!
//! Nothing here names a node that is light: a request of a million of them tells as much as one of ten.

use std::time::Duration;

use deriva_api::{
    Audited, CAddr, Collected, Error, FunctionId, Invalidated, Reason, Result, Scrubbed, Summary,
    Violation,
};
use tracing::field::{Empty, display};
use tracing::{Level, Span};

/// The target of all that deriva tells: `RUST_LOG=deriva=debug`.
pub const TARGET: &str = "deriva";

/// A span, as the reference page has it.
#[derive(Clone, Copy, Debug)]
pub struct SpanDoc {
    /// Its name.
    pub name: &'static str,
    /// Its level: with less than this it is not there.
    pub level: Level,
    /// In which span it is.
    pub parent: &'static str,
    /// What it is around.
    pub what: &'static str,
    /// Its fields, and what each says.
    pub fields: &'static [(&'static str, &'static str)],
}

/// A line, as the reference page has it.
#[derive(Clone, Copy, Debug)]
pub struct EventDoc {
    /// What it begins with.
    pub message: &'static str,
    /// Its level.
    pub level: Level,
    /// When it is told.
    pub what: &'static str,
    /// Its fields, and what each says.
    pub fields: &'static [(&'static str, &'static str)],
}

const CALLER: &str = "what the caller has";
const KIND: (&str, &str) = ("kind", "the kind of the error that ended it");
const SECONDS: (&str, &str) = ("seconds", "how long it took");
const ERROR: (&str, &str) = ("error", "why");
const DRY_RUN: (&str, &str) = ("dry_run", "whether it only looks");
const ADDR: (&str, &str) = ("addr", "of the recipe");
const FUNCTION: (&str, &str) = ("function", "name and version");

/// Every span but those of stores, which `TraceLayer` of `deriva-layers` makes.
pub const SPANS: &[SpanDoc] = &[
    SpanDoc {
        name: "materialize",
        level: Level::INFO,
        parent: CALLER,
        what: "A request, from when it is first polled to its answer.",
        fields: &[
            ("request", "what the caller calls it"),
            ("addr", "the first address that is asked for"),
            ("targets", "how many are asked for"),
            ("computed", "nodes that were computed"),
            ("reused", "nodes that were recorded"),
            ("cutoff", "nodes whose output was found under another name"),
            ("healed", "blobs that are there again"),
            ("failed", "nodes that failed"),
            KIND,
        ],
    },
    SpanDoc {
        name: "stage",
        level: Level::DEBUG,
        parent: "materialize",
        what: "A part of a request that is planned and run at a time: more than one where the graph is larger than there is \
               room for, or a plan has to be made anew.",
        fields: &[
            ("nth", "which one, from 1"),
            ("targets", "how many addresses it is for"),
        ],
    },
    SpanDoc {
        name: "plan",
        level: Level::DEBUG,
        parent: "stage",
        what: "Finding out what is missing.",
        fields: &[
            ("compute", "nodes that are to be computed"),
            ("reused", "nodes that were recorded"),
            (
                "depth",
                "steps from what was asked for to the farthest of them",
            ),
        ],
    },
    SpanDoc {
        name: "compute",
        level: Level::DEBUG,
        parent: "stage",
        what: "A heavy node, from when it is handed over until its output is there: inputs are read, and the function runs. It \
               is also the span that is current where the function runs.",
        fields: &[
            ADDR,
            FUNCTION,
            ("reason", "why it is computed"),
            ("bytes", "of the output"),
            KIND,
        ],
    },
    SpanDoc {
        name: "commit",
        level: Level::DEBUG,
        parent: "stage",
        what: "Results are written: blobs, then outputs.",
        fields: &[
            ("records", "how many outputs"),
            ("blobs", "how many of them bring their bytes"),
            KIND,
        ],
    },
    SpanDoc {
        name: "collect",
        level: Level::INFO,
        parent: CALLER,
        what: "A collection.",
        fields: &[DRY_RUN],
    },
    SpanDoc {
        name: "scrub",
        level: Level::INFO,
        parent: CALLER,
        what: "A scrub.",
        fields: &[],
    },
    SpanDoc {
        name: "audit",
        level: Level::INFO,
        parent: CALLER,
        what: "An audit.",
        fields: &[DRY_RUN],
    },
    SpanDoc {
        name: "invalidate",
        level: Level::INFO,
        parent: CALLER,
        what: "An invalidation.",
        fields: &[
            DRY_RUN,
            ("cascade", "whether what was made from it goes, too"),
        ],
    },
];

/// Every line.
pub const EVENTS: &[EventDoc] = &[
    EventDoc {
        message: "runs of a function differ",
        level: Level::ERROR,
        what: "A violation, by whomever it was found.",
        fields: &[
            ADDR,
            FUNCTION,
            ("found_by", "what was done when it was seen"),
            ("answers", "what the runs gave"),
            ("accepted", "the output that a quorum agreed on"),
        ],
    },
    EventDoc {
        message: "a blob is damaged",
        level: Level::ERROR,
        what: "A read or a scrub met damage. The blob is removed where that is allowed, and made again where a recipe can.",
        fields: &[("addr", "of the blob")],
    },
    EventDoc {
        message: "a recipe is damaged",
        level: Level::ERROR,
        what: "A scrub or an audit met a row that is not what was written.",
        fields: &[ADDR],
    },
    EventDoc {
        message: "the ledger was not written",
        level: Level::ERROR,
        what: "A violation is kept in memory alone, until it can be written.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "an observer panicked",
        level: Level::ERROR,
        what: "It is passed over, and what it was told goes on.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "a function is in quarantine",
        level: Level::WARN,
        what: "It has as many violations as `quarantine_after` allows: nothing of it is computed any more.",
        fields: &[FUNCTION, ("violations", "how many of its recipes")],
    },
    EventDoc {
        message: "a function is slow",
        level: Level::WARN,
        what: "It took as long as `slow_after` says, or longer.",
        fields: &[ADDR, FUNCTION, SECONDS],
    },
    EventDoc {
        message: "retries are spent",
        level: Level::WARN,
        what: "A `retry` layer made a call as often as it may, and it failed each time.",
        fields: &[("store", "around which the layer is"), ERROR],
    },
    EventDoc {
        message: "memory is short",
        level: Level::WARN,
        what: "Once for a stage: outputs are written so that they can leave memory, which the request would have kept.",
        fields: &[("limit", "bytes of the budget")],
    },
    EventDoc {
        message: "what is known of determinism is not whole",
        level: Level::WARN,
        what: "Counts of checks or an entry of the ledger could not be read, written or compared; all else goes on.",
        fields: &[("what", "which part"), ERROR],
    },
    EventDoc {
        message: "materialized",
        level: Level::INFO,
        what: "A request was answered. What was done is in its span.",
        fields: &[SECONDS],
    },
    EventDoc {
        message: "not materialized",
        level: Level::INFO,
        what: "A request was answered with an error. Who asked has it, too: it is told here once, and by no span.",
        fields: &[SECONDS, ERROR],
    },
    EventDoc {
        message: "collected",
        level: Level::INFO,
        what: "A collection ended.",
        fields: &[
            ("recipes", "that were removed"),
            ("outputs", "that were dropped"),
            ("blobs", "that were removed"),
            ("bytes", "of these"),
            SECONDS,
        ],
    },
    EventDoc {
        message: "not collected",
        level: Level::INFO,
        what: "A collection ended with an error.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "scrubbed",
        level: Level::INFO,
        what: "A scrub ended.",
        fields: &[
            ("blobs", "that were read"),
            ("bytes", "of these"),
            ("corrupt", "of what was found"),
            ("healed", "of these"),
            SECONDS,
        ],
    },
    EventDoc {
        message: "not scrubbed",
        level: Level::INFO,
        what: "A scrub ended with an error.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "audited",
        level: Level::INFO,
        what: "An audit ended.",
        fields: &[
            ("outputs", "that were looked at"),
            ("audited", "that were computed again"),
            ("violated", "that differ"),
            SECONDS,
        ],
    },
    EventDoc {
        message: "not audited",
        level: Level::INFO,
        what: "An audit ended with an error.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "invalidated",
        level: Level::INFO,
        what: "An invalidation ended.",
        fields: &[
            ("outputs", "that were forgotten"),
            ("bytes", "of these"),
            SECONDS,
        ],
    },
    EventDoc {
        message: "not invalidated",
        level: Level::INFO,
        what: "An invalidation ended with an error.",
        fields: &[ERROR],
    },
    EventDoc {
        message: "computed",
        level: Level::DEBUG,
        what: "A heavy node was computed; its span says which.",
        fields: &[SECONDS],
    },
    EventDoc {
        message: "not computed",
        level: Level::DEBUG,
        what: "A heavy node was not computed. Why is told where the request ends.",
        fields: &[SECONDS],
    },
];

/// A request.
pub(crate) fn materialize(targets: &[CAddr], id: Option<&str>) -> Span {
    tracing::info_span!(
        target: TARGET,
        "materialize",
        request = id,
        addr = targets.first().map(display),
        targets = targets.len(),
        computed = Empty,
        reused = Empty,
        cutoff = Empty,
        healed = Empty,
        failed = Empty,
        kind = Empty,
    )
}

/// Its end: the one line of it.
pub(crate) fn materialized(span: &Span, ended: Result<&Summary, &Error>, took: Duration) {
    let seconds = took.as_secs_f64();
    match ended {
        Ok(summary) => {
            span.record("computed", summary.computed)
                .record("reused", summary.reused)
                .record("cutoff", summary.cutoff)
                .record("healed", summary.healed)
                .record("failed", summary.failed);
            span.in_scope(|| tracing::info!(target: TARGET, seconds, "materialized"));
        }
        Err(error) => {
            record_kind(span, error);
            span.in_scope(|| tracing::info!(target: TARGET, seconds, %error, "not materialized"));
        }
    }
}

fn record_kind(span: &Span, error: &Error) {
    span.record("kind", display(error.kind()));
}

/// A part of a request.
pub(crate) fn stage(nth: usize, targets: usize) -> Span {
    tracing::debug_span!(target: TARGET, "stage", nth, targets).or_current()
}

/// The planning of one.
pub(crate) fn plan() -> Span {
    tracing::debug_span!(target: TARGET, "plan", compute = Empty, reused = Empty, depth = Empty)
}

/// Its end.
pub(crate) fn planned(span: &Span, compute: u64, reused: usize, depth: impl FnOnce() -> u64) {
    if !span.is_disabled() {
        span.record("compute", compute)
            .record("reused", reused)
            .record("depth", depth());
    }
}

/// A heavy node.
pub(crate) fn compute(addr: CAddr, function: &FunctionId, reason: Reason) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "compute",
        %addr,
        %function,
        %reason,
        bytes = Empty,
        kind = Empty,
    )
}

/// Its end, told inside of its span.
pub(crate) fn computed(span: &Span, ended: Result<u64, Option<&Error>>, took: Duration) {
    let seconds = took.as_secs_f64();
    match ended {
        Ok(bytes) => {
            span.record("bytes", bytes);
            tracing::debug!(target: TARGET, seconds, "computed");
        }
        Err(error) => {
            if let Some(error) = error {
                record_kind(span, error);
            }
            tracing::debug!(target: TARGET, seconds, "not computed");
        }
    }
}

/// A batch that is written.
pub(crate) fn commit(records: usize, blobs: usize) -> Span {
    tracing::debug_span!(target: TARGET, "commit", records, blobs, kind = Empty)
}

/// It was not written.
pub(crate) fn not_committed(span: &Span, error: &Error) {
    record_kind(span, error);
}

/// A collection.
pub(crate) fn collect(dry_run: bool) -> Span {
    tracing::info_span!(target: TARGET, "collect", dry_run)
}

/// Its end.
pub(crate) fn collected(ended: Result<&Collected, &Error>) {
    match ended {
        Ok(done) => tracing::info!(
            target: TARGET,
            recipes = done.recipes,
            outputs = done.outputs,
            blobs = done.blobs,
            bytes = done.bytes,
            seconds = done.seconds,
            "collected"
        ),
        Err(error) => tracing::info!(target: TARGET, %error, "not collected"),
    }
}

/// A scrub.
pub(crate) fn scrub() -> Span {
    tracing::info_span!(target: TARGET, "scrub")
}

/// Its end.
pub(crate) fn scrubbed(ended: Result<&Scrubbed, &Error>) {
    match ended {
        Ok(done) => tracing::info!(
            target: TARGET,
            blobs = done.blobs,
            bytes = done.bytes,
            corrupt = done.corrupt,
            healed = done.healed,
            seconds = done.seconds,
            "scrubbed"
        ),
        Err(error) => tracing::info!(target: TARGET, %error, "not scrubbed"),
    }
}

/// An audit.
pub(crate) fn audit(dry_run: bool) -> Span {
    tracing::info_span!(target: TARGET, "audit", dry_run)
}

/// Its end.
pub(crate) fn audited(ended: Result<&Audited, &Error>) {
    match ended {
        Ok(done) => tracing::info!(
            target: TARGET,
            outputs = done.outputs,
            audited = done.audited,
            violated = done.violated,
            seconds = done.seconds,
            "audited"
        ),
        Err(error) => tracing::info!(target: TARGET, %error, "not audited"),
    }
}

/// An invalidation.
pub(crate) fn invalidate(dry_run: bool, cascade: bool) -> Span {
    tracing::info_span!(target: TARGET, "invalidate", dry_run, cascade)
}

/// Its end.
pub(crate) fn invalidated(ended: Result<&Invalidated, &Error>) {
    match ended {
        Ok(done) => tracing::info!(
            target: TARGET,
            outputs = done.outputs,
            bytes = done.bytes,
            seconds = done.seconds,
            "invalidated"
        ),
        Err(error) => tracing::info!(target: TARGET, %error, "not invalidated"),
    }
}

/// Runs of a computation differ.
pub(crate) fn violated(violation: &Violation) {
    let answers = violation.answers.iter().map(ToString::to_string);
    tracing::error!(
        target: TARGET,
        addr = %violation.recipe,
        function = %violation.function,
        found_by = %violation.found_by,
        answers = answers.collect::<Vec<_>>().join(", "),
        accepted = violation.accepted.map(display),
        "runs of a function differ"
    );
}

/// Bytes are not what their address says.
pub(crate) fn damaged_blob(addr: CAddr) {
    tracing::error!(target: TARGET, %addr, "a blob is damaged");
}

/// A row is not what was written.
pub(crate) fn damaged_recipe(addr: CAddr) {
    tracing::error!(target: TARGET, %addr, "a recipe is damaged");
}

/// A violation is not durable.
pub(crate) fn ledger_not_written(why: &Error) {
    tracing::error!(target: TARGET, error = format!("{why:#}"), "the ledger was not written");
}

/// An observer broke its promise.
pub(crate) fn observer_panicked(error: &Error) {
    tracing::error!(target: TARGET, %error, "an observer panicked");
}

/// Nothing of a function is computed any more.
pub(crate) fn quarantined(function: &FunctionId, violations: u64) {
    tracing::warn!(target: TARGET, %function, violations, "a function is in quarantine");
}

/// A function took long.
pub(crate) fn slow(addr: CAddr, function: &FunctionId, took: Duration) {
    let seconds = took.as_secs_f64();
    tracing::warn!(target: TARGET, %addr, %function, seconds, "a function is slow");
}

/// The budget does not hold what a request would keep.
pub(crate) fn memory_is_short(limit: u64) {
    tracing::warn!(target: TARGET, limit, "memory is short");
}

/// Something of the ledger or of the counts of checks could not be had.
pub(crate) fn determinism_not_whole(what: &'static str, why: &Error) {
    tracing::warn!(
        target: TARGET,
        what,
        error = format!("{why:#}"),
        "what is known of determinism is not whole"
    );
}
