//! The `deriva` command: results on stdout, everything else on stderr.
//!
//! `args` says what can be asked, `verbs` do it, `exit` tells how it ended. The command holds
//! no logic of storage or computation: that is the `deriva` crate.

mod args;
mod exit;
mod files;
mod graph;
mod param;
mod pipeline;
mod store;
mod term;
mod verbs;
mod walk;

use std::process::ExitCode;

use clap::Parser;
use deriva::Deriva;
use deriva::api::{Error, ErrorKind};
use tokio::runtime::Runtime;

use args::{Cli, Verb};
use exit::{Failure, Outcome};
use term::{Out, Style, note};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let style = Style::stderr();
    let mut out = Out::new(cli.json);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::from(error);
            failure.report(style);
            return ExitCode::from(failure.code());
        }
    };
    let ended = runtime.block_on(dispatch(&cli, &mut out));
    let ended = ended.and_then(|()| out.flush());
    let code = match &ended {
        Ok(()) => 0,
        Err(failure) => {
            // What was printed before the failure is a result too.
            let _ = out.flush();
            failure.report(style);
            failure.code()
        }
    };
    // Blocking reads that nobody waits for any more must not hold up the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}

fn runtime() -> Result<Runtime, Error> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // Where it cannot start its threads, tokio panics. One is for blocking calls.
    deriva::backends::check_threads(workers + 1)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|source| Error::io(source).with("part", "threads"))
}

async fn dispatch(cli: &Cli, out: &mut Out) -> Outcome {
    match &cli.verb {
        Verb::Functions => verbs::functions::functions(out),
        Verb::Completions { shell } => verbs::completions::completions(*shell, out),
        Verb::Man => verbs::man::man(out),
        // A pipeline is checked before a store is opened, or made, for it.
        Verb::Run(args) => {
            let pipeline = verbs::run::load(&args.file)?;
            let deriva = store::open(cli).await?;
            let work = verbs::run::run(&deriva, &cli.store, pipeline, args, out);
            interruptible(&deriva, work, || {
                Some("run the same command again: what was computed is kept".to_owned())
            })
            .await
        }
        Verb::Scrub(args) => {
            let deriva = store::open(cli).await?;
            let reached = verbs::scrub::Reached::default();
            let work = verbs::scrub::scrub(&deriva, args, &reached, out);
            interruptible(&deriva, work, || reached.next()).await
        }
        verb => {
            let deriva = store::open(cli).await?;
            interruptible(&deriva, verbs::perform(&deriva, verb, out), || None).await
        }
    }
}

/// Does `work` until it is done or a signal comes. Giving it up cancels what is under way; what was
/// acknowledged stays. In both cases everything is flushed.
async fn interruptible(
    deriva: &Deriva,
    work: impl Future<Output = Outcome>,
    next: impl FnOnce() -> Option<String>,
) -> Outcome {
    let ended = tokio::select! {
        ended = work => Some(ended),
        () = interrupted() => None,
    };
    let Some(ended) = ended else {
        // A second signal means now.
        let flushed = tokio::select! {
            flushed = deriva.flush() => flushed,
            () = interrupted() => Ok(()),
        };
        note(format!("\n{}", Style::stderr().accent("interrupted")));
        if let Err(error) = flushed {
            Failure::from(error).report(Style::stderr());
        }
        if let Some(next) = next() {
            note(format!("{} {next}", Style::stderr().accent("next:")));
        }
        // Functions cannot be stopped from outside; their threads end with the process.
        std::process::exit(exit::INTERRUPTED.into());
    };
    let flushed = deriva.flush().await;
    ended?;
    Ok(flushed?)
}

#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler the signals end the process themselves.
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An error in how the command was called.
fn usage(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
