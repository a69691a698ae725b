//! `deriva root`.

use deriva::Deriva;
use deriva::api::{Error, ErrorKind};
use serde_json::json;

use crate::args::RootVerb;
use crate::exit::Outcome;
use crate::term::{Out, lines, plain, table};

/// Names addresses that are kept.
pub(crate) async fn root(deriva: &Deriva, verb: &RootVerb, out: &mut Out) -> Outcome {
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
