//! The `conformance` command: results on stdout, everything else on stderr.

mod args;
mod hunt;
mod scratch;
mod verbs;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use deriva_api::Error;

use args::{Cli, Verb};

fn main() -> ExitCode {
    let ended = match Cli::parse().verb {
        Verb::Check(args) => verbs::check(&args),
        Verb::Mutants { report } => hunt::mutants(report),
        Verb::Proof(verb) => return verb.run(),
        Verb::List { json } => verbs::list(json),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A terminal that has gone is no reason to fail again.
            let _ = std::io::stderr().write_all(describe(&error).as_bytes());
            ExitCode::from(2)
        }
    }
}

/// An error as people read it: what happened, where, why, and what to do.
fn describe(error: &Error) -> String {
    let mut text = format!("error: {}\n", error.message());
    for (key, value) in error.contexts() {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!("  cause: {cause}\n"));
        source = cause.source();
    }
    if let Some(hint) = error.advice() {
        text.push_str(&format!("next: {hint}\n"));
    }
    text
}
