//! Whether the system lets this process start threads.

use std::sync::{Arc, RwLock};
use std::thread;

use deriva_api::{Error, ErrorKind, Result};

/// What the threads of a trial may use of the address space.
const STACK: usize = 1 << 20;

/// Starts `count` threads at once and ends them again. Where a limit on processes or on address space lets them
/// not start, some libraries wait for ever, or panic. Ask here before using one of them.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when not all of them could be started.
pub fn check_threads(count: usize) -> Result<()> {
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write();
    let mut started = Vec::with_capacity(count);
    let mut failed = None;
    for _ in 0..count {
        let gate = Arc::clone(&gate);
        // Stays until all have started.
        let wait = move || drop(gate.read());
        match thread::Builder::new().stack_size(STACK).spawn(wait) {
            Ok(thread) => started.push(thread),
            Err(source) => {
                failed = Some(source);
                break;
            }
        }
    }
    drop(closed);
    let enough = started.len();
    for thread in started {
        // They do nothing that could fail.
        let _ = thread.join();
    }
    match failed {
        None => Ok(()),
        Some(source) => Err(not_started(source)
            .with("needed", count)
            .with("started", enough)),
    }
}

/// The error of a thread that could not be started.
pub(crate) fn not_started(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "a thread could not be started")
        .caused_by(source)
        .hint(
            "allow more processes (`ulimit -u`, or the limit of the container), or more address space (`ulimit -v`)",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_start_and_end() {
        check_threads(0).unwrap();
        check_threads(4).unwrap();
    }
}
