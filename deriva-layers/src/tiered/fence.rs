//! Keeps copies from outliving what they copy.
//!
//! A copy is made of what the slow store said a moment ago. If it is removed there in between, the
//! copy must not be made. So whoever copies takes a [`Ticket`] *before* asking the slow store, and is
//! admitted afterwards only if no removal has ended since, none is under way for that address, and
//! none is just clearing the fast store. A removal clears the fast store first and durably: a process
//! that dies in between leaves a blob without a copy, never a copy without a blob.
//!
//! A removal whose end is not known (the slow store failed, or the caller went away) may still take
//! effect at any time: its addresses are not copied any more while the store is open.
//!
//! This asks of the fast store that its writes take effect in the order in which they were called,
//! also those whose caller went away.

use std::collections::HashMap;

use deriva_api::{BuildAddrHasher, CAddr, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard};

/// Addresses that are remembered one by one while their removal is under way or unclear (64 bytes
/// each). Where there are more, nothing at all is copied until they are settled.
const MAX_UNSETTLED: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Fence {
    /// Held shared while copies are made, and exclusively while they are cleared.
    gate: RwLock<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Removals that have ended.
    settled: u64,
    /// Addresses whose removal has begun and not ended, and how often.
    unsettled: HashMap<CAddr, u32, BuildAddrHasher>,
    /// Removals of more addresses than are remembered that have begun and not ended.
    unsettled_large: u32,
}

/// A moment, before the slow store is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// Leave to make copies, for as long as it lives.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    fence: &'a Fence,
    _gate: RwLockReadGuard<'a, ()>,
}

impl Fence {
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.state.lock().settled)
    }

    /// Leave to copy what the slow store has said since `ticket`; none where that may have changed.
    pub(super) fn admit(&self, ticket: Ticket) -> Option<Admission<'_>> {
        let gate = self.gate.try_read().ok()?;
        let unchanged = self.state.lock().settled == ticket.0;
        unchanged.then_some(Admission {
            fence: self,
            _gate: gate,
        })
    }

    /// Removes from the fast store, then from the slow one.
    pub(super) async fn remove<T>(
        &self,
        addrs: &[CAddr],
        fast: impl Future<Output = Result<()>> + Send,
        slow: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let large = {
            let _alone = self.gate.write().await;
            fast.await?;
            self.begin(addrs)
        };
        let answer = slow.await;
        // A removal that was refused changed nothing and never will; other failures tell nothing.
        let ended = answer.as_ref().map_or_else(
            |error| matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unsupported),
            |_| true,
        );
        if ended {
            self.end(addrs, large);
        }
        answer
    }

    /// Runs `clear` while no copies are made; not at all where some are being made.
    pub(super) async fn clear(&self, clear: impl Future<Output = ()> + Send) {
        if let Ok(_alone) = self.gate.try_write() {
            clear.await;
        }
    }

    fn begin(&self, addrs: &[CAddr]) -> bool {
        let mut state = self.state.lock();
        let large = state.unsettled.len() + addrs.len() > MAX_UNSETTLED;
        if large {
            state.unsettled_large += 1;
        } else {
            for addr in addrs {
                *state.unsettled.entry(*addr).or_default() += 1;
            }
        }
        large
    }

    fn end(&self, addrs: &[CAddr], large: bool) {
        let mut state = self.state.lock();
        state.settled += 1;
        if large {
            state.unsettled_large -= 1;
            return;
        }
        for addr in addrs {
            if let Some(times) = state.unsettled.get_mut(addr) {
                *times -= 1;
                if *times == 0 {
                    state.unsettled.remove(addr);
                }
            }
        }
    }
}

impl Admission<'_> {
    /// Whether this one may be copied.
    pub(super) fn allows(&self, addr: CAddr) -> bool {
        let state = self.fence.state.lock();
        state.unsettled_large == 0 && !state.unsettled.contains_key(&addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deriva_api::Error;
    use futures::executor::block_on;
    use futures::future::{pending, ready};
    use futures::{FutureExt, poll};

    const ADDR: CAddr = CAddr::MIN;

    fn allowed(fence: &Fence, ticket: Ticket) -> bool {
        fence
            .admit(ticket)
            .is_some_and(|admission| admission.allows(ADDR))
    }

    fn remove(fence: &Fence, slow: Result<()>) {
        block_on(fence.remove(&[ADDR], ready(Ok(())), ready(slow))).ok();
    }

    #[test]
    fn what_was_read_before_a_removal_is_not_copied_after_it() {
        let fence = Fence::default();
        let before = fence.ticket();
        assert!(allowed(&fence, before));
        remove(&fence, Ok(()));
        assert!(!allowed(&fence, before));
        assert!(allowed(&fence, fence.ticket()));
    }

    #[test]
    fn nothing_is_copied_while_its_removal_is_under_way_or_was_given_up() {
        let fence = Fence::default();
        block_on(async {
            let removal = fence.remove(&[ADDR], ready(Ok(())), pending::<Result<()>>());
            let mut removal = removal.boxed();
            assert!(poll!(&mut removal).is_pending());
            assert!(!allowed(&fence, fence.ticket()));
            let other = fence.admit(fence.ticket()).unwrap();
            assert!(other.allows(CAddr::of_blob(b"other")));
        });
        assert!(!allowed(&fence, fence.ticket()));
    }

    #[test]
    fn a_removal_that_failed_may_still_happen_unless_it_was_refused() {
        let fence = Fence::default();
        remove(&fence, Err(Error::new(ErrorKind::Conflict, "refused")));
        assert!(allowed(&fence, fence.ticket()));
        remove(&fence, Err(Error::new(ErrorKind::Timeout, "who knows")));
        assert!(!allowed(&fence, fence.ticket()));
        remove(&fence, Ok(()));
        assert!(!allowed(&fence, fence.ticket()));
    }

    #[test]
    fn a_removal_that_cannot_clear_the_copies_does_not_reach_the_slow_store() {
        let fence = Fence::default();
        let failed = ready(Err(Error::new(ErrorKind::Unavailable, "away")));
        let slow = async { unreachable!("the slow store was asked") };
        assert!(block_on(fence.remove::<()>(&[ADDR], failed, slow)).is_err());
        assert!(allowed(&fence, fence.ticket()));
    }

    #[test]
    fn a_removal_waits_for_copies_in_the_making() {
        let fence = Fence::default();
        let admission = fence.admit(fence.ticket());
        block_on(async {
            let cleared = async { unreachable!("cleared too early") };
            let mut removal = fence.remove(&[ADDR], cleared, ready(Ok(()))).boxed();
            assert!(poll!(&mut removal).is_pending());
        });
        drop(admission);
    }

    #[test]
    fn while_too_many_removals_are_unsettled_nothing_is_copied() {
        let fence = Fence::default();
        let many = vec![CAddr::of_blob(b"other"); MAX_UNSETTLED + 1];
        let failed = || ready(Err::<(), _>(Error::new(ErrorKind::Timeout, "who knows")));
        block_on(fence.remove(&many, ready(Ok(())), failed())).ok();
        assert!(!allowed(&fence, fence.ticket()));
        assert!(fence.state.lock().unsettled.is_empty());
    }
}
