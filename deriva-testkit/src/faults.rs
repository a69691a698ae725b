//! A layer that makes calls fail and reads find damaged bytes.

use std::collections::HashMap;
use std::sync::Arc;

use deriva_api::{Blob, BlobLayer, BlobStore, CAddr, DagLayer, DagStore, Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::hook::{Hook, Hooked, Operation};

/// Wraps stores so that calls can be made to fail. Clones, and all stores wrapped by them, share
/// their faults.
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
    damaged: HashMap<CAddr, Damage>,
    injected: u64,
}

#[derive(Debug)]
struct Failing {
    pass: u64,
    fail: u64,
    kind: ErrorKind,
}

impl Faults {
    /// Makes one call of `operation` fail: the `nth` from now on, counted from 1.
    pub fn fail_nth(&self, operation: Operation, nth: u64, kind: ErrorKind) {
        self.set(operation, nth, 1, kind);
    }

    /// Makes every call of `operation` fail until [`Faults::clear`].
    pub fn fail_all(&self, operation: Operation, kind: ErrorKind) {
        self.set(operation, 1, u64::MAX, kind);
    }

    /// Lets every read of `addr` find damaged bytes until [`Faults::clear`].
    pub fn damage(&self, addr: CAddr, damage: Damage) {
        self.0.lock().damaged.insert(addr, damage);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        let mut state = self.0.lock();
        state.failing.clear();
        state.damaged.clear();
    }

    /// How many calls were made to fail so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.0.lock().injected
    }

    fn set(&self, operation: Operation, nth: u64, fail: u64, kind: ErrorKind) {
        let pass = nth.saturating_sub(1);
        let failing = Failing { pass, fail, kind };
        self.0.lock().failing.insert(operation, failing);
    }
}

impl Hook for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn before(&self, operation: Operation) -> Result<()> {
        let mut state = self.0.lock();
        let Some(failing) = state.failing.get_mut(&operation) else {
            return Ok(());
        };
        if failing.pass > 0 {
            failing.pass -= 1;
            return Ok(());
        }
        if failing.fail == 0 {
            return Ok(());
        }
        failing.fail -= 1;
        let kind = failing.kind;
        state.injected += 1;
        Err(Error::new(kind, "a fault was injected").during(operation.name()))
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
    use crate::ModelStore;
    use deriva_api::ByteRange;
    use futures::executor::block_on;

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
        }
        layer.faults().clear();
        assert!(block_on(store.get(addr)).unwrap().is_some());
    }
}
