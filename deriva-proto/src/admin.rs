//! What upkeep takes and tells.

mod status;

use std::time::Duration;

use deriva_api::{
    AuditEvent, Audited, CollectEvent, CollectPolicy, Collected, Error, Finding, FindingKind,
    Invalidated, NeededBy, Result, ScrubCursor, ScrubEvent, Scrubbed, Skipped, Violation,
};

use crate::fields::{
    addr_of, addrs_of, bytes_of, bytes_of_all, invalid, maybe_addr_of, number, numbers, required,
    same,
};
use crate::v1;
use crate::v1::{audit_event as audit, collect_event as collect, scrub_event as scrub};

impl From<Invalidated> for v1::Invalidated {
    fn from(done: Invalidated) -> Self {
        let mut wire = Self::default();
        same!(done -> wire: recipes, outputs, bytes, rebuild_seconds, depth, dry_run, seconds);
        wire
    }
}

impl From<v1::Invalidated> for Invalidated {
    fn from(found: v1::Invalidated) -> Self {
        let mut done = Self::default();
        same!(found -> done: recipes, outputs, bytes, rebuild_seconds, depth, dry_run, seconds);
        done
    }
}

impl From<CollectPolicy> for v1::CollectRequest {
    /// Not for a dry run.
    fn from(policy: CollectPolicy) -> Self {
        let mut wire = Self::default();
        same!(policy -> wire: unreferenced_blobs, derived_bytes_at_most);
        wire.older_than = policy.older_than.map(Into::into);
        wire
    }
}

impl TryFrom<v1::CollectRequest> for CollectPolicy {
    type Error = Error;

    /// Whether it is for a dry run is said beside it.
    fn try_from(found: v1::CollectRequest) -> Result<Self> {
        let mut policy = Self::default();
        same!(found -> policy: unreferenced_blobs, derived_bytes_at_most);
        policy.older_than = found.older_than.map(Duration::try_from).transpose()?;
        Ok(policy)
    }
}

impl From<&Collected> for v1::Collected {
    fn from(done: &Collected) -> Self {
        let mut wire = Self::default();
        same!(done -> wire: dry_run, recipes, outputs, blobs, bytes, rebuild_seconds, kept_recipes, kept_blobs, kept_bytes,
            derived_bytes, seconds);
        wire
    }
}

impl From<v1::Collected> for Collected {
    fn from(found: v1::Collected) -> Self {
        let mut done = Self::default();
        same!(found -> done: dry_run, recipes, outputs, blobs, bytes, rebuild_seconds, kept_recipes, kept_blobs, kept_bytes,
            derived_bytes, seconds);
        done
    }
}

impl From<&CollectEvent> for v1::CollectEvent {
    fn from(event: &CollectEvent) -> Self {
        let event = match event {
            CollectEvent::Listed { recipes, blobs } => {
                let (recipes, blobs) = (*recipes, *blobs);
                Some(collect::Event::Listed(collect::Listed { recipes, blobs }))
            }
            CollectEvent::Living { recipes } => {
                let recipes = *recipes;
                Some(collect::Event::Living(collect::Living { recipes }))
            }
            CollectEvent::Taken(taken) => Some(collect::Event::Taken(taken.into())),
            _ => None,
        };
        Self { event }
    }
}

impl TryFrom<v1::CollectEvent> for CollectEvent {
    type Error = Error;

    /// Who follows a collection passes over an event that fails here: a later version of the protocol has more of them.
    fn try_from(event: v1::CollectEvent) -> Result<Self> {
        Ok(match required("CollectEvent.event", event.event)? {
            collect::Event::Listed(it) => Self::Listed {
                recipes: it.recipes,
                blobs: it.blobs,
            },
            collect::Event::Living(it) => Self::Living {
                recipes: it.recipes,
            },
            collect::Event::Taken(taken) => Self::Taken(taken.into()),
        })
    }
}

numbers!(FindingKind = FindingKind: Blob, Output, Recipe);

impl From<&Scrubbed> for v1::Scrubbed {
    fn from(done: &Scrubbed) -> Self {
        let mut wire = Self::default();
        same!(done -> wire: recipes, blobs, bytes, corrupt, missing, healed, unhealed, seconds);
        wire.findings = done.findings.iter().map(Into::into).collect();
        wire.cursor = done.cursor.map(|cursor| cursor.to_string());
        wire
    }
}

impl TryFrom<v1::Scrubbed> for Scrubbed {
    type Error = Error;

    fn try_from(found: v1::Scrubbed) -> Result<Self> {
        let mut done = Self::default();
        same!(found -> done: recipes, blobs, bytes, corrupt, missing, healed, unhealed, seconds);
        let findings = found.findings.into_iter().map(Finding::try_from);
        done.findings = findings.collect::<Result<_>>()?;
        let cursor = found.cursor.as_deref();
        let cursor = cursor.map(|text| scrub_cursor("Scrubbed.cursor", text));
        done.cursor = cursor.transpose()?;
        Ok(done)
    }
}

fn scrub_cursor(field: &'static str, text: &str) -> Result<ScrubCursor> {
    let cursor = text.parse();
    cursor.map_err(|error: Error| error.with("field", field))
}

impl v1::ScrubRequest {
    /// Where the scrub begins.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) for what is no cursor.
    pub fn cursor(&self) -> Result<ScrubCursor> {
        let after = self.after.as_deref();
        let after = after.map(|text| scrub_cursor("ScrubRequest.after", text));
        Ok(after.transpose()?.unwrap_or_default())
    }
}

impl From<&Finding> for v1::Finding {
    fn from(finding: &Finding) -> Self {
        Self {
            addr: bytes_of(finding.addr),
            kind: v1::FindingKind::from(finding.kind).into(),
            reason: finding.reason.clone(),
            needed_by: Some((&finding.needed_by).into()),
        }
    }
}

impl TryFrom<v1::Finding> for Finding {
    type Error = Error;

    fn try_from(found: v1::Finding) -> Result<Self> {
        Ok(Self::new(
            addr_of("Finding.addr", &found.addr)?,
            number::<v1::FindingKind, _>("Finding.kind", found.kind)?,
            found.reason,
            required("Finding.needed_by", found.needed_by)?.try_into()?,
        ))
    }
}

impl From<&NeededBy> for v1::NeededBy {
    fn from(needed_by: &NeededBy) -> Self {
        let mut wire = Self::default();
        same!(needed_by -> wire: recipe_count, root_count, complete);
        wire.recipes = bytes_of_all(&needed_by.recipes);
        wire.roots.clone_from(&needed_by.roots);
        wire
    }
}

impl TryFrom<v1::NeededBy> for NeededBy {
    type Error = Error;

    fn try_from(found: v1::NeededBy) -> Result<Self> {
        let mut needed_by = Self::default();
        needed_by.recipes = addrs_of("NeededBy.recipes", &found.recipes)?;
        same!(found -> needed_by: recipe_count, roots, root_count, complete);
        Ok(needed_by)
    }
}

impl From<&ScrubEvent> for v1::ScrubEvent {
    fn from(event: &ScrubEvent) -> Self {
        let place = |addr, kind| scrub::Place {
            addr: bytes_of(addr),
            kind: v1::FindingKind::from(kind).into(),
        };
        let event = match event {
            ScrubEvent::Progress {
                recipes,
                blobs,
                bytes,
                cursor,
            } => Some(scrub::Event::Progress(scrub::Progress {
                recipes: *recipes,
                blobs: *blobs,
                bytes: *bytes,
                cursor: cursor.to_string(),
            })),
            ScrubEvent::Found { addr, kind } => Some(scrub::Event::Found(place(*addr, *kind))),
            ScrubEvent::Healed { addr } => Some(scrub::Event::Healed(bytes_of(*addr))),
            ScrubEvent::Unhealed { addr, kind } => {
                Some(scrub::Event::Unhealed(place(*addr, *kind)))
            }
            _ => None,
        };
        Self { event }
    }
}

impl TryFrom<v1::ScrubEvent> for ScrubEvent {
    type Error = Error;

    /// Who follows a scrub passes over an event that fails here: a later version of the protocol has more of them.
    fn try_from(event: v1::ScrubEvent) -> Result<Self> {
        let place = |place: &scrub::Place| -> Result<_> {
            let addr = addr_of("ScrubEvent.Place.addr", &place.addr)?;
            let kind = number::<v1::FindingKind, _>("ScrubEvent.Place.kind", place.kind)?;
            Ok((addr, kind))
        };
        Ok(match required("ScrubEvent.event", event.event)? {
            scrub::Event::Progress(it) => Self::Progress {
                recipes: it.recipes,
                blobs: it.blobs,
                bytes: it.bytes,
                cursor: scrub_cursor("ScrubEvent.Progress.cursor", &it.cursor)?,
            },
            scrub::Event::Found(found) => {
                let (addr, kind) = place(&found)?;
                Self::Found { addr, kind }
            }
            scrub::Event::Healed(addr) => Self::Healed {
                addr: addr_of("ScrubEvent.healed", &addr)?,
            },
            scrub::Event::Unhealed(found) => {
                let (addr, kind) = place(&found)?;
                Self::Unhealed { addr, kind }
            }
        })
    }
}

numbers!(Skipped = SkipReason: Inputs, UnknownFunction, Condemned, Changed, Damaged);

impl From<&Audited> for v1::Audited {
    fn from(done: &Audited) -> Self {
        let mut wire = Self::default();
        same!(done -> wire: outputs, audited, agreed, violated, skipped, bytes, dry_run, seconds);
        wire.violations = bytes_of_all(&done.violations);
        wire.cursor = done.cursor.map(bytes_of);
        wire
    }
}

impl TryFrom<v1::Audited> for Audited {
    type Error = Error;

    fn try_from(found: v1::Audited) -> Result<Self> {
        let mut done = Self::default();
        same!(found -> done: outputs, audited, agreed, violated, skipped, bytes, dry_run, seconds);
        done.violations = addrs_of("Audited.violations", &found.violations)?;
        done.cursor = maybe_addr_of("Audited.cursor", found.cursor.as_ref())?;
        Ok(done)
    }
}

impl From<&AuditEvent> for v1::AuditEvent {
    fn from(event: &AuditEvent) -> Self {
        let event = match event {
            AuditEvent::Progress {
                outputs,
                audited,
                violated,
                cursor,
            } => Some(audit::Event::Progress(audit::Progress {
                outputs: *outputs,
                audited: *audited,
                violated: *violated,
                cursor: bytes_of(*cursor),
            })),
            AuditEvent::Violated { addr, violation } => {
                Some(audit::Event::Violated(audit::Violated {
                    addr: bytes_of(*addr),
                    violation: Some((&**violation).into()),
                }))
            }
            AuditEvent::Skipped { addr, reason } => {
                Some(audit::Event::Skipped(audit::NotCompared {
                    addr: bytes_of(*addr),
                    reason: v1::SkipReason::from(*reason).into(),
                }))
            }
            _ => None,
        };
        Self { event }
    }
}

impl TryFrom<v1::AuditEvent> for AuditEvent {
    type Error = Error;

    /// Who follows an audit passes over an event that fails here: a later version of the protocol has more of them.
    fn try_from(event: v1::AuditEvent) -> Result<Self> {
        Ok(match required("AuditEvent.event", event.event)? {
            audit::Event::Progress(it) => Self::Progress {
                outputs: it.outputs,
                audited: it.audited,
                violated: it.violated,
                cursor: addr_of("AuditEvent.Progress.cursor", &it.cursor)?,
            },
            audit::Event::Violated(it) => Self::Violated {
                addr: addr_of("AuditEvent.Violated.addr", &it.addr)?,
                violation: required("AuditEvent.Violated.violation", it.violation)
                    .and_then(Violation::try_from)?
                    .into(),
            },
            audit::Event::Skipped(it) => Self::Skipped {
                addr: addr_of("AuditEvent.NotCompared.addr", &it.addr)?,
                reason: number::<v1::SkipReason, _>("AuditEvent.NotCompared.reason", it.reason)?,
            },
        })
    }
}
