//! The whole runtime under a seed: clients on one thread, over a store that gives way a random number of times
//! around each call and fails now and then, with a clock that a task moves on. The same seed gives the same
//! run, event by event.
//!
//! `DERIVA_SEEDS` says how many seeds are tried (and `DERIVA_FIRST_SEED` which is the first); `DERIVA_SEED`
//! repeats one, with its trace.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

// Its parts lie beside it, as another test runs it, too.
#[path = "run.rs"]
mod run;

use std::panic::{catch_unwind, resume_unwind};

use run::{silence_planned_panics, simulate};

/// Seeds that are tried unless the environment says otherwise.
const SEEDS: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_answer_is_right_and_nothing_is_left_over() {
    silence_planned_panics();
    if let Some(seed) = number("DERIVA_SEED") {
        println!("{}", simulate(seed).join("\n"));
        return;
    }
    let first = number("DERIVA_FIRST_SEED").unwrap_or(0);
    let seeds = number("DERIVA_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Each thread is a simulation of its own.
    let failed = std::thread::scope(|scope| {
        let run = |thread: usize| {
            let seeds = (first..first + seeds).skip(thread).step_by(threads);
            move || seeds.for_each(|seed| drop(simulate(seed)))
        };
        let threads: Vec<_> = (0..threads).map(|i| scope.spawn(run(i))).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        ended.into_iter().find_map(Result::err)
    });
    if let Some(panic) = failed {
        resume_unwind(panic);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    silence_planned_panics();
    let first = number("DERIVA_FIRST_SEED").unwrap_or(0);
    let seeds = number("DERIVA_SEEDS").unwrap_or(SEEDS) / 10;
    let mut before = Vec::new();
    for seed in first..first + seeds {
        let trace = simulate(seed);
        assert_ne!(trace, before, "two seeds, one trace");
        let again = catch_unwind(|| simulate(seed)).unwrap();
        let differs = trace
            .iter()
            .zip(&again)
            .position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!(
                "seed {seed} gives two traces, from line {at} of {}: {:?} and {:?}",
                trace.len(),
                trace[at],
                again[at]
            );
        }
        assert_eq!(trace.len(), again.len(), "seed {seed}");
        before = trace;
    }
}
