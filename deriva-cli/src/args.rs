//! The command line: what holds for every call. Each verb has its own part in its file.

use std::str::FromStr;

use clap::Parser;
use clap::builder::RangedI64ValueParser;
use deriva::{DerivaBuilder, Error};

use crate::exit;
use crate::log::LogArgs;
use crate::otlp::OtlpArgs;
use crate::store::StoreArgs;
use crate::verbs::Verb;

/// Stores bytes and the computations that make them, and computes what is missing, once
#[derive(Debug, Parser)]
#[command(name = "deriva", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) otlp: OtlpArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Parses a number of recipes at a time.
pub(crate) fn jobs() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=DerivaBuilder::MAX_JOBS as i64)
}

/// Parses a value of deriva's; clap puts it into a sentence that names it already.
pub(crate) fn parsed<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| {
        let next = error.advice().map(|advice| format!("\nnext: {advice}"));
        format!("{}{}", error.message(), next.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_verb_says_what_it_is_called() {
        for verb in ["status", "state-digest"] {
            let cli = Cli::try_parse_from(["deriva", verb]).unwrap();
            assert_eq!(cli.verb.name(), verb);
        }
    }

    #[test]
    fn the_command_line_is_sound_and_every_verb_says_what_it_does() {
        let command = Cli::command();
        command.clone().debug_assert();
        for verb in command.get_subcommands() {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
        }
        let about = command.get_about().map(ToString::to_string);
        assert!(about.is_some_and(|about| about.starts_with("Stores bytes")));
    }
}
