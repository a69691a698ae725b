//! `deriva get`.

use std::path::Path;

use deriva::api::CAddr;
use deriva::{Deriva, Timeline};
use serde_json::json;

use crate::exit::{self, Failure, Outcome};
use crate::files;
use crate::term::Out;

/// Writes the bytes of an address to stdout or to a file.
pub(crate) async fn get(
    deriva: &Deriva,
    addr: CAddr,
    output: Option<&Path>,
    out: &mut Out,
) -> Outcome {
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
            crate::usage("`get --json` describes a file, and stdout takes the bytes")
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
pub(crate) async fn timed(deriva: &Deriva, addr: CAddr, path: &Path) -> Outcome {
    let timeline = Timeline::new();
    let done = deriva.materialize(addr).timeline(timeline.clone()).await;
    files::write_timeline(path, &timeline)?;
    done?;
    Ok(())
}

/// Adds the path with the names of functions to a failure that has one.
pub(super) async fn with_path(deriva: &Deriva, outcome: Outcome) -> Outcome {
    match outcome {
        Err(Failure::Error { error, .. }) => {
            let path = exit::path_lines(&error, &**deriva.dag(), |_| None).await;
            Err(Failure::Error { error, path })
        }
        other => other,
    }
}
