//! What a request tells while it is at work.

use std::sync::Arc;

use deriva_api::{
    CAddr, Error, Event, Observer, Output, Reason, Request, Reuse, Summary, Violation,
};

use super::Break;

/// Who hears of a request, if anybody does. Clones tell the same.
#[derive(Clone)]
pub(super) struct Teller {
    broken: Option<Break>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Teller {
    pub(super) fn new(request: &Request, broken: Option<Break>) -> Self {
        let observers = request.observers.clone();
        Self { broken, observers }
    }

    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    fn tell(&self, event: &Event) {
        for observer in &self.observers {
            observer.event(event);
        }
    }

    pub(super) fn planned(&self, compute: u64, found: &[(CAddr, Output)]) {
        let reused = found.len() as u64;
        self.tell(&Event::Planned { compute, reused });
        for (addr, output) in found {
            self.reused(*addr, *output, Reuse::Recorded);
        }
    }

    pub(super) fn started(&self, addr: CAddr, reason: Reason) {
        if !self.broken(Break::tells_that_a_step_began_when_it_ended) {
            self.tell(&Event::Started { addr, reason });
        }
    }

    pub(super) fn computed(&self, addr: CAddr, output: Output, reason: Reason) {
        self.tell(&Event::Computed {
            addr,
            output,
            reason,
        });
        if self.broken(Break::tells_that_a_step_began_when_it_ended) {
            self.tell(&Event::Started { addr, reason });
        }
        if reason == Reason::Lost {
            self.tell(&Event::Healed { addr });
        }
    }

    pub(super) fn reused(&self, addr: CAddr, output: Output, how: Reuse) {
        if !self.broken(Break::tells_nothing_of_what_is_known) {
            self.tell(&Event::Reused { addr, output, how });
        }
    }

    pub(super) fn failed(&self, addr: CAddr, error: &Error) {
        let error = error.clone();
        self.tell(&Event::Failed { addr, error });
    }

    pub(super) fn violated(&self, addr: CAddr, violation: Violation) {
        let violation = Arc::new(violation);
        self.tell(&Event::Violated { addr, violation });
    }

    pub(super) fn skipped(&self, addr: CAddr) {
        self.tell(&Event::Skipped { addr });
    }

    /// How far it is. Told whenever something has ended.
    pub(super) fn progress(&self, summary: &Summary) {
        let ended = summary.computed + summary.cutoff + summary.joined;
        let done = ended + summary.failed + summary.skipped;
        if done == summary.planned && self.broken(Break::leaves_the_last_progress_out) {
            return;
        }
        self.tell(&Event::Progress {
            done,
            planned: summary.planned,
            bytes: summary.bytes,
            left: None,
        });
    }
}
