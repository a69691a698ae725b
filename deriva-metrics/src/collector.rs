//! What is read when somebody looks.

use std::sync::Arc;

use deriva_runtime::Snapshot;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::families::families;
use crate::metrics::State;
use crate::sheet::Sheet;

/// Reads the state of a [`Metrics`](crate::Metrics) for a registry.
pub(crate) struct Reader {
    pub(crate) state: Arc<State>,
    descriptions: Vec<Desc>,
}

impl Reader {
    pub(crate) fn new(state: Arc<State>) -> prometheus::Result<Self> {
        let describe = |family: &crate::Family| {
            let labels = family.labels.iter().map(ToString::to_string).collect();
            let (name, help) = (family.name.to_owned(), family.help.to_owned());
            Desc::new(name, help, labels, Default::default())
        };
        Ok(Self {
            state,
            descriptions: families()
                .map(describe)
                .collect::<prometheus::Result<_>>()?,
        })
    }
}

impl Collector for Reader {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sheet = Sheet::default();
        let snapshot = self.state.snapshot();
        self.state.counts.lock().note(&mut sheet, snapshot.cached);
        note(&mut sheet, &snapshot);
        for store in &self.state.stores.lock().all {
            store.note(&mut sheet);
        }
        self.state.served.lock().note(&mut sheet);
        if let Some(usage) = &*self.state.usage.lock() {
            usage.note(&mut sheet);
        }
        sheet.count("deriva_build_info", &[env!("CARGO_PKG_VERSION")], 1);
        if let Some(built) = self.state.built_at() {
            sheet.number("deriva_start_time_seconds", &[], built);
        }
        sheet.finish()
    }
}

/// What a handle has under way and holds.
fn note(sheet: &mut Sheet, snapshot: &Snapshot) {
    let cache = &snapshot.cache;
    let held = [
        ("deriva_materialize_active", snapshot.requests),
        ("deriva_flights", snapshot.flights),
        ("deriva_leases", snapshot.leases),
        ("deriva_inflight_bytes", snapshot.memory_bytes),
        ("deriva_memory_budget_bytes", snapshot.memory_limit),
        ("deriva_spilled_bytes_total", snapshot.spilled_bytes),
        ("deriva_executor_steps", snapshot.steps),
        ("deriva_executor_slots", snapshot.slots),
        ("deriva_executor_slots_in_use", snapshot.slots_in_use),
        ("deriva_executor_slots_wanted", snapshot.slots_wanted),
        ("deriva_commits_active", snapshot.commits),
        ("deriva_cache_hits_total", cache.hits),
        ("deriva_cache_misses_total", cache.misses),
        ("deriva_cache_bytes", cache.bytes),
        ("deriva_cache_pinned_bytes", cache.pinned_bytes),
        ("deriva_cache_limit_bytes", cache.limit),
        ("deriva_cache_entries", cache.entries),
        ("deriva_quarantined_functions", snapshot.quarantined),
        ("deriva_ledger_entries", snapshot.ledger_open),
        ("deriva_audits_active", snapshot.audits),
        ("deriva_collections_active", snapshot.collections),
        ("deriva_scrubs_active", snapshot.scrubs),
        ("deriva_invalidations_active", snapshot.invalidations),
    ];
    for (name, value) in held {
        sheet.count(name, &[], value);
    }
    for (what, bytes) in [("requests", snapshot.memory_bytes), ("cache", cache.bytes)] {
        sheet.count("deriva_memory_used_bytes", &[what], bytes);
    }
    let evictions = [
        ("room", cache.evictions.saturating_sub(cache.yielded)),
        ("memory", cache.yielded.saturating_sub(cache.above_limit)),
        ("limit", cache.above_limit),
        ("removed", cache.removed),
    ];
    for (reason, count) in evictions {
        sheet.count("deriva_cache_evictions_total", &[reason], count);
    }
    let refused = [
        ("large", cache.refused_large),
        ("worth", cache.refused_worth),
        ("pins", cache.refused_pins),
    ];
    for (reason, count) in refused {
        sheet.count("deriva_cache_refused_total", &[reason], count);
    }
    let saved = cache.saved_nanos as f64 / 1e9;
    sheet.number("deriva_cache_saved_seconds_total", &[], saved);
    let (agreed, violated) = (snapshot.audit_agreed, snapshot.audit_violated);
    for (result, count) in [("agreed", agreed), ("violated", violated)] {
        let name = "deriva_determinism_checks_total";
        sheet.count(name, &["audit", result], count);
    }
    let audited = [
        ("agreed", agreed),
        ("violated", violated),
        ("skipped", snapshot.audit_skipped),
    ];
    for (result, count) in audited {
        sheet.count("deriva_audit_outputs_total", &[result], count);
    }
}
