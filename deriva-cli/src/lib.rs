//! The `deriva` command: results on stdout, everything else on stderr.
//!
//! `verbs` says what can be asked and does it, on what `store` opens; `term` prints, `exit` tells how it ended.
//! The command holds no logic of storage or computation: that is the `deriva` crate.
//!
//! It is a library for the sake of `foreign`, which tests from outside reach; nothing else is promised to anybody.

mod args;
mod exit;
mod files;
#[doc(hidden)]
pub mod foreign;
mod handle;
mod interrupt;
mod log;
mod metrics;
mod otlp;
mod param;
mod pipeline;
mod store;
mod term;
mod verbs;
mod walk;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use deriva::Error;
use tokio::runtime::Runtime;
use tracing::Instrument;

use args::Cli;
use exit::Failure;
use term::Out;

/// Runs the command with the arguments of this process, and answers with the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(refused(error)),
    };
    let code = runtime.block_on(perform(cli, &matches));
    // Blocking reads that nobody waits for any more must not hold up the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Performs the verb, and answers with the exit code.
async fn perform(mut cli: Cli, matches: &ArgMatches) -> u8 {
    if let Err(failure) = cli.store.choose(matches) {
        failure.report();
        return failure.code();
    }
    let sending = match cli.otlp.begin() {
        Ok(sending) => sending,
        Err(error) => return refused(error),
    };
    cli.log.begin(sending.layer());
    let span = sending.span(&cli.verb.name());
    cli.store.sending = sending.clone();
    let mut out = Out::new(cli.json);
    let ended = cli.verb.run(&cli.store, &mut out).instrument(span).await;
    let ended = ended.and_then(|()| out.flush());
    let (code, kind) = match &ended {
        Ok(()) => (0, None),
        Err(failure) => {
            // What was printed before the failure is a result too.
            let _ = out.flush();
            failure.report();
            (failure.code(), Some(failure.kind()))
        }
    };
    sending.end(code, kind).await;
    code
}

/// Tells why nothing was begun.
fn refused(error: Error) -> u8 {
    let failure = Failure::from(error);
    failure.report();
    failure.code()
}

fn runtime() -> Result<Runtime, Error> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // Where it cannot start its threads, tokio panics. One is for blocking calls.
    deriva::stores::check_threads(workers + 1)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|source| Error::io(source).with("part", "threads"))
}
