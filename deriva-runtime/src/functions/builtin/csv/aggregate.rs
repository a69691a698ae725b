//! `csv.aggregate`: one record for each group.

use std::collections::BTreeMap;

use bytes::Bytes;
use csv::ByteRecord;
use deriva_api::{Error, ErrorKind, Params, Result};

use super::number::Number;
use super::{Output, Table, define, delimiter, line_at, names};
use crate::functions::builtin::define::{Function, choice, given, needed, optional};
use crate::functions::builtin::table::excerpt;

pub(super) fn function() -> Result<Function> {
    define(
        "csv.aggregate",
        "Makes one record of each group of records, sorted by the groups' fields.",
        vec![
            optional(
                "group_by",
                "list",
                "Columns whose equal fields make a group; default none: one group of all records.",
            ),
            needed(
                "op",
                "text",
                "`sum`, `count`, `min`, `max` or `mean`; the result's column is named `op_column`, such as `sum_price`.",
            ),
            optional(
                "column",
                "text",
                "The column that is aggregated, its empty fields left out; only `count` goes without: it then counts records, in the column `count`.",
            ),
        ],
    )
    .with(settings, aggregate)
}

#[derive(Clone, Copy, PartialEq)]
enum Op {
    Sum,
    Count,
    Min,
    Max,
    Mean,
}

impl Op {
    const ALL: [(&'static str, Self); 5] = [
        ("sum", Self::Sum),
        ("count", Self::Count),
        ("min", Self::Min),
        ("max", Self::Max),
        ("mean", Self::Mean),
    ];
}

struct Settings {
    group_by: Vec<String>,
    op: Op,
    column: Option<String>,
    delimiter: u8,
}

fn settings(params: &Params) -> Result<Settings> {
    let op = given("op", choice(params, "op", &Op::ALL)?)?;
    let column = params.text("column")?.map(str::to_owned);
    Ok(Settings {
        group_by: names(params, "group_by")?,
        op,
        column: match op {
            Op::Count => column,
            _ => Some(given("column", column)?),
        },
        delimiter: delimiter(params)?,
    })
}

fn aggregate(inputs: &[Bytes], settings: Settings) -> Result<Bytes> {
    let mut table = Table::open(&inputs[0], settings.delimiter)?;
    let group_by = settings
        .group_by
        .iter()
        .map(|name| table.column("group_by", name))
        .collect::<Result<Vec<_>>>()?;
    let column = settings
        .column
        .as_ref()
        .map(|name| table.column("column", name))
        .transpose()?;

    let mut groups: BTreeMap<Vec<Vec<u8>>, Totals> = BTreeMap::new();
    let mut key: Vec<Vec<u8>> = vec![Vec::new(); group_by.len()];
    if group_by.is_empty() {
        groups.insert(Vec::new(), Totals::default());
    }
    while let Some(record) = table.next()? {
        for (part, place) in key.iter_mut().zip(&group_by) {
            part.clear();
            part.extend_from_slice(&record[*place]);
        }
        let totals = match groups.get_mut(&key) {
            Some(totals) => totals,
            None => groups.entry(key.clone()).or_default(),
        };
        match column.map(|place| &record[place]) {
            Some([]) => {}
            Some(field) if settings.op != Op::Count => {
                totals.add(number(field, record, &inputs[0], &settings)?)
            }
            _ => totals.count += 1,
        }
    }

    let mut out = Output::new(settings.delimiter);
    let result = result_name(&settings);
    out.write(settings.group_by.iter().chain([&result]))?;
    for (key, totals) in &groups {
        let result = totals.result(settings.op)?.into_bytes();
        out.write(key.iter().chain([&result]))?;
    }
    out.finish()
}

fn result_name(settings: &Settings) -> String {
    let named = Op::ALL.iter().find(|(_, op)| *op == settings.op);
    let name = named.map_or("", |(name, _)| name);
    match &settings.column {
        Some(column) => format!("{name}_{column}"),
        None => name.to_owned(),
    }
}

fn number(field: &[u8], record: &ByteRecord, input: &[u8], settings: &Settings) -> Result<Number> {
    Number::parse(field).ok_or_else(|| {
        let line = record.position().map_or(0, |at| line_at(input, at));
        Error::new(ErrorKind::Invalid, "a field is no number")
            .with("line", line)
            .with("column", settings.column.as_deref().unwrap_or_default())
            .with("expected", "a finite decimal number")
            .with("found", excerpt(field))
    })
}

/// What is kept of a group's numbers. Whole numbers are summed apart, exactly; floats in the order of
/// the records, so that the rounding is always the same.
#[derive(Default)]
struct Totals {
    count: u64,
    ints: i128,
    floats: Option<f64>,
    min: Option<Number>,
    max: Option<Number>,
}

impl Totals {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Int(int) => self.ints += i128::from(int),
            Number::Float(float) => self.floats = Some(self.floats.unwrap_or(0.0) + float),
        }
        if self.min.is_none_or(|min| number.compare(min).is_lt()) {
            self.min = Some(number);
        }
        if self.max.is_none_or(|max| number.compare(max).is_gt()) {
            self.max = Some(number);
        }
    }

    fn result(&self, op: Op) -> Result<String> {
        let number = |number: Option<Number>| number.map_or_else(String::new, |n| n.to_string());
        match op {
            Op::Count => Ok(self.count.to_string()),
            Op::Min => Ok(number(self.min)),
            Op::Max => Ok(number(self.max)),
            Op::Sum if self.floats.is_none() => Ok(self.ints.to_string()),
            Op::Sum => finite(self.sum()),
            Op::Mean if self.count == 0 => Ok(String::new()),
            Op::Mean => finite(self.sum() / self.count as f64),
        }
    }

    fn sum(&self) -> f64 {
        self.ints as f64 + self.floats.unwrap_or(0.0)
    }
}

fn finite(float: f64) -> Result<String> {
    match float.is_finite() {
        true => Ok(float.to_string()),
        false => Err(Error::new(
            ErrorKind::Invalid,
            "the numbers of a group add up to more than a float can be",
        )),
    }
}
