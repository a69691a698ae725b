//! A layer that makes calls fail, wait or hang, and reads find damaged bytes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use deriva_api::{
    Blob, BlobLayer, BlobStore, CAddr, Clock, DagLayer, DagStore, Error, ErrorKind, Result,
};
use parking_lot::Mutex;

use crate::hook::{Hook, Hooked, Operation};

/// Wraps stores so that calls can be made to fail. Clones, and all stores wrapped by them, share
/// their faults.
///
/// ```
/// # futures::executor::block_on(async {
/// use std::sync::Arc;
/// use deriva_api::{Blob, BlobLayer, BlobStore, ErrorKind};
/// use deriva_testkit::{FaultLayer, ModelStore, Operation};
/// let layer = FaultLayer::new();
/// let store = BlobLayer::wrap(&layer, Arc::new(ModelStore::new()));
/// layer.faults().fail_nth(Operation::BlobPut, 2, ErrorKind::Full);
/// assert!(store.put(&[Blob::new("one")]).await.is_ok());
/// assert!(store.put(&[Blob::new("two")]).await.is_err());
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultLayer(Faults);

impl FaultLayer {
    /// A layer without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where faults are set.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.0.clone()
    }
}

impl BlobLayer for FaultLayer {
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        let hook = Arc::new(self.0.clone());
        Arc::new(Hooked { inner, hook })
    }
}

impl DagLayer for FaultLayer {
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let hook = Arc::new(self.0.clone());
        Arc::new(Hooked { inner, hook })
    }
}

/// What happens to the stored bytes of a blob before a read checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The bit of this number, counted modulo the number of bits, is flipped.
    FlipBit(usize),
    /// Only this many bytes are left.
    Truncate(usize),
}

/// The faults of a [`FaultLayer`]. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    failing: HashMap<Operation, Failing>,
    /// Counts calls of all operations.
    any: Option<Failing>,
    delays: HashMap<Operation, (Duration, Arc<dyn Clock>)>,
    damaged: HashMap<CAddr, Damage>,
    /// Who hangs in an operation that is made to hang.
    hanging: HashMap<Operation, Vec<Waker>>,
    injected: u64,
}

#[derive(Debug)]
struct Failing {
    pass: u64,
    fail: u64,
    kind: ErrorKind,
    when: When,
}

/// When a call fails: before the store is asked, or after it has done what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl Failing {
    /// The kind to fail with, where it is this call's turn.
    fn turn(&mut self) -> Option<ErrorKind> {
        if self.pass > 0 {
            self.pass -= 1;
            return None;
        }
        self.fail = self.fail.checked_sub(1)?;
        Some(self.kind)
    }
}

impl Faults {
    /// Makes one call of `operation` fail: the `nth` from now on, counted from 1.
    pub fn fail_nth(&self, operation: Operation, nth: u64, kind: ErrorKind) {
        self.set(operation, nth, 1, kind, When::Before);
    }

    /// Makes every call of `operation` fail until [`Faults::clear`].
    pub fn fail_all(&self, operation: Operation, kind: ErrorKind) {
        self.set(operation, 1, u64::MAX, kind, When::Before);
    }

    /// Lets one call of `operation` do its work and then fail, as when an answer is lost: the `nth` from
    /// now on, counted from 1.
    pub fn lose_nth(&self, operation: Operation, nth: u64, kind: ErrorKind) {
        self.set(operation, nth, 1, kind, When::After);
    }

    /// Makes one call of any operation fail: the `nth` from now on, counted from 1.
    pub fn fail_call(&self, nth: u64, kind: ErrorKind) {
        self.0.lock().any = Some(failing(nth, 1, kind, When::Before));
    }

    /// Lets one call of any operation do its work and then fail: the `nth` from now on, counted from 1.
    pub fn lose_call(&self, nth: u64, kind: ErrorKind) {
        self.0.lock().any = Some(failing(nth, 1, kind, When::After));
    }

    /// Makes every call of `operation` wait on `clock` first, until [`Faults::clear`].
    pub fn delay(&self, operation: Operation, by: Duration, clock: Arc<dyn Clock>) {
        self.0.lock().delays.insert(operation, (by, clock));
    }

    /// Makes every call of `operation` hang, until [`Faults::clear`] lets all of them go on.
    pub fn hang(&self, operation: Operation) {
        self.0.lock().hanging.entry(operation).or_default();
    }

    /// Lets every read of `addr` find damaged bytes until [`Faults::clear`].
    pub fn damage(&self, addr: CAddr, damage: Damage) {
        self.0.lock().damaged.insert(addr, damage);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        let mut state = self.0.lock();
        let injected = state.injected;
        let before = std::mem::take(&mut *state);
        state.injected = injected;
        drop(state);
        before.hanging.into_values().flatten().for_each(Waker::wake);
    }

    /// How many calls were made to fail so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.0.lock().injected
    }

    fn set(&self, operation: Operation, nth: u64, fail: u64, kind: ErrorKind, when: When) {
        let failing = failing(nth, fail, kind, when);
        self.0.lock().failing.insert(operation, failing);
    }

    /// Fails where it is this call's turn.
    fn check(&self, operation: Operation, now: When) -> Result<()> {
        let mut state = self.0.lock();
        let state = &mut *state;
        let own = state.failing.get_mut(&operation);
        let due = |failing: &mut Failing| (failing.when == now).then(|| failing.turn()).flatten();
        let kind = own
            .and_then(due)
            .or_else(|| state.any.as_mut().and_then(due));
        let Some(kind) = kind else { return Ok(()) };
        state.injected += 1;
        Err(Error::new(kind, "a fault was injected").during(operation.name()))
    }

    /// Waits while calls of `operation` are made to hang.
    async fn hung(&self, operation: Operation) {
        poll_fn(|context| match self.0.lock().hanging.get_mut(&operation) {
            None => Poll::Ready(()),
            Some(wakers) => {
                wakers.push(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }
}

fn failing(nth: u64, fail: u64, kind: ErrorKind, when: When) -> Failing {
    let pass = nth.saturating_sub(1);
    Failing {
        pass,
        fail,
        kind,
        when,
    }
}

#[async_trait]
impl Hook for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    async fn before(&self, operation: Operation) -> Result<()> {
        let delay = self.0.lock().delays.get(&operation).cloned();
        if let Some((by, clock)) = delay {
            clock.sleep(by).await;
        }
        self.hung(operation).await;
        self.check(operation, When::Before)
    }

    async fn after(&self, operation: Operation) -> Result<()> {
        self.check(operation, When::After)
    }

    fn damages(&self, addr: CAddr) -> bool {
        self.0.lock().damaged.contains_key(&addr)
    }

    fn read(&self, blob: Blob) -> Result<Blob> {
        let damage = self.0.lock().damaged.get(&blob.addr()).copied();
        let Some(damage) = damage else {
            return Ok(blob);
        };
        let mut bytes = blob.bytes().to_vec();
        match damage {
            Damage::Truncate(len) => bytes.truncate(len),
            Damage::FlipBit(bit) if !bytes.is_empty() => {
                let bit = bit % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Damage::FlipBit(_) => {}
        }
        Blob::verify(blob.addr(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, ModelStore};
    use deriva_api::{BlobCheck, ByteRange};
    use futures::executor::block_on;
    use futures::{FutureExt, StreamExt};

    fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn exactly_the_nth_call_fails() {
        let layer = FaultLayer::new();
        let store = BlobLayer::wrap(&layer, Arc::new(ModelStore::new()));
        let faults = layer.faults();
        faults.fail_nth(Operation::BlobGet, 2, ErrorKind::Unavailable);
        let get = || block_on(store.get(CAddr::MIN));
        assert!(get().is_ok());
        assert_eq!(kind(get()), ErrorKind::Unavailable);
        assert!(get().is_ok());
        assert_eq!(faults.injected(), 1);
        faults.fail_all(Operation::BlobGet, ErrorKind::Full);
        assert_eq!(
            (kind(get()), kind(get())),
            (ErrorKind::Full, ErrorKind::Full)
        );
        faults.clear();
        assert!(get().is_ok());
    }

    #[test]
    fn damaged_bytes_are_corrupt_on_every_way_of_reading() {
        let layer = FaultLayer::new();
        let store = BlobLayer::wrap(&layer, Arc::new(ModelStore::new()));
        let blob = Blob::new("some bytes");
        let addr = blob.addr();
        block_on(store.put(&[blob])).unwrap();
        for damage in [Damage::FlipBit(1000), Damage::Truncate(3)] {
            layer.faults().damage(addr, damage);
            assert_eq!(kind(block_on(store.get(addr))), ErrorKind::Corrupt);
            assert_eq!(kind(block_on(store.get_many(&[addr]))), ErrorKind::Corrupt);
            let range = block_on(store.get_range(addr, ByteRange::ALL));
            assert_eq!(kind(range), ErrorKind::Corrupt);
            let absent = Blob::new("other").addr();
            let found = block_on(store.verify(&[addr, absent, addr])).unwrap();
            let damaged = BlobCheck::Damaged;
            assert_eq!(found, [damaged, BlobCheck::Absent, damaged]);
        }
        layer.faults().clear();
        assert!(block_on(store.get(addr)).unwrap().is_some());
    }

    #[test]
    fn a_lost_answer_is_of_a_call_that_was_done() {
        let layer = FaultLayer::new();
        let store = BlobLayer::wrap(&layer, Arc::new(ModelStore::new()));
        let (first, second) = (Blob::new("first"), Blob::new("second"));
        layer
            .faults()
            .lose_nth(Operation::BlobPut, 1, ErrorKind::Unavailable);
        let outcome = block_on(store.put(std::slice::from_ref(&first)));
        assert_eq!(kind(outcome), ErrorKind::Unavailable);
        assert!(block_on(store.get(first.addr())).unwrap().is_some());
        layer.faults().lose_call(2, ErrorKind::Full);
        assert!(block_on(store.get(first.addr())).is_ok());
        assert_eq!(
            kind(block_on(store.put(std::slice::from_ref(&second)))),
            ErrorKind::Full
        );
        assert!(block_on(store.get(second.addr())).unwrap().is_some());
        layer.faults().fail_call(1, ErrorKind::Full);
        assert_eq!(kind(block_on(store.flush())), ErrorKind::Full);
        assert_eq!(layer.faults().injected(), 3);
    }

    #[test]
    fn calls_wait_on_the_clock_and_hang_until_faults_are_cleared() {
        let layer = FaultLayer::new();
        let store = DagLayer::wrap(&layer, Arc::new(ModelStore::new()));
        let clock = ManualClock::new();
        layer.faults().delay(
            Operation::DagUsage,
            Duration::from_secs(5),
            Arc::new(clock.clone()),
        );
        let mut call = store.usage();
        assert!(call.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(5));
        assert!(call.now_or_never().is_some());
        layer.faults().hang(Operation::DagList);
        let mut list = store.list(None);
        assert!(list.next().now_or_never().is_none());
        layer.faults().clear();
        assert!(matches!(list.next().now_or_never(), Some(None)));
    }
}
