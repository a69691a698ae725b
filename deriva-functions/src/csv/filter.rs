//! `csv.filter`: the records whose field compares.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{Params, Result, Value};
use regex::bytes::Regex;

use super::exact::Exact;
use super::number::Number;
use super::{Edition, Output, Table, define, delimiter};
use crate::define::{Function, bad_value, choice, given, needed};
use crate::pattern::Patterns;

pub(super) fn function(edition: Edition) -> Result<Function> {
    let patterns = Patterns::default();
    define(
        "csv.filter",
        edition.describe(
            "Keeps the records whose field in one column compares with a value; version 2 compares exactly and refuses stray quotes.",
            "Keeps the records whose field in one column compares with a value.",
        ),
        vec![
            needed("column", "text", "The column's name."),
            needed(
                "op",
                "text",
                "`eq`, `ne`, `lt`, `le`, `gt`, `ge`, `contains` or `matches`.",
            ),
            needed(
                "value",
                "any",
                "A number, compared as a number (a field that is none only fits `ne`); or text, compared by bytes, for `contains` a part, for `matches` a regular expression.",
            ),
        ],
    )
    .version(
        edition.number(),
        move |params| settings(params, &patterns, edition),
        move |inputs, settings| filter(inputs, settings, edition),
    )
}

#[derive(Clone, Copy)]
enum Op {
    Order(fn(Ordering) -> bool),
    Contains,
    Matches,
}

enum Test {
    Number(Number, fn(Ordering) -> bool),
    /// A decimal number.
    Exact(String, fn(Ordering) -> bool),
    Text(Vec<u8>, fn(Ordering) -> bool),
    Pattern(Arc<Regex>),
}

impl Test {
    fn holds(&self, field: &[u8]) -> bool {
        match self {
            Self::Number(value, holds) => number_holds(
                Number::parse(field).map(|field| field.compare(*value)),
                *holds,
            ),
            Self::Exact(value, holds) => {
                let value = Exact::parse(value.as_bytes());
                let order = Exact::parse(field).zip(value).map(|(a, b)| a.compare(b));
                number_holds(order, *holds)
            }
            Self::Text(value, holds) => holds(field.cmp(value)),
            Self::Pattern(pattern) => pattern.is_match(field),
        }
    }
}

/// What holds of a field, by its order to the number; no number is different from every number, and in no order
/// to one.
fn number_holds(order: Option<Ordering>, holds: fn(Ordering) -> bool) -> bool {
    match order {
        Some(order) => holds(order),
        None => holds(Ordering::Less) && holds(Ordering::Greater),
    }
}

struct Settings {
    column: String,
    test: Test,
    delimiter: u8,
}

fn settings(params: &Params, patterns: &Patterns, edition: Edition) -> Result<Settings> {
    let known = [
        ("eq", Op::Order(Ordering::is_eq)),
        ("ne", Op::Order(Ordering::is_ne)),
        ("lt", Op::Order(Ordering::is_lt)),
        ("le", Op::Order(Ordering::is_le)),
        ("gt", Op::Order(Ordering::is_gt)),
        ("ge", Op::Order(Ordering::is_ge)),
        ("contains", Op::Contains),
        ("matches", Op::Matches),
    ];
    let op = given("op", choice(params, "op", &known)?)?;
    let test = match (op, given("value", params.get("value"))?) {
        (Op::Order(holds), Value::Int(int)) if edition == Edition::Second => {
            Test::Exact(int.to_string(), holds)
        }
        // By the shortest decimal that is this float, as people write it: 0.1 is the field `0.1`.
        (Op::Order(holds), Value::Float(float)) if edition == Edition::Second => {
            Test::Exact(float.to_string(), holds)
        }
        (Op::Order(holds), Value::Int(int)) => Test::Number(Number::Int(*int), holds),
        (Op::Order(holds), Value::Float(float)) => Test::Number(Number::Float(*float), holds),
        (Op::Order(holds), Value::Text(text)) => Test::Text(text.as_bytes().to_vec(), holds),
        (Op::Contains, Value::Text(text)) => {
            Test::Pattern(patterns.compile("value", &regex::escape(text))?)
        }
        (Op::Matches, Value::Text(text)) => Test::Pattern(patterns.compile("value", text)?),
        (Op::Order(_), other) => {
            return Err(bad_value("value", "a number or text", other.type_name()));
        }
        (Op::Contains | Op::Matches, other) => {
            return Err(bad_value("value", "text", other.type_name()));
        }
    };
    Ok(Settings {
        column: given("column", params.text("column")?)?.to_owned(),
        test,
        delimiter: delimiter(params)?,
    })
}

fn filter(inputs: &[Bytes], settings: Settings, edition: Edition) -> Result<Bytes> {
    let mut table = Table::open(&inputs[0], settings.delimiter, edition)?;
    let place = table.column("column", &settings.column)?;
    let mut out = Output::new(settings.delimiter);
    out.write(&table.header)?;
    while let Some(record) = table.next()? {
        if settings.test.holds(&record[place]) {
            out.write(record)?;
        }
    }
    out.finish()
}
