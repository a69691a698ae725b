//! `csv.aggregate`: one record for each group.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use csv::ByteRecord;
use deriva_api::{Error, ErrorKind, Params, Result};

use super::exact::Exact;
use super::number::Number;
use super::{Edition, Output, Table, define, delimiter, line_at, names};
use crate::define::{Function, choice, given, needed, optional};
use crate::table::excerpt;

pub(super) fn function(edition: Edition) -> Result<Function> {
    define(
        "csv.aggregate",
        edition.describe(
            "Makes one record of each group of records, sorted by the groups' fields; version 2 is exact with larger numbers and refuses stray quotes.",
            "Makes one record of each group of records, sorted by the groups' fields.",
        ),
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
    .version(edition.number(), settings, move |inputs, settings| {
        match edition {
            Edition::First => aggregate::<Totals>(inputs, settings, edition),
            Edition::Second => aggregate::<ExactTotals>(inputs, settings, edition),
        }
    })
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

fn aggregate<T: Total>(inputs: &[Bytes], settings: Settings, edition: Edition) -> Result<Bytes> {
    let mut table = Table::open(&inputs[0], settings.delimiter, edition)?;
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

    let mut groups: BTreeMap<Vec<Vec<u8>>, T> = BTreeMap::new();
    let mut key: Vec<Vec<u8>> = vec![Vec::new(); group_by.len()];
    if group_by.is_empty() {
        groups.insert(Vec::new(), T::default());
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
                let added = totals.add(field);
                added.ok_or_else(|| no_number(field, record, &inputs[0], &settings))?;
            }
            _ => totals.count_one(),
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

fn no_number(field: &[u8], record: &ByteRecord, input: &[u8], settings: &Settings) -> Error {
    let line = record.position().map_or(0, |at| line_at(input, at));
    Error::new(ErrorKind::Invalid, "a field is no number")
        .with("line", line)
        .with("column", settings.column.as_deref().unwrap_or_default())
        .with("expected", "a finite decimal number")
        .with("found", excerpt(field))
}

/// What is kept of a group.
trait Total: Default {
    fn count_one(&mut self);

    /// Adds a field; `None` where it is no number.
    fn add(&mut self, field: &[u8]) -> Option<()>;

    fn result(&self, op: Op) -> Result<String>;
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

impl Total for Totals {
    fn count_one(&mut self) {
        self.count += 1;
    }

    fn add(&mut self, field: &[u8]) -> Option<()> {
        let number = Number::parse(field)?;
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
        Some(())
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
}

impl Totals {
    fn sum(&self) -> f64 {
        self.ints as f64 + self.floats.unwrap_or(0.0)
    }
}

/// As [`Totals`], from version 2 on: whole numbers of up to 38 digits are summed exactly, least and greatest
/// are found exactly and given as they were written.
#[derive(Default)]
struct ExactTotals {
    count: u64,
    ints: i128,
    /// Whether the whole numbers are more than can be summed.
    is_over: bool,
    floats: Option<f64>,
    min: Option<String>,
    max: Option<String>,
}

impl Total for ExactTotals {
    fn count_one(&mut self) {
        self.count += 1;
    }

    fn add(&mut self, field: &[u8]) -> Option<()> {
        let number = Exact::parse(field)?;
        self.count += 1;
        match number.as_int() {
            Some(int) => {
                let (ints, is_over) = self.ints.overflowing_add(int);
                (self.ints, self.is_over) = (ints, self.is_over || is_over);
            }
            None => self.floats = Some(self.floats.unwrap_or(0.0) + number.as_float()),
        }
        for (kept, replaces) in [
            (&mut self.min, Ordering::Less),
            (&mut self.max, Ordering::Greater),
        ] {
            let known = kept.as_ref().and_then(|kept| Exact::parse(kept.as_bytes()));
            if known.is_none_or(|known| number.compare(known) == replaces) {
                *kept = Some(number.text().to_owned());
            }
        }
        Some(())
    }

    fn result(&self, op: Op) -> Result<String> {
        match op {
            Op::Count => Ok(self.count.to_string()),
            Op::Min => Ok(self.min.clone().unwrap_or_default()),
            Op::Max => Ok(self.max.clone().unwrap_or_default()),
            Op::Mean if self.count == 0 => Ok(String::new()),
            Op::Sum | Op::Mean if self.is_over => Err(Error::new(
                ErrorKind::Invalid,
                "the whole numbers of a group add up to 2^127 or more",
            )),
            Op::Sum if self.floats.is_none() => Ok(self.ints.to_string()),
            Op::Sum => finite(self.sum()),
            Op::Mean => finite(self.sum() / self.count as f64),
        }
    }
}

impl ExactTotals {
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
