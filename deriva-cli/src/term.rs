//! What the command prints with: stdout for results, colours where a terminal shows them, tables.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Color, Style as Ansi};
use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::exit::Outcome;
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

    /// Lines without control characters, but for line ends, tabs and the colours of this stream.
    pub(crate) fn tame(self, text: &str) -> String {
        let unwanted = |c: char| is_control(c) && !matches!(c, '\n' | '\t');
        if !self.colour {
            return shown(text, unwanted);
        }
        let mut parts = text.split('\u{1b}');
        let mut out = shown(parts.next().unwrap_or_default(), unwanted);
        for part in parts {
            let colours = part.strip_prefix('[').is_some_and(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            });
            out.push_str(if colours { "\u{1b}" } else { "\\u{1b}" });
            out.push_str(&shown(part, unwanted));
        }
        out
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
///
/// A reader that goes away, as `head` does, ends the report and not the work: what is written afterwards goes
/// nowhere.
pub(crate) struct Out {
    stdout: BufWriter<io::Stdout>,
    style: Style,
    json: bool,
    closed: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 << 10, io::stdout()),
            style: Style::stdout(),
            json,
            closed: false,
        }
    }

    /// Whether `--json` was given.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether nobody reads any more.
    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    /// Writes lines for people: control characters in them are shown, not sent.
    pub(crate) fn line(&mut self, line: impl Display) -> Outcome {
        let line = format!("{}\n", self.style.tame(&line.to_string()));
        self.bytes(line.as_bytes())
    }

    /// Writes a line that others read back; only a terminal is spared its control characters.
    pub(crate) fn exact_line(&mut self, line: &str) -> Outcome {
        if io::stdout().is_terminal() {
            return self.line(line);
        }
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        if self.closed {
            return Ok(());
        }
        let written = self.stdout.write_all(bytes);
        self.heard(written)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorKind::Internal, "a result could not be written as JSON")
                .caused_by(source)
        })?;
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&mut self) -> Outcome {
        if self.closed {
            return Ok(());
        }
        let flushed = self.stdout.flush();
        self.heard(flushed)
    }

    fn heard(&mut self, written: io::Result<()>) -> Outcome {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written.map_err(|error| Error::io(error).with("file", "stdout").into()),
        }
    }
}

/// Writes lines to stderr; that nobody reads them is no failure.
pub(crate) fn note(line: impl Display) {
    let line = Style::stderr().tame(&line.to_string());
    let _ = writeln!(io::stderr(), "{line}");
}

/// A text that others chose, on one line: control characters, and those that turn the direction of text, are
/// shown as in a Rust string.
pub(crate) fn plain(text: &str) -> String {
    shown(text, is_control)
}

fn shown(text: &str, hide: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match hide(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[2J\nb\u{9b}\u{202e}"),
            "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}"
        );
        assert_eq!(plain("h\u{e9} \\"), "h\u{e9} \\");
        let (plain, colour) = (Style::plain(), Style { colour: true });
        assert_eq!(plain.tame("a\n\t\u{1b}[1mb\r"), "a\n\t\\u{1b}[1mb\\r");
        let text = format!("{}\u{1b}]0;x\u{7}\u{1b}[2J", colour.error("e"));
        let told = colour.tame(&text);
        assert!(told.starts_with(&colour.error("e")), "{told:?}");
        assert!(told.ends_with("\\u{1b}]0;x\\u{7}\\u{1b}[2J"), "{told:?}");
    }
}
