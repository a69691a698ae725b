//! Other conditions for a function that is run again, none of which a deterministic one can notice.
//!
//! A run that is *perturbed* goes on in a thread that was made for it, at another depth of the stack, after allocations of
//! its own, and where the system can do that for one thread (Linux) in another folder; its inputs lie at other places in
//! memory. What cannot be changed for one thread of a process (the environment, the locale, the time zone) stays as it is:
//! who doubts these gives the second run to an executor elsewhere, or audits in another process.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use bytes::Buf;
use deriva_api::{Blob, Bytes, Perturb};

/// Bytes of stack that a perturbed run begins below at the most, and that its thread has beside the usual.
const DEEPER: usize = 64 * 1024;
/// What each level of the way there takes, at least: each page of a new stack that is touched costs a microsecond or two.
const LEVEL: usize = 256;
/// The stack of a thread as the standard library makes it.
const STACK: usize = 2 * 1024 * 1024;

/// Does `work` in a thread of its own, under these conditions. Where the system gives no thread, nothing is done.
pub(crate) fn spawn(perturb: Perturb, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread(perturb.seed).spawn(move || disturbed(perturb, work))?;
    drop(thread);
    Ok(())
}

/// As [`spawn`], and waits for what comes of it; `None` where the system gives no thread.
pub(crate) fn run<T: Send>(perturb: Perturb, work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let work = move || disturbed(perturb, work);
        let thread = thread(perturb.seed).spawn_scoped(scope, work).ok()?;
        match thread.join() {
            Ok(done) => Some(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn thread(seed: u64) -> std::thread::Builder {
    std::thread::Builder::new()
        .name(format!("deriva-check-{seed}"))
        .stack_size(STACK + DEEPER)
}

fn disturbed<T>(perturb: Perturb, work: impl FnOnce() -> T) -> T {
    let Perturb { seed, pause, .. } = perturb;
    wait(pause);
    leave_folder();
    // Their places are free again when the work begins, with what was written there.
    let litter =
        (1..64).map(|n| vec![0xa5u8; (seed as usize).wrapping_mul(31).wrapping_add(n * 97) % 4096]);
    drop(black_box(litter.collect::<Vec<_>>()));
    let levels = (seed as usize).wrapping_mul(61) % (DEEPER / LEVEL / 2);
    let (mut done, mut work) = (None, Some(work));
    at_depth(1 + levels, &mut || done = work.take().map(|work| work()));
    match done {
        Some(done) => done,
        None => unreachable!("the work is done once"),
    }
}

/// Waits in a thread of its own, by the time that functions read.
#[allow(
    clippy::disallowed_methods,
    reason = "it holds up nobody else, and no other clock moves what functions read"
)]
fn wait(pause: Duration) {
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}

/// Does `work` below this number of frames, and one more.
#[inline(never)]
fn at_depth(levels: usize, work: &mut dyn FnMut()) {
    let frame = black_box([levels as u8; LEVEL]);
    match levels {
        0 => work(),
        _ => at_depth(levels - 1, work),
    }
    black_box(&frame);
}

/// Lets this thread alone be in the topmost folder, where the system can do that.
fn leave_folder() {
    #[cfg(target_os = "linux")]
    if nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).is_ok() {
        // Where that is not allowed, it stays where it is.
        let _ = std::env::set_current_dir("/");
    }
}

/// The same blob at another place in memory, and at another alignment.
pub(crate) fn relocated(blob: &Blob, seed: u64) -> Blob {
    blob.copied(offset(seed))
}

/// The same of bytes.
pub(crate) fn relocated_bytes(bytes: &Bytes, seed: u64) -> Bytes {
    let offset = offset(seed);
    let mut copy = Vec::with_capacity(offset + bytes.len());
    copy.resize(offset, 0);
    copy.extend_from_slice(bytes);
    let mut copy = Bytes::from(copy);
    // As a slice does, but without a second allocation.
    copy.advance(offset);
    copy
}

/// Odd, so that what begins there is aligned to nothing.
fn offset(seed: u64) -> usize {
    1 + 2 * (seed as usize % 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_on_elsewhere_in_thread_stack_and_folder() {
        let here = || {
            let frame = 0u8;
            let depth = std::ptr::from_ref(&frame).addr();
            (std::thread::current().id(), depth, std::env::current_dir())
        };
        let (thread, _, folder) = here();
        let (one, other) = (
            run(Perturb::new(1), here).unwrap(),
            run(Perturb::new(2), here).unwrap(),
        );
        assert!(one.0 != thread && one.0 != other.0);
        assert_ne!(one.1, other.1);
        if cfg!(target_os = "linux") {
            assert_eq!(one.2.unwrap().as_os_str(), "/");
        }
        assert_eq!(
            here().2.unwrap(),
            folder.unwrap(),
            "this thread is where it was"
        );
    }

    #[test]
    fn what_is_done_beside_comes_to_its_end() {
        let (sender, receiver) = std::sync::mpsc::channel();
        spawn(Perturb::new(3), move || sender.send(7).unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
        let late = Perturb::new(1 << 40).pause(Duration::from_millis(1));
        assert_eq!(run(late, || 5), Some(5));
    }

    #[test]
    fn a_blob_at_another_place_is_the_same() {
        let blob = Blob::new("some bytes");
        for seed in [0, 1, 30, u64::MAX] {
            let bytes = relocated_bytes(blob.bytes(), seed);
            assert_eq!(bytes, blob.bytes());
            let copy = relocated(&blob, seed);
            assert_eq!(copy, blob);
            for other in [copy.bytes(), &bytes] {
                assert_ne!(other.as_ptr(), blob.bytes().as_ptr());
            }
        }
    }
}
