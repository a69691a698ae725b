//! What is under way, and what went wrong lately: what metrics cannot say, as their labels are bounded and have no
//! addresses.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use deriva_api::{CAddr, Clock, Error, ErrorKind, Event, Observer, Summary, Violation};
use deriva_runtime::Deriva;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::stores::kind_label;

/// Addresses of a request that are told.
const ADDRESSES: usize = 3;
/// Characters of a message that are told.
const MESSAGE: usize = 300;
/// What a violation is called.
const VIOLATION: &str = "violation";

/// Knows what requests of one instance are under way, and what went wrong lately: an [`Observer`] of the builder.
///
/// It hears of every recipe, so it is given where somebody may look. What it keeps is bounded, but for a few numbers for each
/// request that is under way.
///
/// ```
/// # use std::sync::Arc;
/// # use deriva_api::{BlobStore, DagStore, SystemClock};
/// # use deriva_metrics::Activity;
/// # use deriva_runtime::DerivaBuilder;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = deriva_testkit::ModelStore::new();
/// # let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (Arc::new(store.clone()), Arc::new(store));
/// let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
/// let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
/// let deriva = builder.observer(activity.clone()).build().await?;
/// let report = activity.report(&deriva);
/// assert!(report.requests.is_empty() && report.incidents.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Activity {
    state: Arc<State>,
}

/// What is known, shared with those who hear of one request.
struct State {
    clock: Arc<dyn Clock>,
    /// The next request's number.
    next: AtomicU64,
    reused: AtomicU64,
    requests: Mutex<BTreeMap<u64, Arc<Progress>>>,
    incidents: Mutex<Incidents>,
}

/// The latest, and how many there were.
#[derive(Default)]
struct Incidents {
    latest: VecDeque<Incident>,
    total: u64,
}

/// How far a request is.
#[derive(Default)]
struct Progress {
    addresses: Vec<String>,
    asked: u64,
    began_millis: u64,
    /// How many plans were made.
    plans: AtomicU64,
    planned: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    /// Milliseconds, plus one; 0 where that is not known.
    left: AtomicU64,
}

/// What is under way and what went wrong lately, as programs read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ActivityReport {
    /// The version of deriva.
    pub version: String,
    /// The store, as a URI or a stack of layers; two where graph and blobs lie apart.
    pub store: String,
    /// When this was told: milliseconds since 1970.
    pub now_millis: u64,
    /// Requests under way; more than are listed.
    pub active: u64,
    /// Those that have run longest, [`Activity::REQUESTS`] at the most.
    pub requests: Vec<ActiveRequest>,
    /// Recipes whose output was known, since the instance was built.
    pub reused: u64,
    /// What went wrong, [`Activity::INCIDENTS`] at the most, the latest first.
    pub incidents: Vec<Incident>,
    /// All that went wrong since the instance was built, also what is no longer listed.
    pub incidents_total: u64,
}

/// A request that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ActiveRequest {
    /// Its number in this instance, from 1.
    pub number: u64,
    /// The first addresses that it asks for, shortened.
    pub addresses: Vec<String>,
    /// How many it asks for.
    pub asked: u64,
    /// When it began: milliseconds since 1970.
    pub began_millis: u64,
    /// `planning`, `computing`, or `ending`: results are written, or a further part is planned.
    pub phase: String,
    /// Recipes that its present plan computes.
    pub planned: u64,
    /// How many of them need nothing more, failed ones included.
    pub done: u64,
    /// Recipes that failed.
    pub failed: u64,
    /// Seconds that its present plan is likely to take, once something is known of it.
    pub left_seconds: Option<f64>,
}

/// Something that went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Incident {
    /// When: milliseconds since 1970.
    pub at_millis: u64,
    /// `error`, or `violation`: runs of a recipe gave different outputs.
    pub what: String,
    /// The number of the request, where one found it.
    pub request: Option<u64>,
    /// The recipe, shortened.
    pub addr: Option<String>,
    /// The recipe's function, where it is known.
    pub function: Option<String>,
    /// The kind of the error, as the label `kind` of metrics has it.
    pub kind: String,
    /// What happened, in one line.
    pub message: String,
}

impl Activity {
    /// Requests that a report lists at the most: 100.
    pub const REQUESTS: usize = 100;
    /// Things that went wrong that are kept: 100.
    pub const INCIDENTS: usize = 100;

    /// Knows of nothing yet, and has the time from this clock: that of the instance.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            clock,
            next: AtomicU64::new(1),
            reused: AtomicU64::new(0),
            requests: Mutex::default(),
            incidents: Mutex::default(),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// What is under way in the instance that it observes, and what went wrong.
    #[must_use]
    pub fn report(&self, deriva: &Deriva) -> ActivityReport {
        let (blobs, dag) = (deriva.blobs().to_string(), deriva.dag().to_string());
        let requests = self.state.requests.lock();
        let listed = requests.iter().take(Self::REQUESTS);
        let listed = listed.map(|(number, progress)| progress.told(*number));
        let (active, requests) = (requests.len() as u64, listed.collect());
        let incidents = self.state.incidents.lock();
        ActivityReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: match blobs == dag {
                true => dag,
                false => format!("{blobs}, {dag}"),
            },
            now_millis: self.state.now_millis(),
            active,
            requests,
            reused: self.state.reused.load(Relaxed),
            incidents: incidents.latest.iter().rev().cloned().collect(),
            incidents_total: incidents.total,
        }
    }
}

impl Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").finish_non_exhaustive()
    }
}

impl Observer for Activity {
    /// What happens during a request is heard by [one of its own](Observer::of_request).
    fn wants_events(&self) -> bool {
        false
    }

    fn of_request(&self, addresses: &[CAddr]) -> Option<Arc<dyn Observer>> {
        let number = self.state.next.fetch_add(1, Relaxed);
        let progress = Arc::new(Progress {
            addresses: addresses.iter().take(ADDRESSES).map(CAddr::short).collect(),
            asked: addresses.len() as u64,
            began_millis: self.state.now_millis(),
            ..Progress::default()
        });
        let mut requests = self.state.requests.lock();
        requests.insert(number, Arc::clone(&progress));
        Some(Arc::new(OfRequest {
            state: Arc::clone(&self.state),
            number,
            progress,
        }))
    }

    fn violated(&self, violation: &Violation) {
        let function = violation.function.to_string();
        let seen = violation.to_string();
        // The function stands beside it.
        let message = seen.strip_prefix(&function).unwrap_or(&seen).trim_start();
        self.state.note(Incident {
            what: VIOLATION.to_owned(),
            addr: Some(violation.recipe.short()),
            message: message.to_owned(),
            function: Some(function),
            kind: kind_label(ErrorKind::Nondeterministic).to_owned(),
            ..Incident::default()
        });
    }
}

impl State {
    fn now_millis(&self) -> u64 {
        let since = self.clock.date().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }

    fn has_violation(&self, addr: &str) -> bool {
        let incidents = self.incidents.lock();
        let mut latest = incidents.latest.iter();
        latest.any(|it| it.what == VIOLATION && it.addr.as_deref() == Some(addr))
    }

    fn note(&self, mut incident: Incident) {
        incident.at_millis = self.now_millis();
        incident.message = one_line(&incident.message);
        let mut incidents = self.incidents.lock();
        incidents.total += 1;
        if incidents.latest.len() == Activity::INCIDENTS {
            incidents.latest.pop_front();
        }
        incidents.latest.push_back(incident);
    }
}

/// The beginning of a text, on one line.
fn one_line(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(MESSAGE).map(line).collect();
    if text.chars().nth(MESSAGE).is_some() {
        line.push_str("...");
    }
    line
}

impl Progress {
    fn told(&self, number: u64) -> ActiveRequest {
        let (planned, done) = (self.planned.load(Relaxed), self.done.load(Relaxed));
        let left = self.left.load(Relaxed).checked_sub(1);
        ActiveRequest {
            number,
            addresses: self.addresses.clone(),
            asked: self.asked,
            began_millis: self.began_millis,
            phase: match self.plans.load(Relaxed) {
                0 => "planning",
                _ if done < planned => "computing",
                _ => "ending",
            }
            .to_owned(),
            planned,
            done,
            failed: self.failed.load(Relaxed),
            left_seconds: left.map(|millis| millis as f64 / 1e3),
        }
    }

    fn step(&self, done: u64, planned: u64, left: Option<Duration>) {
        let left = left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(0) + 1);
        for (of, value) in [
            (&self.done, done),
            (&self.planned, planned),
            (&self.left, left),
        ] {
            of.store(value, Relaxed);
        }
    }
}

/// Hears of one request.
struct OfRequest {
    state: Arc<State>,
    number: u64,
    progress: Arc<Progress>,
}

impl OfRequest {
    fn note(&self, addr: Option<CAddr>, error: &Error) {
        // A violation is told by itself.
        let is_known = |addr: CAddr| self.state.has_violation(&addr.short());
        if error.kind() == ErrorKind::Nondeterministic && addr.is_some_and(is_known) {
            return;
        }
        self.state.note(Incident {
            what: "error".to_owned(),
            request: Some(self.number),
            addr: addr.map(|addr| addr.short()),
            function: error.context("function").map(str::to_owned),
            kind: kind_label(error.kind()).to_owned(),
            message: error.message().to_owned(),
            ..Incident::default()
        });
    }
}

impl Observer for OfRequest {
    fn event(&self, event: &Event) {
        let progress = &self.progress;
        match event {
            Event::Planned { compute, .. } => {
                progress.step(0, *compute, None);
                progress.plans.fetch_add(1, Relaxed);
            }
            Event::Progress {
                done,
                planned,
                left,
                ..
            } => progress.step(*done, *planned, *left),
            Event::Reused { .. } => {
                self.state.reused.fetch_add(1, Relaxed);
            }
            Event::Failed { addr, error } => {
                progress.failed.fetch_add(1, Relaxed);
                self.note(Some(*addr), error);
            }
            _ => {}
        }
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>, _: Duration) {
        self.state.requests.lock().remove(&self.number);
        match ended {
            // Who gave it up knows of that; what a recipe came to was told when it did.
            Err(error)
                if error.kind() != ErrorKind::Cancelled
                    && self.progress.failed.load(Relaxed) == 0 =>
            {
                self.note(error.path().first().copied(), error);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use deriva_api::SystemClock;

    use super::*;

    fn activity() -> Activity {
        Activity::new(Arc::new(SystemClock::new()))
    }

    fn listed(activity: &Activity) -> Vec<ActiveRequest> {
        let requests = activity.state.requests.lock();
        requests.iter().map(|(n, it)| it.told(*n)).collect()
    }

    fn incidents(activity: &Activity) -> Vec<Incident> {
        activity.state.incidents.lock().latest.clone().into()
    }

    #[test]
    fn requests_that_run_beside_each_other_are_told_apart() {
        let activity = activity();
        let addrs: Vec<CAddr> = (0..5u8).map(|n| CAddr::of_blob(&[n])).collect();
        let one = activity.of_request(&addrs).unwrap();
        let other = activity.of_request(&addrs[..1]).unwrap();
        one.event(&Event::Planned {
            compute: 8,
            reused: 1,
        });
        one.event(&Event::Progress {
            done: 3,
            planned: 8,
            bytes: 0,
            left: Some(Duration::from_millis(1500)),
        });
        let [first, second] = &listed(&activity)[..] else {
            panic!("two are under way");
        };
        assert_eq!((first.number, first.asked), (1, 5));
        let short: Vec<String> = addrs[..3].iter().map(CAddr::short).collect();
        assert_eq!(first.addresses, short);
        assert_eq!((first.done, first.planned), (3, 8));
        assert_eq!(first.left_seconds, Some(1.5));
        assert_eq!((&*first.phase, &*second.phase), ("computing", "planning"));
        one.event(&Event::Progress {
            done: 8,
            planned: 8,
            bytes: 0,
            left: None,
        });
        assert_eq!(listed(&activity)[0].phase, "ending");
        one.request_ended(Ok(&Summary::default()), Duration::ZERO);
        assert_eq!(listed(&activity).len(), 1);
        other.request_ended(
            Err(&Error::new(ErrorKind::Cancelled, "given up")),
            Duration::ZERO,
        );
        assert!(listed(&activity).is_empty() && incidents(&activity).is_empty());
    }

    #[test]
    fn what_went_wrong_is_told_once_and_the_latest_are_kept() {
        let activity = activity();
        let addr = CAddr::of_blob(b"recipe");
        let request = activity.of_request(&[addr]).unwrap();
        let long = "no\n".repeat(MESSAGE);
        let error = Error::new(ErrorKind::Function, long).with("function", "f/1");
        request.event(&Event::Failed {
            addr,
            error: error.clone(),
        });
        request.request_ended(Err(&error.along(vec![addr])), Duration::ZERO);
        let [failed] = &incidents(&activity)[..] else {
            panic!("once");
        };
        assert_eq!((&*failed.what, failed.request), ("error", Some(1)));
        assert_eq!(failed.addr, Some(addr.short()));
        assert_eq!(failed.function.as_deref(), Some("f/1"));
        assert_eq!(failed.kind, "function");
        assert!(failed.message.starts_with("no no ") && failed.message.ends_with("..."));
        assert!(failed.message.len() <= MESSAGE + 3);

        let late = activity.of_request(&[addr]).unwrap();
        late.request_ended(Err(&Error::new(ErrorKind::Timeout, "late")), Duration::ZERO);
        assert_eq!(incidents(&activity)[1].kind, "timeout");
        let violation = Violation::new(addr, addr, "g/2".parse().unwrap(), Vec::new());
        for _ in 0..Activity::INCIDENTS {
            activity.violated(&violation);
        }
        // That its recipe failed of it is no second incident.
        let lied = activity.of_request(&[addr]).unwrap();
        let error = Error::new(ErrorKind::Nondeterministic, "it differs");
        lied.event(&Event::Failed {
            addr,
            error: error.clone(),
        });
        lied.request_ended(Err(&error), Duration::ZERO);
        let kept = incidents(&activity);
        assert_eq!(kept.len(), Activity::INCIDENTS);
        assert!(kept.iter().all(|incident| incident.what == "violation"));
        assert_eq!(activity.state.incidents.lock().total, 102);
    }
}
