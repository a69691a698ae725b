//! `deriva get`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use deriva::api::{AddrPrefix, CAddr};
use deriva::{Deriva, Timeline};
use serde_json::json;

use crate::args::parsed;
use crate::exit::{self, Failure, Outcome, usage};
use crate::files;
use crate::store::StoreArgs;
use crate::term::Out;

/// Print the bytes of an address, computing what is missing
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
    /// Write to this file, which appears complete or not at all
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write what ran when to this file, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    timeline: Option<PathBuf>,
}

impl Get {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| {
            let addr = deriva.find(&self.addr).await?;
            let got = async {
                if let Some(path) = &self.timeline {
                    timed(deriva, addr, path).await?;
                }
                get(deriva, addr, self.output.as_deref(), out).await
            };
            with_path(deriva, got.await).await
        };
        store.existing().work(work).await
    }
}

/// Writes the bytes of an address to stdout or to a file.
async fn get(deriva: &Deriva, addr: CAddr, output: Option<&Path>, out: &mut Out) -> Outcome {
    if let Some(path) = output {
        let (stat, written) = files::write(deriva, addr, path).await?;
        return match out.json() {
            true => out.value(&json!({
                "addr": stat.addr, "path": path.display().to_string(), "bytes": stat.len, "written": written,
            })),
            false => Ok(()),
        };
    }
    if out.json() {
        return Err(
            usage("`get --json` describes a file, and stdout takes the bytes")
                .hint("add -o FILE, or leave --json away")
                .into(),
        );
    }
    let mut reader = deriva.open(addr).await?;
    while let Some(chunk) = reader.next_chunk().await? {
        out.bytes(&chunk)?;
        if out.closed() {
            break;
        }
    }
    out.flush()
}

/// Makes the bytes of an address available, and writes to a file what ran when; also where it failed.
async fn timed(deriva: &Deriva, addr: CAddr, path: &Path) -> Outcome {
    let timeline = Timeline::new();
    let done = deriva.materialize(addr).timeline(timeline.clone()).await;
    files::write_timeline(path, &timeline)?;
    done?;
    Ok(())
}

/// Adds the path with the names of functions to a failure that has one.
async fn with_path(deriva: &Deriva, outcome: Outcome) -> Outcome {
    match outcome {
        Err(Failure::Error { error, .. }) => {
            let path = exit::path_lines(&error, &**deriva.dag(), |_| None).await;
            Err(Failure::Error { error, path })
        }
        other => other,
    }
}
