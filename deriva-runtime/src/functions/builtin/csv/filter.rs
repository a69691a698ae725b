//! `csv.filter`: the records whose field compares.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{Params, Result, Value};
use regex::bytes::Regex;

use super::number::Number;
use super::{Output, Table, define, delimiter};
use crate::functions::builtin::define::{Function, bad_value, choice, given, needed};
use crate::functions::builtin::pattern::Patterns;

pub(super) fn function() -> Result<Function> {
    let patterns = Patterns::default();
    define(
        "csv.filter",
        "Keeps the records whose field in one column compares with a value.",
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
    .with(move |params| settings(params, &patterns), filter)
}

#[derive(Clone, Copy)]
enum Op {
    Order(fn(Ordering) -> bool),
    Contains,
    Matches,
}

enum Test {
    Number(Number, fn(Ordering) -> bool),
    Text(Vec<u8>, fn(Ordering) -> bool),
    Pattern(Arc<Regex>),
}

impl Test {
    fn holds(&self, field: &[u8]) -> bool {
        match self {
            Self::Number(value, holds) => match Number::parse(field) {
                Some(number) => holds(number.compare(*value)),
                // No number is different from every number, and in no order to one.
                None => holds(Ordering::Less) && holds(Ordering::Greater),
            },
            Self::Text(value, holds) => holds(field.cmp(value)),
            Self::Pattern(pattern) => pattern.is_match(field),
        }
    }
}

struct Settings {
    column: String,
    test: Test,
    delimiter: u8,
}

fn settings(params: &Params, patterns: &Patterns) -> Result<Settings> {
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

fn filter(inputs: &[Bytes], settings: Settings) -> Result<Bytes> {
    let mut table = Table::open(&inputs[0], settings.delimiter)?;
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
