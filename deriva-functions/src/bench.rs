//! `bench.*`: work for benchmarks and demonstrations.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use deriva_api::{CallContext, Params, Result, Weight};
use hashbrown::DefaultHashBuilder;

use super::Family;
use super::define::{Definition, Function, bad_value, given, int_in, needed, nothing, optional};
use deriva_api::Arity;

/// Steps of one unit of `bench.burn`: about a millisecond at 3 GHz, as each step waits for the one
/// before it (a multiplication, a rotation and an addition).
const STEPS_PER_UNIT: u64 = 500_000;

pub(super) fn functions() -> Family {
    let liar = Liar::default();
    vec![
        Definition {
            name: "bench.mix",
            weight: Weight::Light,
            arity: Arity::Any,
            description: "The FNV-1a hash (64 bits) of its inputs one after another, as 8 bytes, the lowest first.",
            params: vec![],
        }
        .with(nothing, |inputs, ()| {
            Ok(Bytes::copy_from_slice(&fnv1a(inputs).to_le_bytes()))
        }),
        Definition {
            name: "bench.burn",
            weight: Weight::Heavy,
            arity: Arity::Any,
            description: "Computes for a fixed number of steps; 8 bytes that depend on inputs and units.",
            params: vec![optional(
                "units",
                "int",
                "Work to do, 1 to 1000000 units of about a millisecond on one core; default 1.",
            )],
        }
        .within(
            "1",
            |params| Ok(int_in(params, "units", 1..=1_000_000)?.unwrap_or(1) as u64),
            |inputs, units, context| {
                let burnt = burn(fnv1a(inputs), units, context)?;
                Ok(Bytes::copy_from_slice(&burnt.to_le_bytes()))
            },
        )
        .map(|burn| -> Function { Arc::new(burn) }),
        Definition {
            name: "bench.liar",
            weight: Weight::Light,
            arity: Arity::Any,
            description: "DELIBERATELY NONDETERMINISTIC, for demonstrations and tests alone: joins its inputs, and with probability `p` adds 8 random bytes.",
            params: vec![needed("p", "number", "How likely a wrong output is, 0 to 1.")],
        }
        .with(probability, move |inputs, p| Ok(liar.answer(inputs, p))),
    ]
}

#[inline]
fn fnv1a(inputs: &[Bytes]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for input in inputs {
        for byte in input.iter() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

fn burn(mut state: u64, units: u64, context: &CallContext) -> Result<u64> {
    for _ in 0..units {
        context.check()?;
        for _ in 0..STEPS_PER_UNIT {
            state = state
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23)
                .wrapping_add(0x2545_f491_4f6c_dd1d);
        }
    }
    Ok(state)
}

fn probability(params: &Params) -> Result<f64> {
    let p = given("p", params.float("p")?)?;
    match (0.0..=1.0).contains(&p) {
        true => Ok(p),
        false => Err(bad_value("p", "0 to 1", p)),
    }
}

/// Draws from the hasher's key, which is random in each process, and a count of the calls.
#[derive(Default)]
struct Liar {
    calls: AtomicU64,
    hasher: DefaultHashBuilder,
}

impl Liar {
    fn answer(&self, inputs: &[Bytes], p: f64) -> Bytes {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        // 53 bits fill a float's mantissa, so the draw is below 1 and `p = 1` always lies.
        let draw = (self.hasher.hash_one((call, 0_u8)) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut out = inputs.concat();
        if draw < p {
            out.extend_from_slice(&self.hasher.hash_one((call, 1_u8)).to_le_bytes());
        }
        out.into()
    }
}
