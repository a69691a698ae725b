//! Every family.

use super::Buckets::{Bytes, Count, Seconds};
use super::{Buckets, Family, Kind, Section};

/// All families, by what they are about. Those of the process (`process_*`) are Prometheus's own.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Materializing",
        families: &[
            counter(
                "deriva_materialize_total",
                &["result"],
                "Requests and reads that ended: cached (the memory cache had the bytes), stored (a store had all), computed, healed (something lost was computed again), failed (also in part), cancelled, timeout.",
            ),
            histogram(
                "deriva_materialize_duration_seconds",
                Seconds,
                &[],
                "Time of requests and of reads that a store answered; what the memory cache answers is not timed.",
            ),
            gauge("deriva_materialize_active", &[], "Requests under way."),
            histogram(
                "deriva_materialize_nodes",
                Count,
                &[],
                "Recipes that one plan computes or finds recorded.",
            ),
            histogram(
                "deriva_materialize_depth",
                Count,
                &[],
                "Steps from what was asked for to the farthest node of one plan.",
            ),
            counter(
                "deriva_materialize_bytes_total",
                &[],
                "Bytes of the outputs that were computed.",
            ),
            histogram(
                "deriva_plan_duration_seconds",
                Seconds,
                &[],
                "Time to make one plan.",
            ),
            counter(
                "deriva_stages_total",
                &[],
                "Plans that were too large, so that a part was made first.",
            ),
            counter(
                "deriva_singleflight_joined_total",
                &[],
                "Recipes that another request computed at the same time.",
            ),
            counter(
                "deriva_early_cutoff_total",
                &[],
                "Recipes whose output was found under another recipe that resolves to the same.",
            ),
            counter(
                "deriva_executor_hits_total",
                &[],
                "Recipes whose output the executor had already.",
            ),
            counter(
                "deriva_healed_total",
                &[],
                "Outputs that were lost or damaged and that requests computed again.",
            ),
            counter(
                "deriva_skipped_total",
                &[],
                "Recipes given up because one that they need failed.",
            ),
            gauge("deriva_flights", &[], "Addresses that are being computed."),
            gauge("deriva_leases", &[], "Leases that somebody holds."),
        ],
    },
    Section {
        title: "Memory",
        families: &[
            gauge("deriva_inflight_bytes", &[], "Bytes that requests hold."),
            gauge(
                "deriva_memory_budget_bytes",
                &[],
                "Bytes that requests and the memory cache may hold together.",
            ),
            gauge(
                "deriva_memory_used_bytes",
                &["what"],
                "Bytes that are held, by requests and by the memory cache.",
            ),
            counter(
                "deriva_spilled_bytes_total",
                &[],
                "Bytes of values that were written because memory was short.",
            ),
        ],
    },
    Section {
        title: "The executor",
        families: &[
            gauge("deriva_executor_steps", &[], "Steps that the executor has."),
            gauge(
                "deriva_executor_slots",
                &[],
                "Steps that it may have at once.",
            ),
            gauge("deriva_executor_slots_in_use", &[], "Slots that are taken."),
            gauge(
                "deriva_executor_slots_wanted",
                &[],
                "Slots that requests wait for.",
            ),
            histogram(
                "deriva_executor_wait_seconds",
                Seconds,
                &[],
                "What steps took beyond running their function: until the executor began, and back.",
            ),
        ],
    },
    Section {
        title: "Writing results",
        families: &[
            gauge(
                "deriva_commits_active",
                &[],
                "Batches of results that are being written.",
            ),
            histogram(
                "deriva_commit_duration_seconds",
                Seconds,
                &[],
                "Time to write one batch of results.",
            ),
            histogram("deriva_commit_records", Count, &[], "Results in one batch."),
        ],
    },
    Section {
        title: "Functions",
        families: &[
            histogram(
                "deriva_compute_duration_seconds",
                Seconds,
                &["function"],
                "Time of one call. Light functions are timed together with others, and each counts as their mean.",
            ),
            histogram(
                "deriva_compute_input_bytes",
                Bytes,
                &["function"],
                "Bytes of all inputs of one call.",
            ),
            histogram(
                "deriva_compute_output_bytes",
                Bytes,
                &["function"],
                "Bytes of one output.",
            ),
            counter(
                "deriva_compute_failures_total",
                &["function", "kind"],
                "Recipes that failed, by the kind of the error.",
            ),
        ],
    },
    Section {
        title: "The memory cache",
        families: &[
            counter(
                "deriva_cache_hits_total",
                &[],
                "Addresses that the memory cache was asked for and had.",
            ),
            counter(
                "deriva_cache_misses_total",
                &[],
                "Addresses that it was asked for and did not have.",
            ),
            counter(
                "deriva_cache_evictions_total",
                &["reason"],
                "Entries that went: room (for others), memory (less was left for the cache), limit (it was lowered), removed (forgotten, collected, or taken out by the program).",
            ),
            counter(
                "deriva_cache_refused_total",
                &["reason"],
                "Blobs that it did not take in: large (more than an eighth of its limit), worth (all that would have to go is worth more), pins (what is pinned would exceed the limit).",
            ),
            counter(
                "deriva_cache_saved_seconds_total",
                &[],
                "Time that hits saved: computing, or reading again where that takes longer.",
            ),
            gauge(
                "deriva_cache_bytes",
                &[],
                "Bytes of its entries, with their overhead.",
            ),
            gauge(
                "deriva_cache_pinned_bytes",
                &[],
                "The part of them that is pinned.",
            ),
            gauge("deriva_cache_limit_bytes", &[], "Bytes that it may hold."),
            gauge("deriva_cache_entries", &[], "Entries that it holds."),
        ],
    },
    Section {
        title: "Determinism",
        families: &[
            counter(
                "deriva_determinism_checks_total",
                &["mode", "result"],
                "Computations whose runs were compared (dual, sampled, quorum), or that were compared with the record (healing, audit): agreed, violated.",
            ),
            counter(
                "deriva_determinism_violations_total",
                &["function"],
                "Computations whose runs differ, by whomever that was found.",
            ),
            counter(
                "deriva_doubted_outputs_total",
                &[],
                "Outputs that were served although they are doubted.",
            ),
            gauge(
                "deriva_quarantined_functions",
                &[],
                "Functions that are refused.",
            ),
            gauge(
                "deriva_ledger_entries",
                &[],
                "Entries of the ledger that were not released.",
            ),
            counter(
                "deriva_audits_total",
                &["result"],
                "Audits that ended: done, failed, cancelled.",
            ),
            gauge("deriva_audits_active", &[], "Audits under way."),
            counter(
                "deriva_audit_outputs_total",
                &["result"],
                "Recorded outputs that audits looked at, those under way among them: agreed and violated were computed again, skipped could not be.",
            ),
            histogram(
                "deriva_audit_duration_seconds",
                Seconds,
                &[],
                "Time of audits that were done.",
            ),
        ],
    },
    Section {
        title: "What is stored",
        families: &[
            gauge(
                "deriva_recipes",
                &[],
                "Recipes that are stored, as the store last told.",
            ),
            gauge(
                "deriva_outputs",
                &[],
                "Recorded outputs, as the store last told.",
            ),
            gauge("deriva_roots", &[], "Roots, as the store last told."),
            gauge(
                "deriva_blobs",
                &[],
                "Blobs that are stored, as the store last told.",
            ),
            gauge("deriva_blob_bytes", &[], "Their bytes."),
        ],
    },
    Section {
        title: "Calls of stores",
        families: &[
            counter(
                "deriva_store_operations_total",
                &["store", "operation", "result"],
                "Calls of a store that ended: ok, or the kind of the error.",
            ),
            histogram(
                "deriva_store_duration_seconds",
                Seconds,
                &["store", "operation"],
                "Time of one call; of streams that to the first item.",
            ),
            counter(
                "deriva_store_items_total",
                &["store", "operation"],
                "Blobs, recipes or addresses that calls were about.",
            ),
            counter(
                "deriva_store_bytes_total",
                &["store", "operation"],
                "Bytes of blobs that calls brought or took.",
            ),
        ],
    },
    Section {
        title: "What stores tell of themselves",
        families: &[
            counter(
                "deriva_store_commits_total",
                &["store", "result"],
                "Commits of an embedded database that changed something: done, failed. They are those of all in this process who write to it.",
            ),
            histogram(
                "deriva_store_commit_duration_seconds",
                Seconds,
                &["store"],
                "Time of one commit that was done: to decide, write and make durable what its writers asked for.",
            ),
            histogram(
                "deriva_store_commit_writers",
                Count,
                &["store"],
                "Calls that shared one commit.",
            ),
            counter(
                "deriva_store_commit_bytes_total",
                &["store"],
                "Bytes of the rows and the files that commits wrote.",
            ),
            gauge(
                "deriva_store_disk_free_bytes",
                &["store"],
                "Bytes that were free on the disk of an embedded database when it last looked: at a commit, and when it is asked how much it holds.",
            ),
            gauge(
                "deriva_store_disk_reserve_bytes",
                &["store"],
                "Bytes that it leaves free: where a write would leave fewer it has no room.",
            ),
            counter(
                "deriva_store_damaged_total",
                &["store"],
                "Damaged blobs and rows that a store met: calls that failed for them, and blobs that it was asked to verify; of tiered ones copies.",
            ),
            counter(
                "deriva_store_retries_total",
                &["store"],
                "Attempts that a retry layer made beyond the first.",
            ),
            counter(
                "deriva_store_retries_spent_total",
                &["store"],
                "Calls that failed although it made them as often as it may.",
            ),
            counter(
                "deriva_store_timeouts_total",
                &["store"],
                "Calls that a timeout layer gave up.",
            ),
            counter(
                "deriva_store_tier_reads_total",
                &["store", "tier", "result"],
                "Blobs, recipes and outputs that each tier was asked for: hit, miss. What the fast one does not have the slow one is asked for.",
            ),
            counter(
                "deriva_store_tier_copies_total",
                &["store", "what"],
                "Copies in the fast tier: promoted (taken when it was read), written (when it was written), evicted (for want of room).",
            ),
            counter(
                "deriva_store_tier_faults_total",
                &["store"],
                "Calls of the fast tier that failed and were made good by the slow one, or left out.",
            ),
        ],
    },
    Section {
        title: "Upkeep",
        families: &[
            counter(
                "deriva_collections_total",
                &["result"],
                "Collections that ended: done, failed, cancelled. Dry runs do not count.",
            ),
            gauge("deriva_collections_active", &[], "Collections under way."),
            histogram(
                "deriva_collection_duration_seconds",
                Seconds,
                &[],
                "Time of collections that were done.",
            ),
            counter(
                "deriva_collected_total",
                &["what"],
                "Recipes, outputs and blobs that they took.",
            ),
            counter("deriva_collected_bytes_total", &[], "Bytes of these blobs."),
            counter(
                "deriva_collected_rebuild_seconds_total",
                &[],
                "Time that computing these outputs again would take.",
            ),
            counter(
                "deriva_scrubs_total",
                &["result"],
                "Scrubs that ended: done, failed, cancelled.",
            ),
            gauge("deriva_scrubs_active", &[], "Scrubs under way."),
            histogram(
                "deriva_scrub_duration_seconds",
                Seconds,
                &[],
                "Time of scrubs that were done.",
            ),
            counter(
                "deriva_scrubbed_total",
                &["what"],
                "Recipes and blobs that they read.",
            ),
            counter("deriva_scrubbed_bytes_total", &[], "Bytes that they read."),
            counter(
                "deriva_scrub_findings_total",
                &["what"],
                "What they found and did: corrupt, missing, healed, unhealed.",
            ),
            counter(
                "deriva_invalidations_total",
                &["result"],
                "Invalidations that ended: done, failed, cancelled. Dry runs do not count.",
            ),
            gauge(
                "deriva_invalidations_active",
                &[],
                "Invalidations under way.",
            ),
            histogram(
                "deriva_invalidation_duration_seconds",
                Seconds,
                &[],
                "Time of invalidations that were done.",
            ),
            counter(
                "deriva_invalidated_outputs_total",
                &[],
                "Outputs that they forgot.",
            ),
            counter(
                "deriva_invalidated_bytes_total",
                &[],
                "Bytes of these outputs.",
            ),
            counter(
                "deriva_invalidated_rebuild_seconds_total",
                &[],
                "Time that computing these outputs again would take.",
            ),
        ],
    },
    Section {
        title: "The service",
        families: &[
            counter(
                "deriva_server_calls_total",
                &["service", "method", "code"],
                "Calls of a server that ended, refused ones among them, by the code of gRPC that they ended with; cancelled also where the caller went before the end.",
            ),
            histogram(
                "deriva_server_call_duration_seconds",
                Seconds,
                &["service", "method"],
                "Time of one call, from its headers to its last byte; of one that the caller holds open, until that ends.",
            ),
            gauge(
                "deriva_server_calls_active",
                &["service", "method"],
                "Calls under way.",
            ),
        ],
    },
    Section {
        title: "The process",
        families: &[
            gauge(
                "deriva_build_info",
                &["version"],
                "1, with the version of deriva.",
            ),
            gauge(
                "deriva_start_time_seconds",
                &[],
                "When the instance was built, in seconds since 1970.",
            ),
        ],
    },
];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

const fn histogram(
    name: &'static str,
    buckets: Buckets,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind: Kind::Histogram(buckets),
        labels,
        help,
    }
}
