//! Messages of the protocol, turned into what they carry, and answers that come in parts.
//!
//! What a message carries, written as a message again, is a message that carries the same.

use std::convert::Infallible;
use std::fmt::Debug;

use deriva_api::diff::Difference;
use deriva_api::{
    AuditEvent, Audited, BlobStat, ByteRange, Capabilities, CollectEvent, CollectPolicy, Collected,
    Divergence, Error, ErrorKind, Event, ExplainedNode, Forecast, FunctionDoc, FunctionId,
    GraphNode, LedgerEntry, Materialized, Node, Output, Recipe, Record, Request, ScrubEvent,
    Scrubbed, Shown, Snapshot, Status, Suspect, Value, Violation,
};
use deriva_proto::parts::{
    DiffParts, ExplanationParts, GraphParts, ResultParts, of_diff, of_explanation, of_graph,
    of_result,
};
use deriva_proto::{error_of, retry_after, status_of, v1};
use prost::Message;
use tonic::Code;

use crate::{Read, check_kind, headed, pieces};

/// Items of an answer in parts at the most.
const ITEMS: u64 = 1000;

/// The first line says which message the rest is; where it is an answer in parts, these stand between lines of `--`.
pub fn read(bytes: &[u8]) -> Read {
    let Some((name, rest)) = headed(bytes) else {
        return Read::Refused;
    };
    let taken = match name {
        "status" => {
            status(rest);
            true
        }
        "explanation" => explanation(rest),
        "graph" => graph(rest),
        "diff" => diff(rest),
        "result" => result(rest),
        name => match MESSAGES.iter().find(|(known, _)| *known == name) {
            Some((_, message)) => message(rest),
            None => false,
        },
    };
    match taken {
        true => Read::Taken,
        false => Read::Refused,
    }
}

/// The names of all messages that are known, and of answers in parts.
pub fn names() -> impl Iterator<Item = &'static str> {
    let messages = MESSAGES.iter().map(|(name, _)| *name);
    messages.chain(["status", "explanation", "graph", "diff", "result"])
}

type Reads = fn(&[u8]) -> bool;

/// Each message that carries a value of the contracts.
const MESSAGES: &[(&str, Reads)] = &[
    ("AuditEvent", |it| {
        message::<v1::AuditEvent, AuditEvent>(it, |it| Some(it.into()))
    }),
    ("Audited", |it| {
        message::<v1::Audited, Audited>(it, |it| Some(it.into()))
    }),
    ("BlobStat", |it| {
        message::<v1::BlobStat, BlobStat>(it, |it| Some((*it).into()))
    }),
    ("ByteRange", |it| {
        message::<v1::ByteRange, ByteRange>(it, |it| Some((*it).into()))
    }),
    ("Capabilities", |it| {
        message::<v1::Capabilities, Capabilities>(it, |it| Some((*it).into()))
    }),
    ("CollectEvent", |it| {
        message::<v1::CollectEvent, CollectEvent>(it, |it| Some(it.into()))
    }),
    ("CollectRequest", |it| {
        message::<v1::CollectRequest, CollectPolicy>(it, |it| Some((*it).into()))
    }),
    ("Collected", |it| {
        message::<v1::Collected, Collected>(it, |it| Some(it.into()))
    }),
    ("Difference", |it| {
        message::<v1::Difference, Difference>(it, |it| it.try_into().ok())
    }),
    ("Divergence", |it| {
        message::<v1::Divergence, Divergence>(it, |it| Some((*it).into()))
    }),
    ("Duration", |it| {
        message::<v1::Duration, std::time::Duration>(it, |it| Some((*it).into()))
    }),
    ("ErrorDetail", |it| {
        message::<v1::ErrorDetail, Error>(it, |it| Some(it.into()))
    }),
    ("ExplainedNode", |it| {
        message::<v1::ExplainedNode, ExplainedNode>(it, |it| Some(it.into()))
    }),
    ("Forecast", |it| {
        message::<v1::Forecast, Forecast>(it, |it| Some(it.into()))
    }),
    ("FunctionDoc", |it| {
        message::<v1::FunctionDoc, FunctionDoc>(it, |it| Some(it.into()))
    }),
    ("FunctionId", |it| {
        message::<v1::FunctionId, FunctionId>(it, |it| Some(it.into()))
    }),
    ("GraphNode", |it| {
        message::<v1::GraphNode, GraphNode>(it, |it| Some(it.into()))
    }),
    ("LedgerEntry", |it| {
        message::<v1::LedgerEntry, LedgerEntry>(it, |it| Some(it.into()))
    }),
    ("Node", |it| {
        message::<v1::Node, Node>(it, |it| Some(it.into()))
    }),
    ("Output", |it| {
        message::<v1::Output, Output>(it, |it| Some((*it).into()))
    }),
    ("Recipe", |it| {
        message::<v1::Recipe, Recipe>(it, |it| Some(it.into()))
    }),
    ("RecipeParts", |it| {
        message::<v1::RecipeParts, Recipe>(it, |it| it.try_into().ok())
    }),
    ("Record", |it| {
        message::<v1::Record, Record>(it, |it| Some((*it).into()))
    }),
    ("RunEvent", |it| {
        message::<v1::RunEvent, Event>(it, |it| Some(it.into()))
    }),
    ("RunRequest", |it| {
        message::<v1::RunRequest, Request>(it, |it| Some(it.into()))
    }),
    ("RunResult", |it| {
        message::<v1::RunResult, Materialized>(it, |it| Some(it.into()))
    }),
    ("ScrubEvent", |it| {
        message::<v1::ScrubEvent, ScrubEvent>(it, |it| Some(it.into()))
    }),
    ("Scrubbed", |it| {
        message::<v1::Scrubbed, Scrubbed>(it, |it| Some(it.into()))
    }),
    ("ShowResponse", |it| {
        message::<v1::ShowResponse, Shown>(it, |it| Some(it.into()))
    }),
    ("StatusResponse", |it| {
        message::<v1::StatusResponse, (Status, Snapshot)>(it, |(status, snapshot)| {
            Some((status, snapshot).into())
        })
    }),
    ("Suspect", |it| {
        message::<v1::Suspect, Suspect>(it, |it| Some(it.into()))
    }),
    ("Value", |it| {
        message::<v1::Value, Value>(it, |it| it.try_into().ok())
    }),
    ("Violation", |it| {
        message::<v1::Violation, Violation>(it, |it| Some(it.into()))
    }),
];

/// Why a message carries nothing.
trait Refusal {
    fn check(&self);
}

impl Refusal for Error {
    /// It is the caller's mistake; or a node that was stored is damaged, which is told with its address.
    fn check(&self) {
        let is_damage = self.kind() == ErrorKind::Corrupt && self.context("addr").is_some();
        check_kind(
            self,
            if is_damage {
                ErrorKind::Corrupt
            } else {
                ErrorKind::Invalid
            },
        );
    }
}

impl Refusal for Infallible {
    fn check(&self) {}
}

/// Reads bytes as a message, and that as what it carries; which, written again and read, is the same.
fn message<Wire, T>(bytes: &[u8], write: impl Fn(&T) -> Option<Wire>) -> bool
where
    Wire: Message + Default,
    T: TryFrom<Wire, Error: Refusal + Debug> + Debug,
{
    let Ok(wire) = Wire::decode(bytes) else {
        return false;
    };
    let found = match T::try_from(wire) {
        Ok(found) => found,
        Err(refusal) => {
            refusal.check();
            return false;
        }
    };
    // Values may be nested more deeply in recipes than in messages.
    let Some(written) = write(&found) else {
        return true;
    };
    let bytes = written.encode_to_vec();
    let again = Wire::decode(&*bytes).expect("it was written");
    let again = T::try_from(again).expect("it was written");
    assert_eq!(format!("{again:?}"), format!("{found:?}"));
    let rewritten = write(&again).expect("as before");
    assert_eq!(rewritten.encode_to_vec(), bytes, "{found:?}");
    true
}

/// Bytes as the details of a status of each code. What was received can be sent on, and is the same then.
fn status(bytes: &[u8]) {
    for code in 1..17 {
        let received =
            || tonic::Status::with_details(Code::from(code), "said", bytes.to_vec().into());
        let _ = retry_after(&received());
        let error = error_of(received());
        let again = error_of(status_of(&error));
        assert_eq!(format!("{again:?}"), format!("{error:?}"));
    }
}

/// The parts of an answer, if all of them are messages.
fn parts<Wire: Message + Default>(bytes: &[u8]) -> Option<Vec<Wire>> {
    let parts = pieces(bytes).into_iter().map(Wire::decode);
    parts.collect::<Result<_, _>>().ok()
}

/// What was put together, or a refusal for what does not fit or ends early.
fn put_together<T>(found: deriva_api::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            let kinds = [ErrorKind::Invalid, ErrorKind::Corrupt];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            None
        }
    }
}

/// What is split and put together again is as it was.
fn check_same<T: Debug>(found: &T, again: deriva_api::Result<T>) {
    let again = again.expect("it was split");
    assert_eq!(format!("{again:?}"), format!("{found:?}"));
}

fn explanation(bytes: &[u8]) -> bool {
    let Some(parts) = parts::<v1::ExplainResponse>(bytes) else {
        return false;
    };
    let join = |parts: Vec<_>| {
        let mut joined = ExplanationParts::at_most(ITEMS);
        parts.into_iter().try_for_each(|part| joined.add(part))?;
        joined.finish()
    };
    let Some(found) = put_together(join(parts)) else {
        return false;
    };
    check_same(&found, join(of_explanation(found.clone()).collect()));
    true
}

fn graph(bytes: &[u8]) -> bool {
    let Some(parts) = parts::<v1::WalkResponse>(bytes) else {
        return false;
    };
    let join = |parts: Vec<_>| {
        let mut joined = GraphParts::at_most(ITEMS);
        parts.into_iter().try_for_each(|part| joined.add(part))?;
        joined.finish()
    };
    let Some(found) = put_together(join(parts)) else {
        return false;
    };
    // Parts that come in another order than they are sent in are put together, too: their edges are in that order.
    let sorted = |mut graph: deriva_api::Graph| {
        graph
            .edges
            .sort_by_key(|edge| (edge.from, edge.to, edge.input));
        graph
    };
    let again = join(of_graph(found.clone()).collect());
    check_same(&sorted(found), again.map(sorted));
    true
}

fn diff(bytes: &[u8]) -> bool {
    let Some(parts) = parts::<v1::DiffResponse>(bytes) else {
        return false;
    };
    let join = |parts: Vec<_>| {
        let mut joined = DiffParts::at_most(ITEMS);
        parts.into_iter().try_for_each(|part| joined.add(part))?;
        joined.finish()
    };
    let Some(found) = put_together(join(parts)) else {
        return false;
    };
    if let Ok(split) = of_diff(&found) {
        check_same(&found, join(split.collect()));
    }
    true
}

fn result(bytes: &[u8]) -> bool {
    let Some(parts) = parts::<v1::RunResult>(bytes) else {
        return false;
    };
    let targets = parts.iter().map(|part| part.results.len()).sum();
    let join = |parts: Vec<_>| {
        let mut joined = ResultParts::of(targets);
        parts.into_iter().try_for_each(|part| joined.add(part))?;
        joined.finish()
    };
    let Some(found) = put_together(join(parts)) else {
        return false;
    };
    check_same(&found, join(of_result(&found).collect()));
    true
}
