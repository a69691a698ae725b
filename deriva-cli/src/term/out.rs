//! The two streams: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use deriva::api::{Error, ErrorKind};
use serde::Serialize;

use super::Style;
use crate::exit::Outcome;

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
