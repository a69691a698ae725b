//! Typed reading of a parsed TOML document that collects mistakes instead of stopping at the first.

use std::collections::BTreeMap;
use std::ops::Range;

use deriva::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, suggest};

/// Text with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Its bytes in the file.
    pub(crate) at: Range<usize>,
}

/// One table of the file: keys are taken from it, and what is left at the end is unknown.
#[derive(Debug)]
pub(crate) struct Table<'a, 'i> {
    table: &'a DeTable<'i>,
    known: Vec<&'static str>,
    /// What the table is, for messages: "a step".
    what: &'static str,
    at: Range<usize>,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(crate) fn new(table: &'a DeTable<'i>, what: &'static str, at: Range<usize>) -> Self {
        Self {
            table,
            known: Vec::new(),
            what,
            at,
        }
    }

    /// The value under `key`, where there is one.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table
            .iter()
            .find(|(k, _)| k.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// The text under `key`.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Located<String>> {
        self.take(key)
            .and_then(|value| text(value, &format!("`{key}`"), mistakes))
    }

    /// The text under `key`, which must be there.
    pub(crate) fn required(
        &mut self,
        key: &'static str,
        example: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Located<String>> {
        if !self.table.keys().any(|k| k.get_ref() == key) {
            self.known.push(key);
            mistakes.push(
                Mistake::new(self.at.clone(), format!("{} needs `{key}`", self.what))
                    .help(format!("such as `{key} = {example}`")),
            );
            return None;
        }
        self.text(key, mistakes)
    }

    /// The list of texts under `key`; a single text counts as a list of one.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Located<Vec<Located<String>>>> {
        let value = self.take(key)?;
        let found = match value.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .filter_map(|item| text(item, &format!("each of `{key}`"), mistakes))
                .collect(),
            DeValue::String(_) => text(value, key, mistakes).into_iter().collect(),
            other => {
                mistakes.push(wrong(
                    value.span(),
                    &format!("`{key}`"),
                    "a list of texts",
                    other,
                ));
                return None;
            }
        };
        Some(Located {
            value: found,
            at: value.span(),
        })
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self, mistakes: &mut Vec<Mistake>) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let mut mistake =
                    Mistake::new(key.span(), format!("unknown key `{name}` in {}", self.what));
                mistake.help = suggest(name, self.known.iter().copied());
                mistakes.push(mistake);
            }
        }
    }
}

/// The entries of the table `value` in the order of the file.
pub(crate) fn entries<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    what: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(Located<String>, &'a Spanned<DeValue<'i>>)> {
    let DeValue::Table(table) = value.get_ref() else {
        mistakes.push(wrong(value.span(), what, "a table", value.get_ref()));
        return Vec::new();
    };
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let name = Located {
                value: key.get_ref().to_string(),
                at: key.span(),
            };
            (name, value)
        })
        .collect();
    entries.sort_by_key(|(name, _)| name.at.start);
    entries
}

/// A text value.
pub(crate) fn text(
    value: &Spanned<DeValue<'_>>,
    what: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<Located<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Located {
            value: text.to_string(),
            at: value.span(),
        }),
        other => {
            mistakes.push(wrong(value.span(), what, "text", other));
            None
        }
    }
}

/// An integer of at least `least`.
pub(crate) fn count(
    value: &Spanned<DeValue<'_>>,
    what: &str,
    least: usize,
    mistakes: &mut Vec<Mistake>,
) -> Option<usize> {
    let found = match value.get_ref() {
        DeValue::Integer(int) => usize::from_str_radix(int.as_str(), int.radix()).ok(),
        _ => None,
    };
    let found = found.filter(|n| *n >= least);
    if found.is_none() {
        mistakes.push(Mistake::new(
            value.span(),
            format!("{what} must be a whole number of {least} or more"),
        ));
    }
    found
}

/// A param: any TOML value but dates and floats that are not finite.
pub(crate) fn param(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Value> {
    let found = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(bool) => Value::Bool(*bool),
        DeValue::Integer(int) => {
            let Ok(int) = i64::from_str_radix(int.as_str(), int.radix()) else {
                mistakes.push(Mistake::new(
                    value.span(),
                    "an integer param has 64 bits and a sign",
                ));
                return None;
            };
            Value::Int(int)
        }
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => {
                mistakes.push(Mistake::new(
                    value.span(),
                    "a float param must be finite: not nan, not inf",
                ));
                return None;
            }
        },
        DeValue::Datetime(_) => {
            mistakes.push(
                Mistake::new(value.span(), "a param cannot be a date or a time")
                    .help("write it as text, in quotes"),
            );
            return None;
        }
        DeValue::Array(array) => {
            let items: Vec<_> = array.iter().map(|item| param(item, mistakes)).collect();
            Value::List(items.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let mut map = BTreeMap::new();
            for (key, item) in table {
                map.insert(key.get_ref().to_string(), param(item, mistakes)?);
            }
            Value::Map(map)
        }
    };
    Some(found)
}

/// A value that must be a table; one that is not counts as empty.
pub(crate) fn table_of<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    empty: &'a DeTable<'i>,
    what: &'static str,
    name: &Located<String>,
    mistakes: &mut Vec<Mistake>,
) -> Table<'a, 'i> {
    match value.get_ref() {
        DeValue::Table(table) => Table::new(table, what, name.at.clone()),
        other => {
            let message = format!("{what} must be a table, found {}", other.type_str());
            mistakes.push(Mistake::new(value.span(), message));
            Table::new(empty, what, name.at.clone())
        }
    }
}

fn wrong(at: Range<usize>, what: &str, expected: &str, found: &DeValue<'_>) -> Mistake {
    Mistake::new(
        at,
        format!("{what} must be {expected}, found {}", found.type_str()),
    )
}
