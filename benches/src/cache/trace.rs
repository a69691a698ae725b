//! Which addresses were asked for, in which order; how long they are, and what they cost to compute.

use std::time::Duration;

use deriva::cache::BlobCache;
use deriva::runtime::cache::read_again;
use deriva::{Error, ErrorKind, Result};

/// Made by `examples/record-trace.rs`; see `traces/README.md`.
const CORPUS: &[u8] = include_bytes!("../../traces/corpus.zst");

/// Something that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) len: u64,
    /// Time to compute it; zero for a leaf.
    pub(crate) cost: Duration,
}

impl Key {
    /// Bytes that an entry takes in every cache that is compared.
    pub(crate) fn size(&self) -> u64 {
        BlobCache::ENTRY_BYTES + self.len
    }

    /// What a hit saves.
    pub(crate) fn seconds(&self) -> f64 {
        self.cost.max(read_again(self.len)).as_secs_f64()
    }
}

#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) keys: Vec<Key>,
    /// Indices of keys.
    pub(crate) accesses: Vec<u32>,
}

impl Trace {
    /// The recorded one.
    pub(crate) fn corpus() -> Result<Self> {
        let bytes = zstd::decode_all(CORPUS).map_err(Error::io)?;
        decode(&bytes).ok_or_else(|| Error::new(ErrorKind::Corrupt, "the trace cannot be read"))
    }

    /// Bytes of an unlimited cache after the trace.
    pub(crate) fn bytes(&self) -> u64 {
        self.keys.iter().map(Key::size).sum()
    }
}

/// Numbers in LEB128: of keys; length and nanoseconds of each; of accesses; for each the step from the
/// key before to its own, in zigzag.
fn decode(mut bytes: &[u8]) -> Option<Trace> {
    let mut keys = Vec::new();
    for _ in 0..number(&mut bytes)? {
        let (len, nanos) = (number(&mut bytes)?, number(&mut bytes)?);
        let cost = Duration::from_nanos(nanos);
        keys.push(Key { len, cost });
    }
    let (mut accesses, mut at) = (Vec::new(), 0i64);
    for _ in 0..number(&mut bytes)? {
        let step = number(&mut bytes)?;
        at += (step >> 1) as i64 ^ -((step & 1) as i64);
        accesses.push(
            u32::try_from(at)
                .ok()
                .filter(|at| (*at as usize) < keys.len())?,
        );
    }
    Some(Trace {
        name: "corpus, recorded",
        keys,
        accesses,
    })
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
