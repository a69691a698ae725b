//! Functions to run and to check: honest ones, and such as are not what they promise.

mod liars;

pub use liars::{ByChance, Liar, Shows, coin, liars, reads_a_file};

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{Blob, Bytes, ComputeFunction, FunctionId, ParamDoc, Params, Result, Weight};

type Call = dyn Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync;

/// A heavy function of this name (`concat/1`) that takes any inputs and params.
///
/// # Errors
/// `Invalid` when `id` is no name of a function.
pub fn function(
    id: &str,
    call: impl Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
) -> Result<Arc<dyn ComputeFunction>> {
    let (id, call) = (id.parse()?, Box::new(call));
    let weight = Weight::Heavy;
    Ok(Arc::new(Closure { id, weight, call }))
}

/// The same function as a light one.
#[must_use]
pub fn light(function: Arc<dyn ComputeFunction>) -> Arc<dyn ComputeFunction> {
    let id = function.id().clone();
    let call: Box<Call> = Box::new(move |inputs, params| function.call(inputs, params));
    let weight = Weight::Light;
    Arc::new(Closure { id, weight, call })
}

/// Functions that keep the promise: the same inputs and params give the same bytes.
#[must_use]
pub fn honest() -> Vec<Arc<dyn ComputeFunction>> {
    // These names are good.
    [
        function("honest.concat/1", |inputs, _| Ok(inputs.concat().into())),
        function("honest.lengths/1", |inputs, _| {
            let lengths: Vec<usize> = inputs.iter().map(Bytes::len).collect();
            Ok(format!("{lengths:?}").into())
        }),
        function("honest.words/1", |inputs, _| {
            let mut words: Vec<(String, u64)> = words(inputs).into_iter().collect();
            words.sort_unstable();
            Ok(format!("{words:?}").into())
        }),
        function("honest.params/1", |_, params| {
            Ok(format!("{params:?}").into())
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Functions that break the promise, each in its own way: a clock, randomness, the order of a hash map, a
/// counter, and the thread that they run on. The last gives the same twice on the same thread.
#[must_use]
pub fn dishonest() -> Vec<Arc<dyn ComputeFunction>> {
    let calls = AtomicU64::new(0);
    // These names are good.
    [
        function("dishonest.clock/1", |_, _| Ok(time().into())),
        function("dishonest.random/1", |_, _| {
            let random = RandomState::new().hash_one(0);
            Ok(random.to_le_bytes().to_vec().into())
        }),
        function("dishonest.hash-map/1", |inputs, _| {
            // So many that two orders are never alike.
            let all: HashMap<u32, u64> =
                (0..100).map(|i| (i, words(inputs).len() as u64)).collect();
            Ok(format!("{all:?}").into())
        }),
        function("dishonest.counter/1", move |_, _| {
            Ok(calls.fetch_add(1, Ordering::Relaxed).to_string().into())
        }),
        function("dishonest.thread/1", |_, _| {
            Ok(format!("{:?}", std::thread::current().id()).into())
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The functions of [`crate::random::graph`] and [`crate::Workload`], but for `bench.burn/1`:
/// `bench.mix/1`, `bytes.concat/1` and `hash.blake3/1`.
#[must_use]
pub fn graph() -> Vec<Arc<dyn ComputeFunction>> {
    // These names are good.
    [
        function("bench.mix/1", |inputs, _| {
            let fnv = |hash: u64, byte: &u8| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            };
            let hash = inputs.iter().flatten().fold(0xcbf2_9ce4_8422_2325, fnv);
            Ok(Bytes::copy_from_slice(&hash.to_le_bytes()))
        }),
        function("bytes.concat/1", |inputs, _| Ok(inputs.concat().into())),
        function("hash.blake3/1", |inputs, _| {
            let addr = Blob::new(inputs.concat()).addr();
            Ok(Bytes::copy_from_slice(addr.as_bytes()))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn words(inputs: &[Bytes]) -> HashMap<String, u64> {
    let mut words = HashMap::new();
    for input in inputs {
        for word in String::from_utf8_lossy(input).split_whitespace() {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    words
}

#[allow(
    clippy::disallowed_methods,
    reason = "a function that looks at the clock is what this one is for"
)]
fn time() -> String {
    format!("{:?}", std::time::Instant::now())
}

/// A function made of a closure.
struct Closure {
    id: FunctionId,
    weight: Weight,
    call: Box<Call>,
}

impl ComputeFunction for Closure {
    fn id(&self) -> &FunctionId {
        &self.id
    }

    fn weight(&self) -> Weight {
        self.weight
    }

    fn description(&self) -> &str {
        ""
    }

    fn params(&self) -> &[ParamDoc] {
        &[]
    }

    fn check(&self, _inputs: usize, _params: &Params) -> Result<()> {
        Ok(())
    }

    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes> {
        (self.call)(inputs, params)
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two calls, on two threads, give the same.
    fn repeats(function: &Arc<dyn ComputeFunction>) -> bool {
        let call = || {
            let function = function.clone();
            std::thread::spawn(move || {
                function.call(&[Bytes::from_static(b"a b a")], &Params::new())
            })
        };
        let (first, second) = (call(), call());
        first.join().unwrap().unwrap() == second.join().unwrap().unwrap()
    }

    #[test]
    fn honest_functions_repeat_and_dishonest_ones_do_not() {
        assert_eq!(
            (honest().len(), dishonest().len(), graph().len()),
            (4, 5, 3)
        );
        for function in honest().iter().chain(&graph()) {
            assert!(repeats(function), "{function:?}");
        }
        for function in dishonest() {
            assert!(!repeats(&function), "{function:?}");
        }
    }
}
