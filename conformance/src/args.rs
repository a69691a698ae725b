//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

const EXIT: &str = "\
Exit codes:
  0  every promise is kept, or its capability absent and declared so
  1  a case failed, or a mutant survived
  2  usage: an unknown store, level, layer or case, a store that cannot be opened
130  interrupted";

/// Holds stores to the promises of their contracts, one named case each.
#[derive(Debug, Parser)]
#[command(name = "conformance", version, about, after_help = EXIT, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the cases on stores and report what held
    Check(CheckArgs),
    /// Run the cases on stores, executors and runtimes that are each broken in one way; tell which cases notice
    Mutants {
        /// How to print it
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        report: MutantsReport,
    },
    /// List the cases with their promises
    List {
        /// One line of JSON for each case
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Proof(conformance::proof::Verb),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Stores, separated by commas: `sled`, `redb?durability=buffered`, `redb+files` for the graph in
    /// redb and the blobs in files, `mutant:NAME` for a broken one; `all` for every combination that the suite knows. Default: one of
    /// each scheme that was compiled in
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) stores: Vec<String>,
    /// Levels, separated by commas
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', default_value = "all",
        value_parser = PossibleValuesParser::new(["core", "concurrency", "durability", "faults", "performance", "all"]))]
    pub(crate) level: Vec<String>,
    /// Layers over each store, separated by commas; `all` for every stack, alone and together
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "none",
        value_parser = PossibleValuesParser::new(conformance::stacks::names().chain(["all"])))]
    pub(crate) layers: Vec<String>,
    /// Only this case; may be given again
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) report: Report,
    /// Write the results to this file instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// The formats of `check`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// A matrix for the terminal
    #[default]
    Table,
    /// A line for each case and store
    Json,
    /// JUnit XML, for CI
    Junit,
    /// One page that needs nothing beside itself
    Html,
}

/// The formats of `mutants`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MutantsReport {
    /// A table for the terminal
    #[default]
    Table,
    /// A line of JSON for each mutant
    Json,
}
