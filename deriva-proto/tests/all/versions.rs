//! Other minor versions: what was said once stays so, and what is not known is passed over.
//!
//! `frozen/deriva.v1.bin` is the protocol as it was released. Where a release adds to it, it is written anew, by
//! `UPDATE_FROZEN=1 cargo test -p deriva-proto`; whatever else is different from it breaks those who have it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use deriva_api::{Event, Materialized, Node, Request};
use deriva_proto::{FILE_DESCRIPTOR_SET, parts, v1};
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use crate::any;

/// A field that no version has.
const LATER: i32 = 15_000;

fn current() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap()
}

fn frozen() -> FileDescriptorSet {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/deriva.v1.bin");
    FileDescriptorSet::decode(&*fs::read(path).unwrap()).unwrap()
}

/// All that others rely on, a line for each fact.
fn facts(set: &FileDescriptorSet) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for file in &set.file {
        let package = file.package();
        for message in &file.message_type {
            facts_of_message(package, message, &mut facts);
        }
        for number in &file.enum_type {
            facts_of_enum(package, number, &mut facts);
        }
        for service in &file.service {
            for method in &service.method {
                facts.insert(format!(
                    "{package}.{}/{}: {} {} -> {} {}",
                    service.name(),
                    method.name(),
                    method.client_streaming(),
                    method.input_type(),
                    method.server_streaming(),
                    method.output_type(),
                ));
            }
        }
    }
    facts
}

fn facts_of_message(above: &str, message: &DescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{above}.{}", message.name());
    facts.insert(format!("message {name}"));
    for field in &message.field {
        // One that is optional is alone in a group of its own.
        let group = field.oneof_index.filter(|_| !field.proto3_optional());
        let group = group.map_or("", |at| message.oneof_decl[at as usize].name());
        facts.insert(format!(
            "{name}.{} = {}: {:?} {:?} {} {} {group}",
            field.name(),
            field.number(),
            field.label(),
            field.r#type(),
            field.type_name(),
            field.proto3_optional(),
        ));
    }
    for inner in &message.nested_type {
        facts_of_message(&name, inner, facts);
    }
    for inner in &message.enum_type {
        facts_of_enum(&name, inner, facts);
    }
}

fn facts_of_enum(above: &str, number: &EnumDescriptorProto, facts: &mut BTreeSet<String>) {
    for value in &number.value {
        let (name, value, number) = (number.name(), value.name(), value.number());
        facts.insert(format!("{above}.{name}.{value} = {number}"));
    }
}

#[test]
fn nothing_that_was_released_is_gone_or_different() {
    if std::env::var_os("UPDATE_FROZEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/deriva.v1.bin");
        fs::write(path, FILE_DESCRIPTOR_SET).unwrap();
    }
    let (frozen, current) = (facts(&frozen()), facts(&current()));
    assert!(frozen.len() > 400, "{}", frozen.len());
    let broken: Vec<_> = frozen.difference(&current).collect();
    assert!(broken.is_empty(), "others rely on this: {broken:#?}");
}

#[test]
fn every_way_to_break_it_is_seen() {
    type Change = fn(&mut FileDescriptorSet);
    fn file<'a>(
        set: &'a mut FileDescriptorSet,
        name: &str,
    ) -> &'a mut prost_types::FileDescriptorProto {
        let name = format!("deriva/v1/{name}.proto");
        set.file
            .iter_mut()
            .find(|file| file.name() == name)
            .unwrap()
    }
    fn stat(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
        &mut file(set, "types").message_type[0]
    }
    let changes: [Change; 10] = [
        |set| drop(stat(set).field.pop()),
        |set| stat(set).field[1].number = Some(3),
        |set| stat(set).field[1].name = Some("length".to_owned()),
        |set| stat(set).field[1].set_type(Type::Sint64),
        |set| stat(set).field[1].set_label(Label::Repeated),
        |set| drop(file(set, "types").message_type.remove(0)),
        |set| drop(file(set, "blobs").enum_type[0].value.pop()),
        |set| file(set, "blobs").enum_type[0].value[1].number = Some(17),
        |set| drop(file(set, "graph").service[0].method.pop()),
        |set| file(set, "graph").service[0].method[0].server_streaming = Some(true),
    ];
    let before = facts(&current());
    for (nth, change) in changes.iter().enumerate() {
        let mut set = current();
        change(&mut set);
        assert!(!before.is_subset(&facts(&set)), "change {nth} is not seen");
    }
    let mut set = current();
    add_field(stat(&mut set));
    assert!(
        before.is_subset(&facts(&set)),
        "what is added breaks nothing"
    );
}

fn add_field(message: &mut DescriptorProto) {
    let mut field = FieldDescriptorProto {
        name: Some("later".to_owned()),
        json_name: Some("later".to_owned()),
        number: Some(LATER),
        ..Default::default()
    };
    field.set_label(Label::Optional);
    field.set_type(Type::String);
    message.field.push(field);
}

fn add_field_to_all(messages: &mut [DescriptorProto]) {
    for message in messages {
        let is_entry = message
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry());
        if !is_entry {
            add_field(message);
        }
        add_field_to_all(&mut message.nested_type);
    }
}

/// The protocol of a later version, in which every message has one field more.
fn later() -> &'static DescriptorPool {
    static LATER: OnceLock<DescriptorPool> = OnceLock::new();
    LATER.get_or_init(|| {
        let mut set = current();
        for file in &mut set.file {
            add_field_to_all(&mut file.message_type);
        }
        DescriptorPool::from_file_descriptor_set(set).unwrap()
    })
}

/// Sets the new field in a message and in all that it contains; answers in how many.
fn set_later(message: &mut DynamicMessage) -> usize {
    let mut set = 1;
    for field in message.descriptor().fields() {
        if message.has_field(&field) {
            set += set_later_within(message.get_field_mut(&field));
        }
    }
    message.set_field_by_name("later", Value::String("unheard of".to_owned()));
    set
}

fn set_later_within(value: &mut Value) -> usize {
    match value {
        Value::Message(message) => set_later(message),
        Value::List(items) => items.iter_mut().map(set_later_within).sum(),
        Value::Map(entries) => entries.values_mut().map(set_later_within).sum(),
        _ => 0,
    }
}

/// What a reader of this version makes of a message that a later one sends, and the released one of a message of this version.
fn survives<Wire: Message + Default + PartialEq>(name: &str, sent: &Wire) {
    let bytes = sent.encode_to_vec();
    let name = format!("deriva.v1.{name}");
    let descriptor = later().get_message_by_name(&name).unwrap();
    let mut from_later = DynamicMessage::decode(descriptor, &*bytes).unwrap();
    assert!(set_later(&mut from_later) > 0);
    let from_later = from_later.encode_to_vec();
    assert!(from_later.len() > bytes.len());
    assert!(Wire::decode(&*from_later).unwrap() == *sent);

    static FROZEN: OnceLock<DescriptorPool> = OnceLock::new();
    let frozen = FROZEN.get_or_init(|| DescriptorPool::from_file_descriptor_set(frozen()).unwrap());
    let descriptor = frozen.get_message_by_name(&name).unwrap();
    for bytes in [&bytes, &from_later] {
        let read = DynamicMessage::decode(descriptor.clone(), &**bytes).unwrap();
        // It has what it knows, and hands on what it does not.
        assert!(Wire::decode(&*read.encode_to_vec()).unwrap() == *sent);
    }
}

proptest! {
    #![proptest_config(any::cases(64))]

    #[test]
    fn fields_that_are_not_known_are_passed_over(
        node in any::node(), request in any::request(), event in any::event(), done in any::materialized(),
        scrubbed in any::scrubbed(), audited in any::audited(), collected in any::collected(), entry in any::entry(),
        error in any::error(), explanation in any::explanation(), diff in any::diff(), graph in any::graph(),
        status in any::status(), snapshot in any::snapshot(), doc in any::function_doc(),
    ) {
        survives("Node", &v1::Node::from(&node));
        survives("Recipe", &v1::Recipe::from(&node.recipe));
        survives("RecipeParts", &v1::RecipeParts::try_from(&node.recipe).unwrap());
        survives("RunRequest", &v1::RunRequest::from(&request));
        survives("RunEvent", &v1::RunEvent::from(&event));
        survives("RunResult", &v1::RunResult::from(&done));
        survives("Scrubbed", &v1::Scrubbed::from(&scrubbed));
        survives("Audited", &v1::Audited::from(&audited));
        survives("Collected", &v1::Collected::from(&collected));
        survives("LedgerEntry", &v1::LedgerEntry::from(&entry));
        survives("ErrorDetail", &v1::ErrorDetail::from(&error));
        for message in parts::of_explanation(explanation) {
            survives("ExplainResponse", &message);
        }
        for message in parts::of_diff(&diff).unwrap() {
            survives("DiffResponse", &message);
        }
        for message in parts::of_graph(graph) {
            survives("WalkResponse", &message);
        }
        survives("StatusResponse", &v1::StatusResponse::from((&status, &snapshot)));
        survives("FunctionDoc", &v1::FunctionDoc::from(&doc));
    }

    #[test]
    fn and_what_they_stand_beside_means_the_same(node in any::node(), request in any::request(), done in any::materialized()) {
        let with_later = |name: &str, bytes: Vec<u8>| {
            let descriptor = later().get_message_by_name(name).unwrap();
            let mut message = DynamicMessage::decode(descriptor, &*bytes).unwrap();
            set_later(&mut message);
            bytes::Bytes::from(message.encode_to_vec())
        };
        let bytes = with_later("deriva.v1.Node", v1::Node::from(&node).encode_to_vec());
        let found = Node::try_from(v1::Node::decode(bytes).unwrap()).unwrap();
        prop_assert_eq!(found.recipe, node.recipe);
        let bytes = with_later("deriva.v1.RunRequest", v1::RunRequest::from(&request).encode_to_vec());
        let found = Request::try_from(v1::RunRequest::decode(bytes).unwrap()).unwrap();
        prop_assert_eq!(format!("{found:?}"), format!("{request:?}"));
        let bytes = with_later("deriva.v1.RunResult", v1::RunResult::from(&done).encode_to_vec());
        let found = Materialized::try_from(v1::RunResult::decode(bytes).unwrap()).unwrap();
        prop_assert_eq!(format!("{found:?}"), format!("{done:?}"));
    }
}

#[test]
fn an_event_of_a_later_version_is_none_and_can_be_passed_over() {
    let descriptor = later()
        .get_message_by_name("deriva.v1.RunResponse")
        .unwrap();
    let mut response = DynamicMessage::new(descriptor);
    response.set_field_by_name("later", Value::String("a new kind of event".to_owned()));
    let response = v1::RunResponse::decode(&*response.encode_to_vec()).unwrap();
    assert_eq!(response.said, None);
    let descriptor = later().get_message_by_name("deriva.v1.RunEvent").unwrap();
    let mut event = DynamicMessage::new(descriptor);
    event.set_field_by_name("later", Value::String("a new kind of event".to_owned()));
    let event = v1::RunEvent::decode(&*event.encode_to_vec()).unwrap();
    assert!(Event::try_from(event).is_err());
}
