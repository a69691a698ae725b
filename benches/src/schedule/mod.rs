//! The scheduler's order in virtual time: how much longer than the bound that no schedule beats.
//!
//! Makespans are computed, not measured, so they are the same on every machine. Beside the plain bound (the
//! longest path, or the work divided evenly) stands a tighter one where the plain one is missed by more
//! than 5 %: it tells how much of that no order could have won.

mod bound;
mod graphs;

use deriva::Result;
use deriva::runtime::schedule::{Order, lower_bound, priorities, simulate};

use crate::Scale;
use crate::report::{Report, Target};

const WORKERS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000];
/// What a makespan may be, over the bound.
const WITHIN: f64 = 1.05;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    for graph in graphs::all(scale)? {
        let Some(shape) = graph.shape() else {
            continue;
        };
        for workers in WORKERS {
            let millis = |nanos: u64| nanos as f64 / 1e6;
            let bound = lower_bound(shape, &graph.costs, workers);
            let ours = simulate(shape, &graph.costs, Order::CriticalPath, workers);
            let fifo = simulate(shape, &graph.costs, Order::Fifo, workers);
            let guessed = priorities(shape, &graph.estimates);
            let guessed = Order::Priorities(&guessed);
            let guessed = simulate(shape, &graph.costs, guessed, workers);
            let row = |what: &str| format!("{}, {workers} worker(s): {what}", graph.name);
            let mut add = |what: &str, ours: u64, bound: u64, target| {
                report.add_figures(
                    "schedule",
                    row(what),
                    millis(ours),
                    millis(bound),
                    "ms",
                    target,
                );
            };
            add("longest path first", ours, bound, Target::AtMost(WITHIN));
            add("by estimated costs", guessed, bound, Target::None);
            add("first ready first", fifo, bound, Target::None);
            if ours as f64 > bound as f64 * WITHIN {
                let tighter = bound::tighter(shape, &graph.costs, workers).max(bound);
                add("over the tighter bound", ours, tighter, Target::None);
            }
        }
    }
    Ok(())
}
