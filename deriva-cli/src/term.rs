//! What the command prints with: stdout for results, colours where a terminal shows them, tables.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Color, Style as Ansi};
use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::exit::{Failure, Outcome};
use deriva::api::{Error, ErrorKind};

/// Colours for one stream: on for a terminal, off where `NO_COLOR` is set or for a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// As stderr takes it.
    pub(crate) fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// As stdout takes it.
    pub(crate) fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// Without colours.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { colour: false }
    }

    fn of(terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: terminal && !set("NO_COLOR") && !dumb,
        }
    }

    /// For the head of an error.
    pub(crate) fn error(self, text: &str) -> String {
        self.paint(
            Ansi::new()
                .bold()
                .fg_color(Some(Color::Ansi(AnsiColor::Red))),
            text,
        )
    }

    /// For the next step, and names that matter.
    pub(crate) fn accent(self, text: &str) -> String {
        self.paint(
            Ansi::new()
                .bold()
                .fg_color(Some(Color::Ansi(AnsiColor::Cyan))),
            text,
        )
    }

    /// For success.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint(
            Ansi::new().fg_color(Some(Color::Ansi(AnsiColor::Green))),
            text,
        )
    }

    /// For what matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(Ansi::new().dimmed(), text)
    }

    fn paint(self, ansi: Ansi, text: &str) -> String {
        if self.colour {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Stdout: results and nothing else.
pub(crate) struct Out {
    stdout: BufWriter<io::Stdout>,
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 << 10, io::stdout()),
            json,
        }
    }

    /// Whether `--json` was given.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Outcome {
        writeln!(self.stdout, "{line}").map_err(broken)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.stdout.write_all(bytes).map_err(broken)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorKind::Internal, "a result could not be written as JSON")
                .caused_by(source)
        })?;
        self.line(text)
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.stdout.flush().map_err(broken)
    }
}

fn broken(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Error::io(error).with("file", "stdout").into(),
    }
}

/// Writes a line to stderr; that nobody reads it is no failure.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A table with these headings; columns of which `right` is true are numbers.
pub(crate) fn table<const N: usize>(heads: [(&str, bool); N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads.map(|(head, right)| align(Cell::new(head), right)));
    for (column, (_, right)) in table.column_iter_mut().zip(heads) {
        column.set_padding((0, 2));
        if right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn align(cell: Cell, right: bool) -> Cell {
    match right {
        true => cell.set_alignment(CellAlignment::Right),
        false => cell,
    }
}

/// A table as text without trailing blanks.
pub(crate) fn lines(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).to_string()
}

/// A duration for people, in the unit that fits.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.1} us", s * 1e6),
    }
}

/// A count with a word in singular or plural.
pub(crate) fn counted(n: u64, word: &str) -> String {
    match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}
