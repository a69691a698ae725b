//! The memory cache: what a hit takes, and what its policy saves on recorded and made-up traces.

mod bound;
mod replay;
mod synthetic;
mod trace;
mod warm;

use deriva::Result;

use crate::Scale;
use crate::report::{Report, Target};
use replay::{Gdsf, Lru, QuickCache, Saved, replay};
use trace::Trace;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    warm::run(scale, report)?;
    let mut traces = vec![Trace::corpus()?];
    traces.extend(synthetic::all(scale.pick(400_000, 40_000)));
    for trace in traces {
        for percent in [2, 10, 30] {
            compare(&trace, percent, report);
        }
    }
    Ok(())
}

/// Replays a trace in a cache that holds `percent` of all bytes that occur in it.
fn compare(trace: &Trace, percent: u64, report: &mut Report) {
    let limit = trace.bytes() * percent / 100;
    let ours = replay(trace, &mut Gdsf::new(trace, limit));
    let lru = replay(trace, &mut Lru::new(limit));
    let quick = replay(trace, &mut QuickCache::new(limit));
    let bound = Saved {
        seconds: bound::saved_at_most(trace, limit, trace::Key::seconds),
        hits: bound::saved_at_most(trace, limit, |_| 1.0),
    };
    let requests = trace.accesses.len() as f64;
    let mut add = |what: &str, unit, of: &dyn Fn(&Saved) -> f64| {
        for (than, other) in [
            ("LRU", &lru),
            ("quick_cache", &quick),
            ("upper bound", &bound),
        ] {
            let row = format!("{}, {percent} % held: {what} / {than}", trace.name);
            report.add_figures("cache", row, of(&ours), of(other), unit, Target::None);
        }
    };
    add("cost saved", "s", &|saved| saved.seconds);
    add("hit ratio", "%", &|saved| 100.0 * saved.hits / requests);
}
