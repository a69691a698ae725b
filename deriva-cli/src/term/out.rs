//! The two streams: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use deriva::{Error, ErrorKind};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::Style;
use crate::exit::Outcome;
use crate::log;

/// What a verb answers. It holds all that is shown of it and needs no store, so that it can be shown elsewhere than it
/// was made. Programs read it as JSON, people as text.
pub(crate) trait Answer: Serialize {
    /// Lines for people, without the end of the last one. Nothing is printed for an empty text.
    fn text(&self, style: Style) -> String;
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
    items: Vec<serde_json::Value>,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            stdout: BufWriter::with_capacity(64 << 10, io::stdout()),
            style: Style::stdout(),
            json,
            closed: false,
            items: Vec::new(),
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

    /// Writes an answer.
    pub(crate) fn answer(&mut self, answer: &impl Answer) -> Outcome {
        if self.json {
            return self.value(answer);
        }
        match answer.text(self.style).as_str() {
            "" => Ok(()),
            text => self.line(text),
        }
    }

    /// Writes one answer of many: people get its line at once, programs an array of all by [`end_items`](Self::end_items).
    /// A line is read back by others, so only a terminal is spared its control characters.
    pub(crate) fn item(&mut self, item: &impl Answer) -> Outcome {
        if self.json {
            self.items
                .push(serde_json::to_value(item).map_err(unwritable)?);
            return Ok(());
        }
        let line = item.text(self.style);
        if io::stdout().is_terminal() {
            return self.line(&line);
        }
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Ends the items.
    pub(crate) fn end_items(&mut self) -> Outcome {
        match self.json {
            true => {
                let items = std::mem::take(&mut self.items);
                self.value(&items)
            }
            false => Ok(()),
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        if self.closed {
            return Ok(());
        }
        let written = self.stdout.write_all(bytes);
        self.heard(written)
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&mut self) -> Outcome {
        if self.closed {
            return Ok(());
        }
        let flushed = self.stdout.flush();
        self.heard(flushed)
    }

    /// Control characters in lines for people are shown, not sent.
    fn line(&mut self, line: &str) -> Outcome {
        self.bytes(self.style.tame(line).as_bytes())?;
        self.bytes(b"\n")
    }

    /// One line of JSON.
    fn value(&mut self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(value).map_err(unwritable)?;
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
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

fn unwritable(source: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "a result could not be written as JSON").caused_by(source)
}

/// Writes lines to stderr; that nobody reads them is no failure.
pub(crate) fn note(lines: impl Display) {
    let lines = Style::stderr().tame(&lines.to_string());
    let _ = writeln!(io::stderr(), "{lines}");
}

/// A bar on stderr that moves by itself. It is hidden by itself where stderr is no terminal; and where it would run into
/// lines of the log.
pub(crate) fn bar() -> ProgressBar {
    if log::is_on() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
