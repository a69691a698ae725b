//! Params: the small, typed values that a recipe carries beside its inputs.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// A param of a recipe.
///
/// Integers and floats are different values: `1` and `1.0` make different addresses. Floats must be
/// finite when they enter a recipe; `-0.0` and subnormals keep their bits. Text is kept as given,
/// without Unicode normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit signed integer.
    Int(i64),
    /// A finite 64-bit float.
    Float(f64),
    /// UTF-8 text.
    Text(String),
    /// Raw bytes.
    Bytes(Bytes),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// The type's name, as messages use it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$x:ident| $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($x: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    () => |_x| Self::Null;
    bool => |x| Self::Bool(x);
    i64 => |x| Self::Int(x);
    i32 => |x| Self::Int(x.into());
    u32 => |x| Self::Int(x.into());
    f64 => |x| Self::Float(x);
    &str => |x| Self::Text(x.to_owned());
    String => |x| Self::Text(x);
    Bytes => |x| Self::Bytes(x);
    Vec<Value> => |x| Self::List(x);
    BTreeMap<String, Value> => |x| Self::Map(x);
}

/// The params of a recipe: values by name. Their order does not matter.
///
/// The typed getters serve functions: each says in its error which param was wrong, what was
/// expected and what was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, Value>);

impl Params {
    /// No params.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a param, replacing one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds a param, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of `name`, where it is given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All params, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text under `name`, or `None` where it is not given.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another type.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.typed(name, "text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The integer under `name`, or `None` where it is not given.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another type.
    pub fn int(&self, name: &str) -> Result<Option<i64>> {
        self.typed(name, "int", |value| match value {
            Value::Int(int) => Some(*int),
            _ => None,
        })
    }

    /// The number under `name` as a float (an integer is taken too), or `None` where it is not given.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another type.
    pub fn float(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "number", |value| match value {
            Value::Float(float) => Some(*float),
            Value::Int(int) => Some(*int as f64),
            _ => None,
        })
    }

    /// The bool under `name`, or `None` where it is not given.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another type.
    pub fn bool(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "bool", |value| match value {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        })
    }

    /// The list under `name`, or `None` where it is not given.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another type.
    pub fn list(&self, name: &str) -> Result<Option<&[Value]>> {
        self.typed(name, "list", |value| match value {
            Value::List(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: &'static str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        pick(value).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "a param has the wrong type")
                .with("param", name)
                .with("expected", expected)
                .with("found", value.type_name())
        })
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getters_tell_absent_from_wrong() {
        let params = Params::new()
            .with("n", 3)
            .with("pattern", "x")
            .with("ratio", 0.5);
        assert_eq!(params.int("n").unwrap(), Some(3));
        assert_eq!(params.float("n").unwrap(), Some(3.0));
        assert_eq!(params.text("absent").unwrap(), None);
        let error = params.int("pattern").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid: a param has the wrong type (param=pattern; expected=int; found=text)"
        );
    }
}
