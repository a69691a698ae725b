//! `json.*`: JSON documents, written compact with sorted keys.

use bytes::Bytes;
use deriva_api::{Error, ErrorKind, Params, Result, Weight};
use serde_json::Value as Json;

use super::Family;
use super::define::{Definition, bad_value, given, needed, nothing};
use deriva_api::Arity;

pub(super) fn functions() -> Family {
    vec![
        Definition {
            name: "json.select",
            weight: Weight::Heavy,
            arity: Arity::Exactly(1),
            description: "Takes the value that a JSON Pointer (RFC 6901) points to.",
            params: vec![needed(
                "pointer",
                "text",
                "The pointer, such as `/items/0/name`; empty for the whole document.",
            )],
        }
        .with(pointer, select),
        Definition {
            name: "json.merge",
            weight: Weight::Heavy,
            arity: Arity::AtLeast(1),
            description: "Merges each further document into the first, in order, as a JSON Merge Patch (RFC 7386).",
            params: vec![],
        }
        .with(nothing, |inputs, ()| merge(inputs)),
    ]
}

fn pointer(params: &Params) -> Result<String> {
    let pointer = given("pointer", params.text("pointer")?)?;
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(pointer.to_owned());
    }
    Err(bad_value(
        "pointer",
        "nothing, or a pointer that begins with `/`",
        pointer,
    ))
}

fn select(inputs: &[Bytes], pointer: String) -> Result<Bytes> {
    let mut document = read(&inputs[0], 1)?;
    match document.pointer_mut(&pointer) {
        Some(value) => write(value.take()),
        None => Err(
            Error::new(ErrorKind::Invalid, "the document has no such value")
                .with("param", "pointer")
                .with("found", reached(&document, &pointer))
                .with("expected", pointer),
        ),
    }
}

// How far the pointer reaches, for the message.
fn reached(document: &Json, pointer: &str) -> String {
    let steps = pointer.match_indices('/').map(|(at, _)| &pointer[..at]);
    let last = steps
        .take_while(|start| document.pointer(start).is_some())
        .last();
    match last {
        None | Some("") => "only the whole document".to_owned(),
        Some(start) => format!("only {start}"),
    }
}

fn merge(inputs: &[Bytes]) -> Result<Bytes> {
    let mut target = read(&inputs[0], 1)?;
    for (i, patch) in inputs.iter().enumerate().skip(1) {
        merge_patch(&mut target, read(patch, i + 1)?);
    }
    write(target)
}

// Recursion ends at the depth of documents, which reading limits to 128.
fn merge_patch(target: &mut Json, patch: Json) {
    let Json::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Json::Object(serde_json::Map::new());
    }
    let Json::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge_patch(target.entry(key).or_insert(Json::Null), value);
        }
    }
}

fn read(input: &[u8], number: usize) -> Result<Json> {
    if input.starts_with("\u{feff}".as_bytes()) {
        let message = "the input begins with a byte order mark, which JSON does not have";
        return Err(Error::new(ErrorKind::Invalid, message)
            .with("input", number)
            .hint("take its first three bytes away: `bytes.slice/1` with `offset = 3`"));
    }
    serde_json::from_slice(input).map_err(|error| {
        Error::new(ErrorKind::Invalid, "the input is no JSON document")
            .with("input", number)
            .with("line", error.line())
            .with("column", error.column())
            .with("found", &error)
            .caused_by(error)
    })
}

fn write(mut value: Json) -> Result<Bytes> {
    // Maps keep the order of insertion when any crate of the build asks serde_json for it.
    value.sort_all_objects();
    serde_json::to_vec(&value)
        .map(Bytes::from)
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "a JSON value could not be written").caused_by(error)
        })
}
