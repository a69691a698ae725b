//! `csv.*`: tables in CSV (RFC 4180) whose first record names the columns.
//!
//! Version 1 of each function takes quotes wherever they stand, as the library does; from version 2 on what a
//! quote must not do is refused (`quotes.rs`), and numbers are compared exactly (`exact.rs`).
//!
//! Fields are bytes in any encoding. Output has the input's delimiter, `\n` after each record, and
//! quotes only where they are needed.

mod aggregate;
mod exact;
mod filter;
mod number;
mod quotes;

use std::collections::HashSet;

use bytes::Bytes;
use csv::{ByteRecord, Position, Reader, ReaderBuilder, Writer, WriterBuilder};
use deriva_api::{Error, ErrorKind, ParamDoc, Params, Result, Value, Weight};

use super::Family;
use super::define::{Definition, bad_value, needed, optional};
use super::table::excerpt;
use deriva_api::Arity;
use deriva_api::nearest;

pub(super) fn functions() -> Family {
    let select_of = |edition: Edition| {
        define(
            "csv.select",
            edition.describe(
                "Keeps the named columns, in the order of their names; version 2 refuses stray quotes.",
                "Keeps the named columns, in the order of their names.",
            ),
            vec![needed("columns", "list", "Names of columns, at least one.")],
        )
        .version(edition.number(), selection, move |inputs, selection| {
            select(inputs, selection, edition)
        })
    };
    Edition::ALL
        .into_iter()
        .flat_map(|edition| {
            [
                select_of(edition),
                filter::function(edition),
                aggregate::function(edition),
            ]
        })
        .collect()
}

/// Which version of the functions, as all of them changed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edition {
    First,
    Second,
}

impl Edition {
    const ALL: [Self; 2] = [Self::First, Self::Second];

    fn number(self) -> &'static str {
        self.describe("1", "2")
    }

    fn describe(self, first: &'static str, second: &'static str) -> &'static str {
        match self {
            Self::First => first,
            Self::Second => second,
        }
    }
}

fn define(name: &'static str, description: &'static str, mut params: Vec<ParamDoc>) -> Definition {
    params.push(optional(
        "delimiter",
        "text",
        "What separates fields, one ASCII character; default `,`.",
    ));
    Definition {
        name,
        weight: Weight::Heavy,
        arity: Arity::Exactly(1),
        description,
        params,
    }
}

struct Selection {
    columns: Vec<String>,
    delimiter: u8,
}

fn selection(params: &Params) -> Result<Selection> {
    let columns = names(params, "columns")?;
    if columns.is_empty() {
        return Err(bad_value("columns", "at least one name", "an empty list"));
    }
    Ok(Selection {
        columns,
        delimiter: delimiter(params)?,
    })
}

fn select(inputs: &[Bytes], selection: Selection, edition: Edition) -> Result<Bytes> {
    let mut table = Table::open(&inputs[0], selection.delimiter, edition)?;
    let places = selection
        .columns
        .iter()
        .map(|name| table.column("columns", name))
        .collect::<Result<Vec<_>>>()?;
    let mut out = Output::new(selection.delimiter);
    out.write(selection.columns.iter().map(String::as_bytes))?;
    while let Some(record) = table.next()? {
        out.write(places.iter().map(|place| &record[*place]))?;
    }
    out.finish()
}

/// The delimiter param.
fn delimiter(params: &Params) -> Result<u8> {
    match params.text("delimiter")?.map(str::as_bytes) {
        None => Ok(b','),
        Some([byte]) if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        Some(other) => Err(bad_value(
            "delimiter",
            "one ASCII character that is no quote and ends no line",
            excerpt(other),
        )),
    }
}

/// The list of names under `param`; empty where it is not given.
fn names(params: &Params, param: &str) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    params
        .list(param)?
        .unwrap_or_default()
        .iter()
        .map(|value| match value {
            Value::Text(name) if seen.insert(name) => Ok(name.clone()),
            Value::Text(name) => Err(bad_value(param, "each name once", excerpt(name.as_bytes()))),
            other => Err(bad_value(param, "a list of text", other.type_name())),
        })
        .collect()
}

/// A table that is read record by record.
struct Table<'a> {
    input: &'a [u8],
    reader: Reader<&'a [u8]>,
    header: ByteRecord,
    record: ByteRecord,
}

impl<'a> Table<'a> {
    fn open(input: &'a [u8], delimiter: u8, edition: Edition) -> Result<Self> {
        if edition == Edition::Second {
            quotes::check(input, delimiter)?;
        }
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(input);
        let header = reader
            .byte_headers()
            .map_err(|error| refused(input, error))?
            .clone();
        Ok(Self {
            input,
            reader,
            header,
            record: ByteRecord::new(),
        })
    }

    /// The place of the column that `param` names; of columns with one name the first.
    fn column(&self, param: &str, name: &str) -> Result<usize> {
        let place = self
            .header
            .iter()
            .position(|column| column == name.as_bytes());
        place.ok_or_else(|| {
            let known: Vec<_> = self.header.iter().map(String::from_utf8_lossy).collect();
            let error = Error::new(ErrorKind::Invalid, "the table has no such column")
                .with("param", param)
                .with("expected", format_args!("one of {}", known.join(", ")))
                .with("found", name);
            match nearest(name, known.iter().map(|name| &**name)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }

    fn next(&mut self) -> Result<Option<&ByteRecord>> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(more) => Ok(more.then_some(&self.record)),
            Err(error) => Err(refused(self.input, error)),
        }
    }
}

/// The line of `input` on which the record at `position` begins, counted from 1. The reader's own
/// count does not know the line ends that stand before a record and are skipped.
fn line_at(input: &[u8], position: &Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let skipped = input.get(start..).unwrap_or_default().iter();
    let line_ends = skipped
        .take_while(|byte| b"\r\n".contains(byte))
        .filter(|byte| **byte == b'\n');
    position.line() + line_ends.count() as u64
}

/// A table that is written record by record.
struct Output(Writer<Vec<u8>>);

impl Output {
    fn new(delimiter: u8) -> Self {
        Self(
            WriterBuilder::new()
                .delimiter(delimiter)
                .from_writer(Vec::new()),
        )
    }

    fn write<T: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = T>) -> Result<()> {
        self.0.write_record(fields).map_err(unwritten)
    }

    fn finish(self) -> Result<Bytes> {
        let out = self.0.into_inner();
        out.map(Bytes::from)
            .map_err(|error| unwritten(error.into_error().into()))
    }
}

fn refused(input: &[u8], source: csv::Error) -> Error {
    let error = Error::new(ErrorKind::Invalid, "the input is no table in CSV");
    let error = match source.position() {
        Some(position) => error.with("line", line_at(input, position)),
        None => error,
    };
    let error = match source.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => error
            .with("expected", format_args!("{expected_len} fields"))
            .with("found", len),
        _ => error,
    };
    error.caused_by(source)
}

fn unwritten(source: csv::Error) -> Error {
    Error::new(ErrorKind::Internal, "a record could not be written").caused_by(source)
}
