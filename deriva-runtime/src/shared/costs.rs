//! What functions and the store have cost so far: running means, from which costs are predicted.
//!
//! A mean moves towards what was seen lately, so that it follows a store that grows and inputs that
//! change; its first calls are averaged plainly. Whoever observes does so once per batch or chunk, under
//! one lock. Nothing here is stored: a new process begins anew, and `explain` samples what the
//! store recorded.

use std::collections::HashMap;
use std::time::Duration;

use deriva_api::{Basis, CutoffDecision, DurabilityClass, Estimate, FunctionId, Weight};
use parking_lot::Mutex;

/// The share by which one more call moves a mean.
const SHARE: f64 = 1.0 / 16.0;
/// Calls of a function after which its measured cost, and no longer its weight, decides whether it is
/// looked up before it is computed. A few calls are no measurement.
const ENOUGH_CALLS: u64 = 32;
/// How many times a look-up and a row a call must cost before they pay.
const WORTH: u32 = 10;
/// What is assumed until it is measured.
const LOOKUP_IN_MEMORY: Duration = Duration::from_micros(3);
const LOOKUP_ON_DISK: Duration = Duration::from_micros(150);
const HEAVY_CALL: Duration = Duration::from_millis(1);
const LIGHT_CALL: Duration = Duration::from_micros(1);

/// What a number of calls came to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// How many there were.
    pub(crate) calls: u64,
    /// The time of all of them.
    pub(crate) time: Duration,
    /// The bytes of all their outputs.
    pub(crate) bytes: u64,
}

/// Running means, shared by all requests.
#[derive(Debug)]
pub(crate) struct Costs(Mutex<Means>);

#[derive(Debug)]
struct Means {
    functions: HashMap<FunctionId, CallMean>,
    all: CallMean,
    lookup: Mean,
    write: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct CallMean {
    nanos: Mean,
    bytes: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    count: u64,
}

impl Costs {
    /// Nothing was seen yet; a store of this class is taken for as fast as such stores are.
    pub(crate) fn new(durability: DurabilityClass) -> Self {
        let lookup = match durability {
            DurabilityClass::None => LOOKUP_IN_MEMORY,
            _ => LOOKUP_ON_DISK,
        };
        let assumed = Mean {
            value: lookup.as_nanos() as f64,
            count: 0,
        };
        Self(Mutex::new(Means {
            functions: HashMap::new(),
            all: CallMean::default(),
            lookup: assumed,
            write: assumed,
        }))
    }

    /// Takes in calls of functions, all under one lock.
    pub(crate) fn observe<'a>(&self, observed: impl IntoIterator<Item = (&'a FunctionId, Calls)>) {
        let mut means = self.0.lock();
        for (function, calls) in observed {
            means.all.take_in(calls);
            match means.functions.get_mut(function) {
                Some(mean) => mean.take_in(calls),
                None => {
                    let mut mean = CallMean::default();
                    mean.take_in(calls);
                    means.functions.insert(function.clone(), mean);
                }
            }
        }
    }

    /// Takes in a look-up of N recorded outputs in one call to the store.
    pub(crate) fn observe_lookup(&self, items: u64, took: Duration) {
        self.0.lock().lookup.take_in(items, took.as_nanos() as f64);
    }

    /// Takes in a commit of N rows.
    pub(crate) fn observe_write(&self, items: u64, took: Duration) {
        self.0.lock().write.take_in(items, took.as_nanos() as f64);
    }

    /// What one call is likely to take: the function's own mean; where it was never seen, that of all
    /// functions; and where none was, 1 ms for a heavy and 1 us for a light one.
    pub(crate) fn estimate(&self, function: &FunctionId, weight: Weight) -> Estimate {
        let means = self.0.lock();
        let own = means.functions.get(function);
        let of = |mean: &CallMean, calls, basis| {
            let mut estimate = Estimate::new(mean.nanos.duration(), basis);
            estimate.bytes = Some(mean.bytes.value as u64);
            estimate.calls = calls;
            estimate
        };
        match own {
            Some(own) => of(own, own.nanos.count, Basis::Function),
            None if means.all.nanos.count > 0 => of(&means.all, 0, Basis::OtherFunctions),
            None => {
                let time = match weight {
                    Weight::Heavy => HEAVY_CALL,
                    Weight::Light => LIGHT_CALL,
                };
                Estimate::new(time, Basis::Weight)
            }
        }
    }

    /// Whether a look-up under the resolved address pays: where a call costs more than ten times the
    /// look-up and the row that it adds. Until the function was seen often enough, its weight decides.
    pub(crate) fn cutoff_pays(&self, estimate: Estimate, weight: Weight) -> CutoffDecision {
        let (lookup, write) = {
            let means = self.0.lock();
            (means.lookup.duration(), means.write.duration())
        };
        // A clock that stands still measures nothing.
        let measured = estimate.basis == Basis::Function
            && estimate.calls >= ENOUGH_CALLS
            && !estimate.time.is_zero();
        let mut decision = CutoffDecision::default();
        decision.pays = match measured {
            true => estimate.time > (lookup + write) * WORTH,
            false => weight == Weight::Heavy,
        };
        decision.measured = measured;
        decision.call = estimate.time;
        decision.lookup = lookup;
        decision.write = write;
        decision
    }
}

impl CallMean {
    fn take_in(&mut self, calls: Calls) {
        self.nanos
            .take_in(calls.calls, calls.time.as_nanos() as f64);
        self.bytes.take_in(calls.calls, calls.bytes as f64);
    }
}

impl Mean {
    /// Takes in `items` that came to `total` together, as if each had come to the same.
    fn take_in(&mut self, items: u64, total: f64) {
        if items == 0 {
            return;
        }
        let many = i32::try_from(items).unwrap_or(i32::MAX);
        let plain = items as f64 / (self.count + items) as f64;
        let share = plain.max(1.0 - (1.0 - SHARE).powi(many));
        self.value += (total / items as f64 - self.value) * share;
        self.count += items;
    }

    fn duration(self) -> Duration {
        Duration::from_nanos(self.value as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> FunctionId {
        FunctionId::new(name, "1").unwrap()
    }

    fn calls(calls: u64, micros: u64, bytes: u64) -> Calls {
        Calls {
            calls,
            time: Duration::from_micros(micros) * calls as u32,
            bytes: bytes * calls,
        }
    }

    fn observe(costs: &Costs, function: &str, calls: Calls) {
        costs.observe([(&id(function), calls)]);
    }

    fn micros(costs: &Costs, function: &str, weight: Weight) -> u128 {
        costs.estimate(&id(function), weight).time.as_micros()
    }

    #[test]
    fn a_function_never_seen_costs_what_the_others_do_or_what_its_weight_says() {
        let costs = Costs::new(DurabilityClass::None);
        assert_eq!(micros(&costs, "a", Weight::Heavy), 1000);
        assert_eq!(micros(&costs, "a", Weight::Light), 1);
        costs.observe([(&id("b"), calls(3, 40, 8)), (&id("c"), calls(1, 80, 16))]);
        let other = costs.estimate(&id("a"), Weight::Light);
        assert_eq!((other.time.as_micros(), other.calls), (50, 0));
        assert_eq!(
            (other.bytes, other.basis),
            (Some(10), Basis::OtherFunctions)
        );
        let own = costs.estimate(&id("b"), Weight::Light);
        assert_eq!((own.time.as_micros(), own.bytes), (40, Some(8)));
        assert_eq!((own.calls, own.basis), (3, Basis::Function));
    }

    #[test]
    fn a_mean_follows_what_was_seen_lately() {
        let costs = Costs::new(DurabilityClass::None);
        observe(&costs, "a", calls(1000, 10, 0));
        observe(&costs, "a", calls(1, 1000, 0));
        assert_eq!(
            micros(&costs, "a", Weight::Light),
            71,
            "a sixteenth of the way"
        );
        observe(&costs, "a", calls(200, 1000, 0));
        assert!(micros(&costs, "a", Weight::Light) > 990);
        observe(&costs, "a", Calls::default());
        assert!(micros(&costs, "a", Weight::Light) > 990);
    }

    #[test]
    fn one_batch_counts_as_many_calls_one_by_one() {
        let (one, many) = (
            Costs::new(DurabilityClass::None),
            Costs::new(DurabilityClass::None),
        );
        for costs in [&one, &many] {
            observe(costs, "a", calls(100, 10, 0));
        }
        observe(&one, "a", calls(20, 300, 0));
        (0..20).for_each(|_| observe(&many, "a", calls(1, 300, 0)));
        let of = |costs| micros(costs, "a", Weight::Light);
        assert_eq!(of(&one), of(&many));
    }

    #[test]
    fn weight_decides_about_cutoff_until_the_function_was_measured() {
        let costs = Costs::new(DurabilityClass::None);
        let decide = |function: &str, weight| {
            costs.cutoff_pays(costs.estimate(&id(function), weight), weight)
        };
        observe(&costs, "quick", calls(31, 59, 0));
        assert!(decide("quick", Weight::Heavy).pays && !decide("quick", Weight::Light).pays);
        assert!(decide("new", Weight::Heavy).pays && !decide("new", Weight::Light).pays);
        // In memory a look-up and a row are taken for 3 us each.
        observe(&costs, "quick", calls(1, 59, 0));
        assert!(
            !decide("quick", Weight::Heavy).pays,
            "59 us are less than 10 times 6 us"
        );
        observe(&costs, "slow", calls(32, 61, 0));
        let slow = decide("slow", Weight::Light);
        assert!(slow.pays && slow.measured, "{slow:?}");
        assert_eq!(slow.lookup + slow.write, Duration::from_micros(6));
    }

    #[test]
    fn cutoff_follows_what_the_store_was_measured_at() {
        let costs = Costs::new(DurabilityClass::PowerLoss);
        observe(&costs, "a", calls(100, 100, 0));
        let pays = || {
            costs
                .cutoff_pays(costs.estimate(&id("a"), Weight::Heavy), Weight::Heavy)
                .pays
        };
        assert!(!pays(), "a disk is taken for slow until it was measured");
        costs.observe_lookup(1000, Duration::from_millis(2));
        costs.observe_write(1000, Duration::from_millis(3));
        assert!(pays(), "2 us and 3 us, and a call takes 100");
    }
}
