//! How much is held and under way, and which functions are suspect.

use deriva_api::{
    CacheStats, Error, FunctionChecks, FunctionId, Result, Snapshot, Status, Suspect, Verification,
};

use crate::fields::{addrs_of, bytes_of_all, required, same};
use crate::v1;

impl From<(&Status, &Snapshot)> for v1::StatusResponse {
    fn from((status, snapshot): (&Status, &Snapshot)) -> Self {
        let mut wire = Self::default();
        same!(status -> wire: recipes, outputs, blobs, blob_bytes, roots, cache_bytes);
        wire.blob_store.clone_from(&status.blob_store);
        wire.dag_store.clone_from(&status.dag_store);
        wire.executor.clone_from(&status.executor);
        wire.checks = Some(status.verification.total.into());
        let functions = status.verification.functions.iter();
        let functions = functions.map(|(function, checks)| v1::FunctionChecks {
            function: Some(function.into()),
            checks: Some((*checks).into()),
        });
        wire.function_checks = functions.collect();
        wire.ledger_open = snapshot.ledger_open;
        wire.under_way = Some(snapshot.into());
        wire
    }
}

impl TryFrom<v1::StatusResponse> for (Status, Snapshot) {
    type Error = Error;

    fn try_from(found: v1::StatusResponse) -> Result<Self> {
        let mut snapshot: Snapshot = found.under_way.unwrap_or_default().into();
        snapshot.ledger_open = found.ledger_open;
        let mut status = Status::default();
        same!(found -> status: recipes, outputs, blobs, blob_bytes, roots, cache_bytes, blob_store, dag_store, executor);
        let mut verification = Verification::default();
        verification.total = required("StatusResponse.checks", found.checks)?.into();
        for of in found.function_checks {
            let function = required("FunctionChecks.function", of.function)?;
            let checks = required("FunctionChecks.checks", of.checks)?;
            let function = FunctionId::try_from(function)?;
            verification.functions.push((function, checks.into()));
        }
        status.verification = verification;
        Ok((status, snapshot))
    }
}

impl From<FunctionChecks> for v1::Checks {
    fn from(checks: FunctionChecks) -> Self {
        let mut wire = Self::default();
        same!(checks -> wire: checked, agreed, violated, last_violation_millis, rate_at_most);
        wire
    }
}

impl From<v1::Checks> for FunctionChecks {
    fn from(found: v1::Checks) -> Self {
        let mut checks = Self::default();
        same!(found -> checks: checked, agreed, violated, last_violation_millis, rate_at_most);
        checks
    }
}

impl From<&Snapshot> for v1::UnderWay {
    /// Without the entries of the ledger, which stand beside it.
    fn from(snapshot: &Snapshot) -> Self {
        let mut wire = Self::default();
        same!(snapshot -> wire: requests, flights, steps, slots, slots_in_use, slots_wanted, collections, scrubs, invalidations,
            audits, leases, memory_bytes, memory_limit, quarantined, commits, spilled_bytes, audit_agreed, audit_violated,
            audit_skipped, cached);
        wire.cache = Some(snapshot.cache.into());
        wire
    }
}

impl From<v1::UnderWay> for Snapshot {
    /// Without the entries of the ledger, which stand beside it.
    fn from(found: v1::UnderWay) -> Self {
        let mut snapshot = Self::default();
        same!(found -> snapshot: requests, flights, steps, slots, slots_in_use, slots_wanted, collections, scrubs,
            invalidations, audits, leases, memory_bytes, memory_limit, quarantined, commits, spilled_bytes, audit_agreed,
            audit_violated, audit_skipped, cached);
        snapshot.cache = found.cache.unwrap_or_default().into();
        snapshot
    }
}

impl From<CacheStats> for v1::CacheStats {
    fn from(stats: CacheStats) -> Self {
        let mut wire = Self::default();
        same!(stats -> wire: hits, misses, evictions, yielded, above_limit, removed, refused_large, refused_worth, refused_pins,
            saved_nanos, entries, bytes, pinned_bytes, limit);
        wire
    }
}

impl From<v1::CacheStats> for CacheStats {
    fn from(found: v1::CacheStats) -> Self {
        let mut stats = Self::default();
        same!(found -> stats: hits, misses, evictions, yielded, above_limit, removed, refused_large, refused_worth, refused_pins,
            saved_nanos, entries, bytes, pinned_bytes, limit);
        stats
    }
}

impl From<&Suspect> for v1::Suspect {
    fn from(suspect: &Suspect) -> Self {
        Self {
            function: Some((&suspect.function).into()),
            entries: bytes_of_all(&suspect.entries),
            quarantined: suspect.quarantined,
        }
    }
}

impl TryFrom<v1::Suspect> for Suspect {
    type Error = Error;

    fn try_from(found: v1::Suspect) -> Result<Self> {
        Ok(Self::new(
            required("Suspect.function", found.function)?.try_into()?,
            addrs_of("Suspect.entries", &found.entries)?,
            found.quarantined,
        ))
    }
}
