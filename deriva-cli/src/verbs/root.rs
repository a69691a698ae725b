//! `deriva root`.

use clap::{Args, Subcommand};
use deriva::{AddrPrefix, CAddr, Error, ErrorKind, Result};
use serde::Serialize;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, lines, plain, table};

/// Name addresses that are kept
#[derive(Debug, Args)]
pub(crate) struct Root {
    #[command(subcommand)]
    verb: RootVerb,
}

#[derive(Debug, Subcommand)]
enum RootVerb {
    /// Name an address; moves the name if it is taken
    Set {
        /// The name
        name: String,
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
    },
    /// Remove a name
    Rm {
        /// The name
        name: String,
    },
    /// List names and addresses
    Ls,
}

impl Root {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |handle| match &self.verb {
                RootVerb::Set { name, addr } => {
                    let addr = handle.find(addr).await?;
                    handle.set_root(name, addr).await?;
                    let name = name.clone();
                    out.answer(&Named { addr, name })
                }
                RootVerb::Rm { name } => {
                    remove(handle, name).await?;
                    let name = name.clone();
                    out.answer(&Removed {
                        name,
                        removed: true,
                    })
                }
                RootVerb::Ls => {
                    let roots = handle.roots().await?.into_iter();
                    out.answer(&Roots(
                        roots.map(|(name, addr)| Named { addr, name }).collect(),
                    ))
                }
            })
            .await
    }
}

async fn remove(handle: &Handle, name: &str) -> Result<()> {
    match handle.remove_root(name).await? {
        true => Ok(()),
        false => Err(
            Error::new(ErrorKind::NotFound, "there is no root of this name")
                .with("name", name)
                .hint("`deriva root ls` lists the names"),
        ),
    }
}

/// A root that is set.
#[derive(Serialize)]
struct Named {
    addr: CAddr,
    name: String,
}

impl Answer for Named {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

/// A root that is gone.
#[derive(Serialize)]
struct Removed {
    name: String,
    removed: bool,
}

impl Answer for Removed {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

/// All roots.
#[derive(Serialize)]
struct Roots(Vec<Named>);

impl Answer for Roots {
    fn text(&self, _: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut rows = table([("address", false), ("name", false)]);
        for Named { addr, name } in &self.0 {
            rows.add_row([addr.to_string(), plain(name)]);
        }
        lines(&rows)
    }
}
