//! Words of the command and of files: functions, modes of checking, cursors, ids of requests, ways to be durable, params.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use deriva::admin::ScrubCursor;
use deriva::stores::Durability;
use deriva_api::canonical::encode_value;
use deriva_api::{Determinism, Error, FunctionId, Request, Value};
use deriva_cli::foreign;
use deriva_server::Role;
use serde_json::{Map, Number, Value as Json};

use crate::{Read, check_advice, headed};

/// The first line says what the others are the text of.
pub fn read(bytes: &[u8]) -> Read {
    let Some((what, rest)) = headed(bytes) else {
        return Read::Refused;
    };
    let Ok(text) = str::from_utf8(rest) else {
        return Read::Refused;
    };
    let taken = match what {
        "function" => word::<FunctionId>(text),
        "mode" => word::<Determinism>(text),
        "cursor" => word::<ScrubCursor>(text),
        "durability" => word::<Durability>(text),
        "role" => word::<Role>(text),
        "request" => taken(Request::check_id(text)).is_some(),
        "param" => param(text),
        _ => false,
    };
    match taken {
        true => Read::Taken,
        false => Read::Refused,
    }
}

fn taken<T>(read: Result<T, Error>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(error) => {
            check_advice(&error);
            None
        }
    }
}

/// A word that is taken says the same when it is printed.
fn word<T: FromStr<Err = Error> + Display + PartialEq + Debug>(text: &str) -> bool {
    let Some(found) = taken(text.parse::<T>()) else {
        return false;
    };
    assert_eq!(found.to_string().parse().ok(), Some(found), "{text}");
    true
}

/// A param that is taken says the same when it is written as JSON, and can stand in a recipe unless it is nested too deeply.
fn param(text: &str) -> bool {
    let (key, value) = match foreign::param(text) {
        Ok(param) => param,
        Err(told) => {
            assert!(!told.is_empty());
            return false;
        }
    };
    assert!(text.starts_with(&key) && !key.is_empty());
    if let Ok(bytes) = encode_value(&value) {
        // A key that ends with a colon cannot be written with JSON.
        let again = foreign::param(&format!("k:={}", json(&value)));
        let (_, again) = again.expect("it was written");
        assert_eq!(encode_value(&again).ok(), Some(bytes), "{text}");
    }
    true
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => Json::Bool(*it),
        Value::Int(it) => Json::from(*it),
        Value::Float(it) => Number::from_f64(*it).map_or(Json::Null, Json::Number),
        Value::Text(it) => Json::from(it.as_str()),
        Value::Bytes(_) => unreachable!("a param on the command line has no bytes"),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            Json::Object(
                entries
                    .map(|(key, it)| (key.clone(), json(it)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}
