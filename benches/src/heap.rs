//! The heap that is measured on.
//!
//! A first touch of a page costs as much as computing a node or two, and the C library gives pages back as
//! soon as it can. So that this is not what is measured, a benchmark runs on a heap that keeps what it was
//! given once, and every row begins with a repetition that is not counted. Peaks of memory are taken in a
//! process with an ordinary heap.

use std::os::unix::process::CommandExt;
use std::process::Command;

use deriva::{Error, ErrorKind, Result};

use crate::measure::Sample;

const TUNABLES: &str = "GLIBC_TUNABLES";
const KEPT: &str = "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=4294967296:\
    glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456";

/// Starts this program again on a heap that keeps its pages, unless the user has set up one.
pub(crate) fn keep() {
    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut again = Command::new(program);
        again.args(std::env::args_os().skip(1)).env(TUNABLES, KEPT);
        eprintln!("the heap gives pages back: {}", again.exec());
    }
}

/// What this program measures with `--peak`, in a process of its own.
pub(crate) fn measured_apart(quick: bool) -> Result<Sample> {
    let program = std::env::current_exe().map_err(Error::io)?;
    let mut apart = Command::new(program);
    apart.arg("--peak").args(quick.then_some("--quick"));
    let output = apart.env_remove(TUNABLES).output().map_err(Error::io)?;
    serde_json::from_slice(&output.stdout).map_err(|source| {
        let what = "a process that was to measure memory did not";
        Error::new(ErrorKind::Internal, what)
            .with("said", String::from_utf8_lossy(&output.stderr))
            .caused_by(source)
    })
}
