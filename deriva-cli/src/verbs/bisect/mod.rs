//! `deriva bisect`: the earliest recipes whose outputs differ.

mod between;
mod fresh;
mod told;

use clap::Args;
use deriva::stores::StoreUri;
use deriva::{AddrPrefix, CAddr, Deriva, ErrorKind};

use crate::args::{jobs, parsed};
use crate::exit::{Failure, Outcome, usage};
use crate::store::StoreArgs;
use crate::term::Out;
use between::between;
use fresh::anew;
use told::Bisected;

/// Find the earliest recipes whose outputs differ: between two stores, or between a store and computing anew
#[derive(Debug, Args)]
pub(crate) struct Bisect {
    /// A store, as sled:PATH
    #[arg(value_name = "STORE", value_parser = uri)]
    first: String,
    /// Another store; and the recipes that are compared, or the first digits of their addresses; default: those that
    /// roots name
    #[arg(value_name = "STORE|ADDR", value_parser = named)]
    rest: Vec<Named>,
    /// Compare with what the recipes give now; so it is where no other store is named
    #[arg(long)]
    fresh: bool,
    /// Recipes computed at a time; default: 1
    #[arg(long, short, value_name = "N", value_parser = jobs())]
    jobs: Option<u16>,
    /// Compute under the same conditions as ever; default: in other threads, with the inputs at other places in memory
    #[arg(long)]
    no_perturb: bool,
}

/// What is named after the first store.
#[derive(Clone, Debug)]
enum Named {
    Store(String),
    Addr(AddrPrefix),
}

fn uri(text: &str) -> Result<String, String> {
    parsed::<StoreUri>(text).map(|_| text.to_owned())
}

fn named(text: &str) -> Result<Named, String> {
    match text.contains(':') {
        true => uri(text).map(Named::Store),
        false => parsed(text).map(Named::Addr),
    }
}

impl Bisect {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store.only_here(
            "deriva bisect",
            "name its store, as `deriva bisect deriva://HOST:PORT`",
        )?;
        let (second, addrs) = match self.rest.split_first() {
            Some((Named::Store(second), addrs)) => (Some(second), addrs),
            _ => (None, self.rest.as_slice()),
        };
        if addrs.iter().any(|named| matches!(named, Named::Store(_))) {
            return Err(usage("two stores are compared, and they come first").into());
        }
        if self.fresh && second.is_some() {
            return Err(usage("a store is compared with another one, or with --fresh").into());
        }
        let first = store
            .existing_at(&self.first)
            .jobs(self.jobs)
            .built_with(|builder| builder.perturb(!self.no_perturb));
        first
            .work_here(async |first| {
                let targets = targets(first, addrs).await?;
                let Some(second) = second else {
                    let jobs = self.jobs.unwrap_or(1).into();
                    return answer(out, &anew(first, targets, jobs).await?);
                };
                let second = store.existing_at(second);
                let compared = second
                    .work_here(async |second| answer(out, &between(first, second, targets).await?));
                compared.await
            })
            .await
    }
}

fn answer(out: &mut Out, bisected: &Bisected) -> Outcome {
    out.answer(bisected)?;
    match bisected.differing {
        0 => Ok(()),
        _ => Err(Failure::Partly(ErrorKind::Nondeterministic)),
    }
}

async fn targets(deriva: &Deriva, named: &[Named]) -> Outcome<Vec<CAddr>> {
    let mut addrs = Vec::new();
    for named in named {
        if let Named::Addr(prefix) = named {
            addrs.push(deriva.find(prefix).await?);
        }
    }
    Ok(addrs)
}
