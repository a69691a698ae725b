//! Traces that are made up: sizes and costs spread over three and four powers of ten, independently.

use std::time::Duration;

use deriva_testkit::SplitMix64;

use super::trace::{Key, Trace};

const KEYS: u64 = 10_000;
/// The exponent of the Zipf distributions.
const SKEW: f64 = 0.8;

/// Traces of N requests each.
pub(crate) fn all(requests: usize) -> [Trace; 3] {
    let zipf = |random: &mut SplitMix64, cdf: &[f64]| {
        let total = cdf.last().copied().unwrap_or_default();
        let wanted = uniform(random) * total;
        cdf.partition_point(|sum| *sum < wanted).min(cdf.len() - 1) as u64
    };
    let (scan_every, scan, shift_every) = (requests / 10, requests / 20, requests / 8);
    [
        make("Zipf", requests, |random, cdf, _| zipf(random, cdf)),
        // Half of the requests come in scans: keys that are never asked for again.
        make("Zipf and scans", requests, |random, cdf, i| {
            if i % scan_every >= scan_every - scan {
                KEYS + i as u64
            } else {
                zipf(random, cdf)
            }
        }),
        make("Zipf, popularity shifts", requests, |random, cdf, i| {
            (zipf(random, cdf) + (i / shift_every) as u64 * KEYS / 7) % KEYS
        }),
    ]
}

fn make(
    name: &'static str,
    requests: usize,
    mut next: impl FnMut(&mut SplitMix64, &[f64], usize) -> u64,
) -> Trace {
    let mut random = SplitMix64::new(1998);
    let mut sum = 0.0;
    let weights = (1..=KEYS).map(|rank| (rank as f64).powf(-SKEW));
    let cdf: Vec<f64> = weights
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    let mut seen = std::collections::HashMap::new();
    let mut keys = Vec::new();
    let accesses = (0..requests).map(|i| {
        let wanted = next(&mut random, &cdf, i);
        *seen.entry(wanted).or_insert_with(|| {
            keys.push(key(wanted));
            keys.len() as u32 - 1
        })
    });
    let accesses = accesses.collect();
    Trace {
        name,
        keys,
        accesses,
    }
}

/// 256 B to 256 KiB, and 10 us to 100 ms, both evenly on a logarithmic scale.
fn key(seed: u64) -> Key {
    let mut random = SplitMix64::new(seed);
    let len = 256.0 * 1024f64.powf(uniform(&mut random));
    let nanos = 1e4 * 1e4f64.powf(uniform(&mut random));
    Key {
        len: len as u64,
        cost: Duration::from_nanos(nanos as u64),
    }
}

fn uniform(random: &mut SplitMix64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
