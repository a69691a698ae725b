//! Params as they are written on the command line.

use std::collections::BTreeMap;

use deriva::Value;
use serde_json::Value as Json;

/// A param from the command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Param {
    /// Its name.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Value,
}

/// Parses `key=text` or `key:=json`.
pub(crate) fn parse(text: &str) -> Result<Param, String> {
    let expected = "a param is written `key=text` or `key:=json`";
    let (key, rest) = text.split_once('=').ok_or(expected)?;
    let (key, value) = match key.strip_suffix(':') {
        None => (key, Value::Text(rest.to_owned())),
        Some(key) => {
            let json = serde_json::from_str(rest).map_err(|error| {
                format!("`{rest}` is not JSON: {error}; text is given as `{key}=...`")
            })?;
            (key, from_json(json)?)
        }
    };
    if key.is_empty() {
        return Err(expected.to_owned());
    }
    Ok(Param {
        key: key.to_owned(),
        value,
    })
}

fn from_json(json: Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(bool),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) if !number.is_u64() => Value::Float(float),
            _ => return Err(format!("{number} does not fit into 64 bits with a sign")),
        },
        Json::Array(items) => {
            Value::List(items.into_iter().map(from_json).collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let mut map = BTreeMap::new();
            for (key, item) in entries {
                map.insert(key, from_json(item)?);
            }
            Value::Map(map)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_are_told_apart() {
        let value = |text| parse(text).map(|param| param.value);
        assert_eq!(value("k=1"), Ok(Value::Text("1".into())));
        assert_eq!(value("k:=1"), Ok(Value::Int(1)));
        assert_eq!(value("k:=1.0"), Ok(Value::Float(1.0)));
        assert_eq!(value("k=a=b"), Ok(Value::Text("a=b".into())));
        assert_eq!(
            value("k:=[true,null]"),
            Ok(Value::List(vec![Value::Bool(true), Value::Null]))
        );
        for bad in ["k", "=x", ":=1", "k:=nope", "k:=18446744073709551615"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
