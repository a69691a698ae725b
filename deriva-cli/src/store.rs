//! Opening the store that a verb works on: made only for what fills it, and waited for where that was asked.

use std::time::Duration;

use deriva::Deriva;
use deriva::api::{Clock, Error, ErrorKind, StoreUri, SystemClock};

use crate::args::{Cli, RunArgs, Verb};
use crate::exit::Outcome;

/// Between two attempts to open a store that another process has.
const PAUSE: Duration = Duration::from_millis(20);

/// Opens the store of this call.
///
/// # Errors
/// `Invalid` for what is no URI of a store, `NotFound` where the verb only reads and nothing is there; what the store
/// says.
pub(crate) async fn open(cli: &Cli) -> Outcome<Deriva> {
    let uri: StoreUri = cli.store.parse()?;
    // Said before anything is looked for.
    deriva::stores().check(&uri)?;
    if !cli.verb.begins()
        && let Some(absent) = absent(&uri)
    {
        // What a run would do with a store that is yet to be made can be told.
        if matches!(cli.verb, Verb::Run(_)) {
            return attempt(cli, "memory:").await;
        }
        return Err(Error::new(ErrorKind::NotFound, "there is no store here")
            .with("store", absent)
            .hint("name another with --store or DERIVA_STORE; `deriva put` and `deriva run` begin one")
            .into());
    }
    let clock = SystemClock::new();
    let until = clock.now().saturating_add(cli.wait.unwrap_or_default());
    loop {
        match attempt(cli, &cli.store).await {
            Err(crate::exit::Failure::Error { error, .. }) if error.kind() == ErrorKind::Locked => {
                if clock.now() >= until {
                    let hint = match cli.wait {
                        Some(_) => "close the store in the other process, or wait longer",
                        None => "add --wait 30s to wait for it, or choose another store",
                    };
                    return Err(error.hint_instead(hint).into());
                }
                clock.sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

async fn attempt(cli: &Cli, store: &str) -> Outcome<Deriva> {
    let mut builder = deriva::builder().store(store);
    if let Verb::Run(RunArgs {
        jobs: Some(jobs), ..
    })
    | Verb::Explain {
        jobs: Some(jobs), ..
    } = &cli.verb
    {
        builder = builder.jobs((*jobs).into());
    }
    if let Some(memory) = cli.memory {
        builder = builder.memory(memory.as_u64());
    }
    let built = builder.build().await;
    // What is missing is said with the builder's methods, which this command's callers do not see.
    Ok(built.map_err(|error| match error.context("missing") {
        Some(_) => {
            error.hint_instead("name a store of blobs and recipes, as sled:PATH or redb:PATH")
        }
        None => error,
    })?)
}

/// That of the stores that are put together where nothing is. Copies are no loss: a fast store may be made anew.
fn absent(uri: &StoreUri) -> Option<&StoreUri> {
    if uri.is_stack() {
        let mut stores = uri.stores().filter(|(name, _)| *name != "fast");
        return stores.find_map(|(_, store)| absent(store));
    }
    let is_there = match std::fs::read_dir(uri.path()) {
        // What cannot be looked at is told by opening it.
        Err(error) => uri.path().is_empty() || error.kind() != std::io::ErrorKind::NotFound,
        Ok(mut entries) => entries.next().is_some(),
    };
    (!is_there).then_some(uri)
}
