//! Calls that a service answers to others: told by the service, as the runtime does not see them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Clock, Distribution};

use crate::metrics::State;
use crate::sheet::Sheet;

/// How a call ended that was given up before it was answered.
const CANCELLED: &str = "cancelled";
/// How one ended that panicked.
const PANICKED: &str = "internal";

/// The calls of each method, by service and name.
#[derive(Debug, Default)]
pub(crate) struct ServedCounts(BTreeMap<(&'static str, &'static str), Method>);

#[derive(Debug, Default)]
struct Method {
    active: u64,
    /// By code.
    ended: BTreeMap<&'static str, u64>,
    durations: Distribution,
}

impl ServedCounts {
    pub(crate) fn note(&self, sheet: &mut Sheet) {
        for ((service, name), method) in &self.0 {
            sheet.count(
                "deriva_server_calls_active",
                &[service, name],
                method.active,
            );
            for (code, count) in &method.ended {
                let labels = [*service, name, code];
                sheet.count("deriva_server_calls_total", &labels, *count);
            }
            let family = "deriva_server_call_duration_seconds";
            sheet.distribution(family, &[service, name], &method.durations);
        }
    }
}

/// Counts the calls that a service over the instance answers: see [`Metrics::served`](crate::Metrics::served).
///
/// ```
/// # use std::sync::Arc;
/// let metrics = deriva_metrics::Metrics::new()?;
/// let served = metrics.served();
/// let mut call = served.begin("example.v1.Words", "Count");
/// // ... it is answered ...
/// call.ends("ok");
/// drop(call);
/// # Ok::<(), deriva_api::Error>(())
/// ```
#[derive(Clone)]
pub struct Served {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
}

impl Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

impl Served {
    pub(crate) fn new(state: Arc<State>, clock: Arc<dyn Clock>) -> Self {
        Self { state, clock }
    }

    /// A call begins, of a method of a service. Both are labels: there are as many of them as the program has names for.
    #[must_use = "the call is under way until this is dropped"]
    pub fn begin(&self, service: &'static str, method: &'static str) -> ServedCall {
        let mut counts = self.state.served.lock();
        counts.0.entry((service, method)).or_default().active += 1;
        drop(counts);
        ServedCall {
            served: self.clone(),
            of: (service, method),
            began: self.clock.now(),
            code: CANCELLED,
        }
    }

    fn ended(&self, of: (&'static str, &'static str), code: &'static str, took: Duration) {
        let mut counts = self.state.served.lock();
        let method = counts.0.entry(of).or_default();
        // What was forgotten meanwhile began before.
        method.active = method.active.saturating_sub(1);
        *method.ended.entry(code).or_default() += 1;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        method.durations.add(nanos);
    }
}

/// A call that is under way until this is dropped: then it counts as ended.
#[derive(Debug)]
pub struct ServedCall {
    served: Served,
    of: (&'static str, &'static str),
    began: Duration,
    code: &'static str,
}

impl ServedCall {
    /// How the call ends: a label, such as the name of a status. Default: `cancelled`; and `internal` where this is dropped by
    /// a panic.
    pub fn ends(&mut self, code: &'static str) {
        self.code = code;
    }
}

impl Drop for ServedCall {
    fn drop(&mut self) {
        let took = self.served.clock.now().saturating_sub(self.began);
        let code = match self.code == CANCELLED && std::thread::panicking() {
            true => PANICKED,
            false => self.code,
        };
        self.served.ended(self.of, code, took);
    }
}
