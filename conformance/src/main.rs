//! The command `conformance`.

use std::process::ExitCode;

use clap::Parser;

/// Holds the stores of deriva to their promises.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: conformance::proof::Verb,
}

fn main() -> ExitCode {
    Arguments::parse().verb.run()
}
