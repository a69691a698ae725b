//! `deriva root`.

use clap::{Args, Subcommand};
use deriva::Deriva;
use deriva::api::{AddrPrefix, Error, ErrorKind};
use serde_json::json;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Out, lines, plain, table};

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
        let work = async |deriva: &Deriva| root(deriva, &self.verb, out).await;
        store.existing().work(work).await
    }
}

async fn root(deriva: &Deriva, verb: &RootVerb, out: &mut Out) -> Outcome {
    match verb {
        RootVerb::Set { name, addr } => {
            let addr = deriva.find(addr).await?;
            deriva.set_root(name, addr).await?;
            match out.json() {
                true => out.value(&json!({ "name": name, "addr": addr })),
                false => Ok(()),
            }
        }
        RootVerb::Rm { name } => {
            if !deriva.remove_root(name).await? {
                let error = Error::new(ErrorKind::NotFound, "there is no root of this name")
                    .with("name", name)
                    .hint("`deriva root ls` lists the names");
                return Err(error.into());
            }
            match out.json() {
                true => out.value(&json!({ "name": name, "removed": true })),
                false => Ok(()),
            }
        }
        RootVerb::Ls => {
            let roots = deriva.roots().await?;
            if out.json() {
                let roots: Vec<_> = roots
                    .iter()
                    .map(|(name, addr)| json!({ "name": name, "addr": addr }))
                    .collect();
                return out.value(&roots);
            }
            if roots.is_empty() {
                return Ok(());
            }
            let mut rows = table([("address", false), ("name", false)]);
            for (name, addr) in roots {
                rows.add_row([addr.to_string(), plain(&name)]);
            }
            out.line(lines(&rows))
        }
    }
}
