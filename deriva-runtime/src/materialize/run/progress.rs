//! How far a run is, and how long it is likely to go on.

use std::time::Duration;

use super::Run;
use deriva_api::Event;

/// Time between two reports.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

impl Run {
    /// Reports how far the request is, if it is time or `now`.
    pub(super) fn report_progress(&mut self, now: bool) {
        if self.options.progress.is_none() {
            return;
        }
        let time = self.inner.clock.now();
        if !now && time.saturating_sub(self.reported) < INTERVAL {
            return;
        }
        self.reported = time;
        let summary = &self.summary;
        self.emit(Event::Progress {
            done: summary.computed + summary.cutoff + summary.failed + summary.skipped,
            planned: summary.planned,
            bytes: summary.bytes,
            left: self.left(time),
        });
    }

    /// The time that what is left of this plan is likely to take: its work, at the rate of work so far.
    fn left(&self, now: Duration) -> Option<Duration> {
        let elapsed = now.saturating_sub(self.options.began);
        let done: Duration = self.calls.iter().map(|calls| calls.time).sum();
        if done.is_zero() || elapsed.is_zero() {
            return None;
        }
        let functions = self.plan.functions.iter().zip(&self.calls);
        let work = functions
            .zip(&self.planned_of)
            .map(|((function, seen), planned)| {
                let open = planned.saturating_sub(seen.calls) as f64;
                let each = match u32::try_from(seen.calls) {
                    Ok(calls @ 1..) => seen.time / calls,
                    _ => {
                        self.inner
                            .costs
                            .estimate(function.id(), function.weight())
                            .time
                    }
                };
                open * each.as_secs_f64()
            });
        let rate = done.as_secs_f64() / elapsed.as_secs_f64();
        Duration::try_from_secs_f64(work.sum::<f64>() / rate).ok()
    }
}
