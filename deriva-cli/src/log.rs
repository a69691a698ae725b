//! What is logged to stderr, and how.

use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::Args;
use deriva::authors::nearest;
use deriva::{Error, ErrorKind};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, format::FmtSpan};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::args::parsed;
use crate::term::{Style, note};

/// The variable that Rust programs read filters from.
const VARIABLE: &str = "RUST_LOG";
/// Filters, as words.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether lines come to stderr. Like the subscriber, which does not tell it apart from what others are told, it is the process's.
static IS_ON: AtomicBool = AtomicBool::new(false);

// No doc comment: it would become that of the command.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log to stderr: 'human' or 'json', a filter as 'debug' or 'deriva=trace', or both as 'json:debug'. The filter is
    /// else that of RUST_LOG, and info where that says nothing; RUST_LOG alone logs, too
    #[arg(long, global = true, value_name = "[FORMAT:]FILTER", value_parser = parsed::<Log>)]
    log: Option<Log>,
}

/// What is logged, as it was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Log {
    format: Format,
    filter: Option<Targets>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Human,
    Json,
}

impl FromStr for Log {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (format, filter) = match text.split_once(':') {
            Some((format, filter)) if format_of(format).is_some() => (format, Some(filter)),
            _ if format_of(text).is_some() => (text, None),
            _ => ("human", Some(text)),
        };
        Ok(Self {
            format: format_of(format).unwrap_or(Format::Human),
            filter: filter.map(strict).transpose()?,
        })
    }
}

fn format_of(word: &str) -> Option<Format> {
    match word {
        "human" => Some(Format::Human),
        "json" => Some(Format::Json),
        _ => None,
    }
}

/// A filter in which every word is a level: to others, a word that is none names a target, and nothing is logged for a
/// mistake.
fn strict(text: &str) -> Result<Targets, Error> {
    for part in text.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let what =
                "a log filter was expected: levels, or TARGET=LEVEL, with commas between them";
            let error = Error::new(ErrorKind::Invalid, what).with("part", part);
            return Err(match nearest(level, LEVELS) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("the levels are {}", LEVELS.join(", "))),
            });
        }
    }
    text.parse()
        .map_err(|source| Error::new(ErrorKind::Invalid, "this is no log filter").caused_by(source))
}

impl LogArgs {
    /// Logs from now on, where that was asked for, beside `others`, who see what their own filter lets through.
    pub(crate) fn begin<L>(&self, others: Option<L>)
    where
        L: Layer<Registry> + Send + Sync,
    {
        let log = self.chosen();
        if log.is_none() && others.is_none() {
            return;
        }
        let layer = log.map(|log| {
            let info = || Targets::new().with_default(LevelFilter::INFO);
            let filter = log.filter.unwrap_or_else(info);
            let most = most(&filter);
            IS_ON.store(most > LevelFilter::OFF, Relaxed);
            layer(log.format, most).with_filter(filter)
        });
        let subscriber = tracing_subscriber::registry().with(others).with(layer);
        if let Err(mistake) = subscriber.try_init() {
            note(format!("note: nothing is logged: {mistake}"));
        }
    }

    /// What is logged, by the call and the variable.
    fn chosen(&self) -> Option<Log> {
        let said = std::env::var(VARIABLE).unwrap_or_default();
        let said = match said.as_str() {
            "" => None,
            said => match said.parse::<Targets>() {
                Ok(filter) => Some(filter),
                Err(mistake) => {
                    note(format!(
                        "note: {VARIABLE} is no filter that deriva understands: {mistake}"
                    ));
                    None
                }
            },
        };
        match (&self.log, said) {
            (Some(log), said) => Some(Log {
                format: log.format,
                filter: log.filter.clone().or(said),
            }),
            (None, Some(filter)) => Some(Log {
                format: Format::Human,
                filter: Some(filter),
            }),
            (None, None) => None,
        }
    }
}

/// Whether anything is logged.
pub(crate) fn is_on() -> bool {
    IS_ON.load(Relaxed)
}

/// The most that a filter lets through.
fn most(filter: &Targets) -> LevelFilter {
    let levels = filter.iter().map(|(_, level)| level);
    let most = levels.chain(filter.default_level()).max();
    most.unwrap_or(LevelFilter::OFF)
}

fn layer<S>(format: Format, most: LevelFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Spans are told when they end, where more is asked for than a line for each request.
    let ends = match most > LevelFilter::INFO {
        true => FmtSpan::CLOSE,
        false => FmtSpan::NONE,
    };
    // A terminal that has gone is no reason to stop.
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_span_events(ends)
        .log_internal_errors(false);
    match format {
        Format::Human => layer.with_ansi(Style::stderr().is_coloured()).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Result<Log, Error> {
        text.parse()
    }

    #[test]
    fn a_format_a_filter_or_both() {
        let filter = |text: &str| Some(text.parse::<Targets>().unwrap());
        for (text, format, expected) in [
            ("human", Format::Human, None),
            ("json", Format::Json, None),
            ("debug", Format::Human, filter("debug")),
            (
                "json:deriva=trace,warn",
                Format::Json,
                filter("deriva=trace,warn"),
            ),
            ("human:off", Format::Human, filter("off")),
            ("a::b=info", Format::Human, filter("a::b=info")),
        ] {
            let log = log(text).unwrap();
            assert_eq!((log.format, log.filter), (format, expected), "{text}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_no_filter() {
        let error = log("deubg").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.advice(), Some("did you mean `debug`?"));
        for wrong in [
            "",
            "json:",
            "yaml:info",
            "deriva=",
            "deriva=loud",
            "info,,",
            "=",
            "human:human",
        ] {
            assert!(log(wrong).is_err(), "{wrong:?}");
        }
    }
}
