//! What goes comes back: every type, through the bytes of its message.

use std::fmt::Debug;
use std::time::Duration;

use deriva_api::{
    AuditEvent, Audited, BlobCheck, BlobStat, BlobUsage, ByteRange, Capabilities, CollectEvent,
    Collected, DagUsage, Divergence, Event, FunctionId, Invalidated, LedgerEntry, Materialized,
    Node, Output, ParamDoc, Recipe, Record, Request, ScrubEvent, Scrubbed, Summary, Value,
    Violation,
};
use deriva_proto::v1;
use proptest::prelude::*;
use prost::Message;

use crate::any;

/// The same message, through its bytes.
pub(crate) fn through<Wire: Message + Default>(wire: Wire) -> Wire {
    Wire::decode(bytes::Bytes::from(wire.encode_to_vec())).unwrap()
}

/// What comes back of a message.
pub(crate) fn back<Wire, T>(wire: Wire) -> T
where
    Wire: Message + Default,
    T: TryFrom<Wire>,
    T::Error: Debug,
{
    T::try_from(through(wire)).unwrap()
}

/// All that is printed of a value is the same. Errors print all that they have.
fn same(one: &impl Debug, other: &impl Debug) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
    Ok(())
}

proptest! {
    #![proptest_config(any::cases(256))]

    #[test]
    fn blobs_and_outputs(stat in any::stat(), output in any::output(), range in any::range(), time in any::time()) {
        prop_assert_eq!(back::<v1::BlobStat, BlobStat>(stat.into()), stat);
        prop_assert_eq!(back::<v1::Output, Output>(output.into()), output);
        prop_assert_eq!(back::<v1::ByteRange, ByteRange>(range.into()), range);
        prop_assert_eq!(back::<v1::Duration, Duration>(time.into()), time);
    }

    #[test]
    fn functions_and_values(function in any::function(), value in any::value()) {
        prop_assert_eq!(&back::<v1::FunctionId, FunctionId>((&function).into()), &function);
        let wire = v1::Value::try_from(&value).unwrap();
        // Equal floats may have other bits: those of the canonical form are compared.
        let encoded = deriva_api::canonical::encode_value;
        let found: Value = back(wire);
        prop_assert_eq!(encoded(&found).unwrap(), encoded(&value).unwrap());
    }

    #[test]
    fn recipes_in_both_forms(node in any::node()) {
        let recipe = &node.recipe;
        let canonical: Recipe = back(v1::Recipe::from(recipe));
        let parts: Recipe = back(v1::RecipeParts::try_from(recipe).unwrap());
        prop_assert_eq!(canonical.addr(), recipe.addr());
        prop_assert_eq!(parts.addr(), recipe.addr());
        let found: Node = back(v1::Node::from(&node));
        prop_assert_eq!((found.recipe.canonical(), found.output), (recipe.canonical(), node.output));
    }

    #[test]
    fn what_stores_tell(
        capabilities in any::capabilities(), record in any::record(), divergence in any::divergence(), counts: [u64; 5],
    ) {
        prop_assert_eq!(back::<v1::Capabilities, Capabilities>(capabilities.into()), capabilities);
        prop_assert_eq!(back::<v1::Record, Record>(record.into()), record);
        prop_assert_eq!(back::<v1::Divergence, Divergence>(divergence.into()), divergence);
        let [blobs, bytes, recipes, outputs, roots] = counts;
        let usage = BlobUsage { blobs, bytes };
        prop_assert_eq!(back::<v1::BlobUsage, BlobUsage>(usage.into()), usage);
        let usage = DagUsage { recipes, outputs, roots };
        prop_assert_eq!(back::<v1::GraphUsage, DagUsage>(usage.into()), usage);
    }

    #[test]
    fn requests(request in any::request()) {
        let found: Request = back(v1::RunRequest::from(&request));
        same(&found, &request)?;
        // Which is not printed.
        prop_assert_eq!(found.determinism_at, request.determinism_at);
    }

    #[test]
    fn events(event in any::event()) {
        same(&back::<v1::RunEvent, Event>((&event).into()), &event)?;
    }

    #[test]
    fn results(done in any::materialized(), summary in any::summary()) {
        same(&back::<v1::RunResult, Materialized>((&done).into()), &done)?;
        prop_assert_eq!(back::<v1::Summary, Summary>(summary.into()), summary);
    }

    #[test]
    fn the_ledger(violation in any::violation(), entry in any::entry()) {
        prop_assert_eq!(&back::<v1::Violation, Violation>((&violation).into()), &violation);
        prop_assert_eq!(&back::<v1::LedgerEntry, LedgerEntry>((&entry).into()), &entry);
    }

    #[test]
    fn invalidations_and_collections(
        invalidated in any::invalidated(), collected in any::collected(), event in any::collect_event(),
    ) {
        prop_assert_eq!(back::<v1::Invalidated, Invalidated>(invalidated.into()), invalidated);
        prop_assert_eq!(&back::<v1::Collected, Collected>((&collected).into()), &collected);
        same(&back::<v1::CollectEvent, CollectEvent>((&event).into()), &event)?;
    }

    #[test]
    fn scrubs_and_audits(
        scrubbed in any::scrubbed(), scrub in any::scrub_event(), audited in any::audited(), audit in any::audit_event(),
    ) {
        same(&back::<v1::Scrubbed, Scrubbed>((&scrubbed).into()), &scrubbed)?;
        same(&back::<v1::ScrubEvent, ScrubEvent>((&scrub).into()), &scrub)?;
        prop_assert_eq!(&back::<v1::Audited, Audited>((&audited).into()), &audited);
        same(&back::<v1::AuditEvent, AuditEvent>((&audit).into()), &audit)?;
    }
}

#[test]
fn checks_of_blobs() {
    let checks = any::CHECKS.map(|check| v1::BlobCheck::from(check).into());
    let answer = v1::VerifyResponse {
        checks: checks.to_vec(),
    };
    assert_eq!(answer.found().unwrap(), any::CHECKS);
    for check in any::CHECKS {
        let wire = v1::BlobCheck::from(check);
        assert_eq!(BlobCheck::try_from(wire).unwrap(), check);
    }
}

#[test]
fn docs_of_params() {
    let param = ParamDoc {
        name: "n".into(),
        kind: "int".into(),
        required: true,
        description: "How many lines".into(),
    };
    assert_eq!(back::<v1::ParamDoc, ParamDoc>((&param).into()), param);
}

#[test]
fn the_longest_cost_is_that_of_stores() {
    let output = Output {
        addr: deriva_api::CAddr::MIN,
        len: 0,
        cost: Duration::MAX,
    };
    let found: Output = back(v1::Output::from(output));
    assert_eq!(found.cost, Duration::from_nanos(u64::MAX));
}
