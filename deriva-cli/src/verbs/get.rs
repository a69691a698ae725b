//! `deriva get`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use deriva::events::Timeline;
use deriva::{AddrPrefix, Blob, CAddr};
use serde::Serialize;

use super::checks::VerifyArgs;
use super::request::RequestArgs;
use crate::args::parsed;
use crate::exit::{self, Failure, Outcome, usage};
use crate::files::{self, Pieces};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, note};

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
    /// Write what was counted to this file at the end, for Prometheus (its text format)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    metrics: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    verify: VerifyArgs,
}

impl Get {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .not_there(self.verify.not_there())
            .not_there([("--timeline", self.timeline.is_some())])
            .built_with(|builder| self.verify.build(builder))
            .metrics(self.metrics.as_deref())
            .work(async |handle| {
                let addr = handle.find(&self.addr).await?;
                with_path(handle, self.get(handle, addr, out).await).await
            })
            .await
    }

    async fn get(&self, handle: &Handle, addr: CAddr, out: &mut Out) -> Outcome {
        if out.json() && self.output.is_none() {
            return Err(
                usage("`get --json` describes a file, and stdout takes the bytes")
                    .hint("add -o FILE, or leave --json away")
                    .into(),
            );
        }
        // A mere read does without a request of its own.
        let says_more =
            self.timeline.is_some() || self.verify.is_given() || self.request.is_given();
        let made = match says_more {
            true => self.make(handle, addr).await?,
            false => Made::default(),
        };
        let pieces = match made.held {
            Some(blob) => Pieces::Held(blob),
            None => Pieces::Stored(handle.open(addr).await?),
        };
        let doubted = made.doubted;
        if doubted {
            note(
                "note: these bytes are doubted: runs of what made them gave different outputs (`deriva ledger ls`)",
            );
        }
        match &self.output {
            Some(path) => {
                let (stat, written) = files::write(pieces, path).await?;
                out.answer(&Written {
                    addr: stat.addr,
                    bytes: stat.len,
                    path: path.display().to_string(),
                    written,
                    doubted,
                })
            }
            None => print(pieces, out).await,
        }
    }

    /// Makes the bytes of an address available, and writes to a file what ran when; also where it failed.
    async fn make(&self, handle: &Handle, addr: CAddr) -> Outcome<Made> {
        let request = self.verify.request(handle.materialize(addr));
        let mut request = self.request.request(request);
        let timeline = self.timeline.as_ref().map(|path| (path, Timeline::new()));
        if let Some((_, timeline)) = &timeline {
            request = request.timeline(timeline.clone());
        }
        let done = request.await;
        if let Some((path, timeline)) = &timeline {
            files::write_timeline(path, timeline)?;
        }
        let done = done?;
        Ok(Made {
            doubted: !done.doubted.is_empty(),
            held: done.held.into_iter().next().flatten(),
        })
    }
}

/// What a request made available.
#[derive(Default)]
struct Made {
    /// The bytes, where they are in hand: always, where no store has them.
    held: Option<Blob>,
    /// Whether others may come of it the next time.
    doubted: bool,
}

/// A file with the bytes of an address.
#[derive(Serialize)]
struct Written {
    addr: CAddr,
    bytes: u64,
    path: String,
    /// Whether it did not hold them already.
    written: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
}

impl Answer for Written {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

async fn print(mut pieces: Pieces, out: &mut Out) -> Outcome {
    while let Some(chunk) = pieces.next_chunk().await? {
        out.bytes(&chunk)?;
        if out.closed() {
            break;
        }
    }
    out.flush()
}

/// Adds the path with the names of functions to a failure that has one.
async fn with_path(handle: &Handle, outcome: Outcome) -> Outcome {
    match outcome {
        Err(Failure::Error { error, .. }) => {
            let path = exit::path_lines(&error, &*handle.dag(), |_| None).await;
            Err(Failure::Error { error, path })
        }
        other => other,
    }
}
