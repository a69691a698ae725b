//! `deriva get`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use deriva::events::Timeline;
use deriva::{AddrPrefix, CAddr, Deriva};
use serde::Serialize;

use crate::args::parsed;
use crate::exit::{self, Failure, Outcome, usage};
use crate::files;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

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
        store
            .existing()
            .work(async |deriva| {
                let addr = deriva.find(&self.addr).await?;
                with_path(deriva, self.get(deriva, addr, out).await).await
            })
            .await
    }

    async fn get(&self, deriva: &Deriva, addr: CAddr, out: &mut Out) -> Outcome {
        if let Some(path) = &self.timeline {
            timed(deriva, addr, path).await?;
        }
        match &self.output {
            Some(path) => {
                let (stat, written) = files::write(deriva, addr, path).await?;
                out.answer(&Written {
                    addr: stat.addr,
                    bytes: stat.len,
                    path: path.display().to_string(),
                    written,
                })
            }
            None if out.json() => Err(usage(
                "`get --json` describes a file, and stdout takes the bytes",
            )
            .hint("add -o FILE, or leave --json away")
            .into()),
            None => print(deriva, addr, out).await,
        }
    }
}

/// A file with the bytes of an address.
#[derive(Serialize)]
struct Written {
    addr: CAddr,
    bytes: u64,
    path: String,
    /// Whether it did not hold them already.
    written: bool,
}

impl Answer for Written {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

async fn print(deriva: &Deriva, addr: CAddr, out: &mut Out) -> Outcome {
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
