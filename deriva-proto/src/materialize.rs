//! Requests, what happens during them, and what comes of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BlobStat, CAddr, Cutoff, Determinism, Error, Event, Materialized, Output, Reason, Request,
    Result, Reuse, StoreResults, Summary, Violation,
};

use crate::fields::{
    addr_of, addrs_of, bytes_of, bytes_of_all, count, invalid, number, numbers, required, same,
};
use crate::v1;
use crate::v1::run_event as wire;
use crate::v1::target_result;

numbers!(Cutoff = Cutoff: Auto, Always, Never);
numbers!(Reason = Reason: New, Lost, Unchecked);
numbers!(Reuse = Reuse: Recorded, Cutoff, Joined, Executor);

impl From<&Request> for v1::RunRequest {
    /// Observers stay where they are: whoever calls says in [`v1::Wanted`] what they are to hear.
    fn from(request: &Request) -> Self {
        let mut determinism_at: Vec<_> = request.determinism_at.iter().collect();
        determinism_at.sort_unstable_by_key(|(recipe, _)| **recipe);
        let at = |(recipe, mode): (&CAddr, &Determinism)| v1::DeterminismAt {
            recipe: bytes_of(*recipe),
            mode: mode.to_string(),
        };
        Self {
            targets: bytes_of_all(&request.targets),
            wanted: None,
            keep_going: request.keep_going,
            jobs: request.jobs.map(|jobs| jobs as u64),
            deadline: request.deadline.map(Into::into),
            priority: request.priority,
            store_results: request.store_results.map(Into::into),
            cutoff: (request.cutoff).map(|cutoff| v1::Cutoff::from(cutoff).into()),
            determinism: request.determinism.map(|mode| mode.to_string()),
            determinism_at: determinism_at.into_iter().map(at).collect(),
            perturb: request.perturb,
            request_id: request.request_id.as_deref().map(str::to_owned),
        }
    }
}

impl TryFrom<v1::RunRequest> for Request {
    type Error = Error;

    /// Nobody observes the request yet. Whether it makes sense, such as a number of jobs, is for the runtime to say.
    fn try_from(found: v1::RunRequest) -> Result<Self> {
        let mut request = Self::new(addrs_of("RunRequest.targets", &found.targets)?);
        same!(found -> request: keep_going, priority, perturb);
        let jobs = found.jobs.map(|jobs| count("RunRequest.jobs", jobs));
        request.jobs = jobs.transpose()?;
        request.deadline = found.deadline.map(Duration::try_from).transpose()?;
        let store_results = found.store_results.map(StoreResults::try_from);
        request.store_results = store_results.transpose()?;
        let cutoff = found.cutoff;
        let cutoff = cutoff.map(|cutoff| number::<v1::Cutoff, _>("RunRequest.cutoff", cutoff));
        request.cutoff = cutoff.transpose()?;
        let determinism = found.determinism.as_deref();
        let determinism = determinism.map(|text| mode("RunRequest.determinism", text));
        request.determinism = determinism.transpose()?;
        let at = found.determinism_at.iter().map(|at| {
            let recipe = addr_of("DeterminismAt.recipe", &at.recipe)?;
            Ok((recipe, mode("DeterminismAt.mode", &at.mode)?))
        });
        request.determinism_at = at.collect::<Result<HashMap<_, _, _>>>()?;
        request.request_id = found.request_id.map(Arc::from);
        Ok(request)
    }
}

fn mode(field: &'static str, text: &str) -> Result<Determinism> {
    let mode = text.parse();
    mode.map_err(|error: Error| error.with("field", field))
}

impl From<StoreResults> for v1::StoreResults {
    fn from(results: StoreResults) -> Self {
        use v1::StoreResultsPolicy as Policy;
        let (policy, per_mib) = match results {
            StoreResults::All => (Policy::All, None),
            StoreResults::None => (Policy::None, None),
            StoreResults::Roots => (Policy::Roots, None),
            StoreResults::Worth { per_mib } => (Policy::Worth, Some(per_mib.into())),
            // A later version of the contracts may have more.
            _ => (Policy::Unspecified, None),
        };
        Self {
            policy: policy.into(),
            per_mib,
        }
    }
}

impl TryFrom<v1::StoreResults> for StoreResults {
    type Error = Error;

    fn try_from(found: v1::StoreResults) -> Result<Self> {
        use v1::StoreResultsPolicy as Policy;
        let policy = Policy::try_from(found.policy).unwrap_or(Policy::Unspecified);
        let per_mib = found.per_mib.map(Duration::try_from).transpose()?;
        match (policy, per_mib) {
            (Policy::All, None) => Ok(Self::All),
            (Policy::None, None) => Ok(Self::None),
            (Policy::Roots, None) => Ok(Self::Roots),
            (Policy::Worth, Some(per_mib)) => Ok(Self::Worth { per_mib }),
            (Policy::Unspecified, _) => {
                let error = invalid("StoreResults.policy", "a known number");
                Err(error.with("found", found.policy))
            }
            _ => {
                let expected = "a time with the policy WORTH, and with no other,";
                Err(invalid("StoreResults.per_mib", expected))
            }
        }
    }
}

impl From<&Event> for v1::RunEvent {
    /// What a later version of the contracts adds becomes an event in which nothing is set, which its readers pass over.
    fn from(event: &Event) -> Self {
        let event = match event {
            Event::Planned { compute, reused } => Some(wire::Event::Planned(wire::Planned {
                compute: *compute,
                reused: *reused,
            })),
            Event::Progress {
                done,
                planned,
                bytes,
                left,
            } => Some(wire::Event::Progress(wire::Progress {
                done: *done,
                planned: *planned,
                bytes: *bytes,
                left: left.map(Into::into),
            })),
            Event::Started { addr, reason } => Some(wire::Event::Started(wire::Started {
                addr: bytes_of(*addr),
                reason: v1::Reason::from(*reason).into(),
            })),
            Event::Step { addr, done, of } => Some(wire::Event::Step(wire::Step {
                addr: bytes_of(*addr),
                done: *done,
                of: *of,
            })),
            Event::Computed {
                addr,
                output,
                reason,
            } => Some(wire::Event::Computed(wire::Computed {
                addr: bytes_of(*addr),
                output: Some((*output).into()),
                reason: v1::Reason::from(*reason).into(),
            })),
            Event::Reused { addr, output, how } => Some(wire::Event::Reused(wire::Reused {
                addr: bytes_of(*addr),
                output: Some((*output).into()),
                how: v1::Reuse::from(*how).into(),
            })),
            Event::Healed { addr } => Some(wire::Event::Healed(wire::Healed {
                addr: bytes_of(*addr),
            })),
            Event::Violated { addr, violation } => Some(wire::Event::Violated(wire::Violated {
                addr: bytes_of(*addr),
                violation: Some((&**violation).into()),
            })),
            Event::Failed { addr, error } => Some(wire::Event::Failed(wire::Failed {
                addr: bytes_of(*addr),
                error: Some(error.into()),
            })),
            Event::Skipped { addr } => Some(wire::Event::Skipped(wire::Skipped {
                addr: bytes_of(*addr),
            })),
            _ => None,
        };
        Self { event }
    }
}

impl TryFrom<v1::RunEvent> for Event {
    type Error = Error;

    /// Who follows a request passes over an event that fails here: a later version of the protocol has more of them.
    fn try_from(event: v1::RunEvent) -> Result<Self> {
        let output = |field, output| required(field, output).and_then(Output::try_from);
        Ok(match required("RunEvent.event", event.event)? {
            wire::Event::Planned(it) => Self::Planned {
                compute: it.compute,
                reused: it.reused,
            },
            wire::Event::Progress(it) => Self::Progress {
                done: it.done,
                planned: it.planned,
                bytes: it.bytes,
                left: it.left.map(Duration::try_from).transpose()?,
            },
            wire::Event::Started(it) => Self::Started {
                addr: addr_of("Started.addr", &it.addr)?,
                reason: number::<v1::Reason, _>("Started.reason", it.reason)?,
            },
            wire::Event::Step(it) => Self::Step {
                addr: addr_of("Step.addr", &it.addr)?,
                done: it.done,
                of: it.of,
            },
            wire::Event::Computed(it) => Self::Computed {
                addr: addr_of("Computed.addr", &it.addr)?,
                output: output("Computed.output", it.output)?,
                reason: number::<v1::Reason, _>("Computed.reason", it.reason)?,
            },
            wire::Event::Reused(it) => Self::Reused {
                addr: addr_of("Reused.addr", &it.addr)?,
                output: output("Reused.output", it.output)?,
                how: number::<v1::Reuse, _>("Reused.how", it.how)?,
            },
            wire::Event::Healed(it) => Self::Healed {
                addr: addr_of("Healed.addr", &it.addr)?,
            },
            wire::Event::Violated(it) => Self::Violated {
                addr: addr_of("Violated.addr", &it.addr)?,
                violation: required("Violated.violation", it.violation)
                    .and_then(Violation::try_from)?
                    .into(),
            },
            wire::Event::Failed(it) => Self::Failed {
                addr: addr_of("Failed.addr", &it.addr)?,
                error: required("Failed.error", it.error)?.into(),
            },
            wire::Event::Skipped(it) => Self::Skipped {
                addr: addr_of("Skipped.addr", &it.addr)?,
            },
            wire::Event::Missed(it) => {
                let expected = "an event, and not the number of those that were left out,";
                return Err(invalid("RunEvent.missed", expected).with("events", it.events));
            }
        })
    }
}

impl From<Summary> for v1::Summary {
    fn from(summary: Summary) -> Self {
        let mut wire = Self::default();
        same!(summary -> wire: planned, computed, reused, cutoff, healed, joined, executor_hits, checked, violations, doubted,
            failed, skipped, bytes, seconds);
        wire
    }
}

impl From<v1::Summary> for Summary {
    fn from(found: v1::Summary) -> Self {
        let mut summary = Self::default();
        same!(found -> summary: planned, computed, reused, cutoff, healed, joined, executor_hits, checked, violations, doubted,
            failed, skipped, bytes, seconds);
        summary
    }
}

impl From<&Materialized> for v1::RunResult {
    /// In one part, without the bytes that are in hand, which follow in frames of their own.
    fn from(done: &Materialized) -> Self {
        let result = |result: &Result<BlobStat>| v1::TargetResult {
            result: Some(match result {
                Ok(stat) => target_result::Result::Stat((*stat).into()),
                Err(error) => target_result::Result::Error(error.into()),
            }),
        };
        Self {
            results: done.results.iter().map(result).collect(),
            summary: Some(done.summary.into()),
            doubted: bytes_of_all(&done.doubted),
        }
    }
}

impl TryFrom<v1::RunResult> for Materialized {
    type Error = Error;

    /// All parts as one. No bytes are in hand.
    fn try_from(found: v1::RunResult) -> Result<Self> {
        let results = found.results.into_iter().map(|result| {
            match required("TargetResult.result", result.result)? {
                target_result::Result::Stat(stat) => Ok(Ok(BlobStat::try_from(stat)?)),
                target_result::Result::Error(error) => Ok(Err(error.into())),
            }
        });
        let results: Vec<_> = results.collect::<Result<_>>()?;
        let held = vec![None; results.len()];
        let summary = required("RunResult.summary", found.summary)?;
        let mut done = Self::new(results, held, summary.into());
        done.doubted = addrs_of("RunResult.doubted", &found.doubted)?;
        Ok(done)
    }
}
