//! What is wrong in a message is invalid, and the error says which field and what was expected.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use deriva_api::diff::Difference;
use deriva_api::{
    AuditEvent, BlobStat, CAddr, Capabilities, CollectPolicy, Error, ErrorKind, Event,
    ExplainedNode, Forecast, FunctionDoc, FunctionForecast, FunctionId, GraphNode, LedgerEntry,
    Recipe, Record, Request, ScrubEvent, Scrubbed, Snapshot, Status, StoreResults, Suspect,
    Violation,
};
use deriva_proto::v1;

fn refused<Wire, T: TryFrom<Wire, Error = Error> + Debug>(wire: Wire, field: &str) {
    let error = T::try_from(wire).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.context("field"), Some(field), "{error}");
}

fn addr() -> Bytes {
    Bytes::from_static(&[7; 32])
}

fn function() -> v1::FunctionId {
    v1::FunctionId {
        name: "f".to_owned(),
        version: "1".to_owned(),
    }
}

#[test]
fn addresses_of_another_length() {
    for len in [0, 1, 31, 33, 64] {
        let addr = Bytes::from(vec![0; len]);
        let stat = v1::BlobStat {
            addr: addr.clone(),
            len: 0,
        };
        refused::<_, BlobStat>(stat, "BlobStat.addr");
        let request = v1::RunRequest {
            targets: vec![self::addr(), addr],
            ..Default::default()
        };
        refused::<_, Request>(request, "RunRequest.targets");
    }
    // But none and an empty one are the same where one may be absent.
    let output = v1::Output {
        addr: addr(),
        ..Default::default()
    };
    for (resolved, is_refused) in [
        (None, false),
        (Some(Bytes::new()), false),
        (Some("x".into()), true),
    ] {
        let record = v1::Record {
            addr: addr(),
            resolved,
            output: Some(output.clone()),
        };
        assert_eq!(Record::try_from(record).is_err(), is_refused);
    }
}

#[test]
fn numbers_that_stand_for_nothing() {
    for number in [0, -1, 99, i32::MAX] {
        let capabilities = v1::Capabilities {
            durability: number,
            ..Default::default()
        };
        refused::<_, Capabilities>(capabilities, "Capabilities.durability");
        let request = v1::RunRequest {
            cutoff: Some(number),
            ..Default::default()
        };
        refused::<_, Request>(request, "RunRequest.cutoff");
        let results = v1::StoreResults {
            policy: number,
            per_mib: None,
        };
        refused::<_, StoreResults>(results, "StoreResults.policy");
        let checks = vec![v1::BlobCheck::Read.into(), number];
        assert!(v1::VerifyResponse { checks }.found().is_err());
        let node = v1::ExplainedNode {
            addr: addr(),
            state: number,
            ..Default::default()
        };
        refused::<_, ExplainedNode>(node, "ExplainedNode.state");
        let node = v1::GraphNode {
            addr: addr(),
            state: number,
            ..Default::default()
        };
        refused::<_, GraphNode>(node, "GraphNode.state");
        let why = v1::WhyResponse {
            state: number,
            forgotten: false,
        };
        let error = why.of(CAddr::MIN, None).unwrap_err();
        assert_eq!(error.context("field"), Some("WhyResponse.state"));
        let doc = v1::FunctionDoc {
            function: Some(function()),
            weight: number,
            ..Default::default()
        };
        refused::<_, FunctionDoc>(doc, "FunctionDoc.weight");
    }
}

#[test]
fn what_is_missing() {
    refused::<_, Recipe>(v1::Recipe::default(), "Recipe.form");
    refused::<_, Recipe>(v1::RecipeParts::default(), "RecipeParts.function");
    refused::<_, FunctionId>(v1::FunctionId::default(), "FunctionId");
    refused::<_, Event>(v1::RunEvent::default(), "RunEvent.event");
    refused::<_, ScrubEvent>(v1::ScrubEvent::default(), "ScrubEvent.event");
    refused::<_, AuditEvent>(v1::AuditEvent::default(), "AuditEvent.event");
    refused::<_, Suspect>(v1::Suspect::default(), "Suspect.function");
    refused::<_, FunctionDoc>(v1::FunctionDoc::default(), "FunctionDoc.function");
    refused::<_, (Status, Snapshot)>(v1::StatusResponse::default(), "StatusResponse.checks");
    refused::<_, Difference>(v1::Difference::default(), "Difference.kind");
    let change = v1::difference::FunctionChange {
        before: Some(function()),
        after: None,
    };
    let difference = v1::Difference {
        before: addr(),
        after: addr(),
        kind: Some(v1::difference::Kind::VersionChanged(change)),
        ..Default::default()
    };
    refused::<_, Difference>(difference, "Difference.FunctionChange.after");
    let forecast = v1::FunctionForecast {
        function: Some(function()),
        weight: v1::Weight::Light.into(),
        ..Default::default()
    };
    refused::<_, FunctionForecast>(forecast.clone(), "FunctionForecast.estimate");
    let functions = vec![forecast];
    let forecast = v1::Forecast {
        functions,
        ..Default::default()
    };
    refused::<_, Forecast>(forecast, "FunctionForecast.estimate");
    let violation = v1::Violation {
        recipe: addr(),
        resolved: addr(),
        ..Default::default()
    };
    refused::<_, Violation>(violation, "Violation.function");
}

#[test]
fn what_is_no_recipe_mode_time_or_cursor() {
    let form = |bytes: &'static [u8]| v1::Recipe {
        form: Some(v1::recipe::Form::Canonical(bytes.into())),
    };
    refused::<_, Recipe>(form(b""), "Recipe.canonical");
    refused::<_, Recipe>(form(&[0x85; 100]), "Recipe.canonical");
    let request = v1::RunRequest {
        determinism: Some("sometimes".to_owned()),
        ..Default::default()
    };
    refused::<_, Request>(request, "RunRequest.determinism");
    let time = v1::Duration {
        seconds: u64::MAX,
        nanos: 1_000_000_000,
    };
    refused::<_, Duration>(time, "Duration.nanos");
    let collect = v1::CollectRequest {
        older_than: Some(time),
        ..Default::default()
    };
    refused::<_, CollectPolicy>(collect, "Duration.nanos");
    let scrubbed = v1::Scrubbed {
        cursor: Some("roots:1".to_owned()),
        ..Default::default()
    };
    refused::<_, Scrubbed>(scrubbed, "Scrubbed.cursor");
    for (policy, per_mib) in [
        (v1::StoreResultsPolicy::Worth, None),
        (v1::StoreResultsPolicy::All, Some(v1::Duration::default())),
    ] {
        let results = v1::StoreResults {
            policy: policy.into(),
            per_mib,
        };
        refused::<_, StoreResults>(results, "StoreResults.per_mib");
    }
}

#[test]
fn a_recipe_that_breaks_a_limit_is_invalid_by_the_rule_of_recipes() {
    let params = (0..70_000).map(|n| {
        let kind = Some(v1::value::Kind::IntValue(n));
        (n.to_string(), v1::Value { kind })
    });
    let parts = v1::RecipeParts {
        function: Some(v1::FunctionId {
            name: "f".to_owned(),
            version: "1".to_owned(),
        }),
        params: params.collect(),
        ..Default::default()
    };
    let error = Recipe::try_from(parts).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn an_entry_of_the_ledger_that_cannot_be_read_is_still_an_entry() {
    let violation = v1::Violation {
        recipe: addr(),
        resolved: addr(),
        function: Some(v1::FunctionId {
            name: "f".to_owned(),
            version: "1".to_owned(),
        }),
        found_by: 77,
        ..Default::default()
    };
    let entry = v1::LedgerEntry {
        recipe: addr(),
        violation: Some(violation),
        ..Default::default()
    };
    let entry = LedgerEntry::try_from(entry).unwrap();
    assert!(entry.violation.is_none() && !entry.released);
    assert!(entry.damage.unwrap().contains("Violation.found_by"));
}
