//! No bytes make a panic: neither random ones, nor those of a message in which some were changed.

use deriva_api::diff::Difference;
use deriva_api::{
    AuditEvent, Audited, BlobStat, Capabilities, CollectEvent, CollectPolicy, Divergence, Error,
    Event, ExplainedNode, Forecast, FunctionDoc, FunctionId, GraphNode, LedgerEntry, Materialized,
    Node, Output, Recipe, Record, Request, ScrubEvent, Scrubbed, Snapshot, Status, Suspect, Value,
};
use deriva_proto::{error_of, retry_after, status_of, v1};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use tonic::Code;

use crate::any;

/// Reads bytes as a message, and the message as what it carries.
fn read<Wire: Message + Default, T: TryFrom<Wire>>(bytes: &[u8]) -> bool {
    Wire::decode(bytes).is_ok_and(|wire| T::try_from(wire).is_ok())
}

/// As everything that can be read; how much of it was something.
fn read_as_all(bytes: &[u8]) -> usize {
    [
        read::<v1::BlobStat, BlobStat>,
        read::<v1::Output, Output>,
        read::<v1::FunctionId, FunctionId>,
        read::<v1::Recipe, Recipe>,
        read::<v1::RecipeParts, Recipe>,
        read::<v1::Value, Value>,
        read::<v1::Node, Node>,
        read::<v1::Duration, std::time::Duration>,
        read::<v1::Capabilities, Capabilities>,
        read::<v1::Record, Record>,
        read::<v1::Divergence, Divergence>,
        read::<v1::RunRequest, Request>,
        read::<v1::RunEvent, Event>,
        read::<v1::RunResult, Materialized>,
        read::<v1::LedgerEntry, LedgerEntry>,
        read::<v1::CollectEvent, CollectEvent>,
        read::<v1::ScrubEvent, ScrubEvent>,
        read::<v1::Scrubbed, Scrubbed>,
        read::<v1::AuditEvent, AuditEvent>,
        read::<v1::Audited, Audited>,
        read::<v1::ErrorDetail, Error>,
        read::<v1::ExplainedNode, ExplainedNode>,
        read::<v1::Forecast, Forecast>,
        read::<v1::Difference, Difference>,
        read::<v1::GraphNode, GraphNode>,
        read::<v1::FunctionDoc, FunctionDoc>,
        read::<v1::Suspect, Suspect>,
        read::<v1::StatusResponse, (Status, Snapshot)>,
        read::<v1::CollectRequest, CollectPolicy>,
    ]
    .iter()
    .filter(|read| read(bytes))
    .count()
}

/// As the details of a status of each code.
fn read_as_status(bytes: &[u8]) {
    for code in 0..17 {
        let status =
            || tonic::Status::with_details(Code::from(code), "said", bytes.to_vec().into());
        let _ = retry_after(&status());
        let error = error_of(status());
        // What was received can be sent on.
        let _ = status_of(&error);
    }
}

proptest! {
    #![proptest_config(any::cases(256))]

    #[test]
    fn random(bytes in vec(any::<u8>(), 0..200)) {
        read_as_all(&bytes);
        read_as_status(&bytes);
    }

    #[test]
    fn changed(
        event in any::event(), node in any::node(), request in any::request(), done in any::materialized(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let value = v1::RecipeParts::try_from(&node.recipe).unwrap().encode_to_vec();
        for mut bytes in [
            v1::RunEvent::from(&event).encode_to_vec(),
            v1::Node::from(&node).encode_to_vec(),
            v1::RunRequest::from(&request).encode_to_vec(),
            v1::RunResult::from(&done).encode_to_vec(),
            value,
        ] {
            for (at, byte) in &changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            read_as_all(&bytes);
        }
    }

    #[test]
    fn changed_statuses(
        error in any::error(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = status_of(&error).details().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_as_status(&bytes);
    }
}

#[test]
fn what_is_nested_without_end_is_refused_before_the_stack_is_full() {
    // A list within a list, by its heads alone: each has the length of what it contains.
    let mut bytes = Vec::new();
    while bytes.len() < 1 << 20 {
        let inner = [&[0x0a][..], &length(bytes.len()), &bytes].concat();
        bytes = [&[0x3a][..], &length(inner.len()), &inner].concat();
        if bytes.len() > 1 << 16 {
            break;
        }
    }
    assert!(v1::Value::decode(&*bytes).is_err());
    let mut detail = v1::ErrorDetail::default();
    for _ in 0..10_000 {
        let what = Some(v1::error_detail::cause::What::Text("again".to_owned()));
        detail.causes.push(v1::error_detail::Cause { what });
        let (key, value) = (detail.causes.len().to_string(), String::new());
        detail
            .context
            .push(v1::error_detail::Context { key, value });
    }
    let error = Error::from(detail);
    assert_eq!(error.contexts().count(), 64);
    drop(error);
}

fn length(mut len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes
}

#[test]
fn it_does_read_something() {
    let stat = v1::BlobStat::from(deriva_api::Blob::new("x").stat()).encode_to_vec();
    assert!(read_as_all(&stat) >= 2);
}
