//! One seed: its world, its clients, and what must hold in the end.

mod acknowledged;
mod audit;
mod clients;
mod graph;
mod world;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

pub(crate) use world::silence_planned_panics;

use world::World;

/// Lines of the trace that a failure shows.
const SHOWN: usize = 60;

/// Runs one seed; answers with its trace.
pub(crate) fn simulate(seed: u64) -> Vec<String> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = tokio.block_on(async {
        let world = Arc::new(World::new(seed).await);
        let ended = AssertUnwindSafe(world.in_time(async {
            clients::run(&world).await;
            audit::run(&world).await;
        }));
        let ended = futures::FutureExt::catch_unwind(ended).await;
        ended
            .map(|()| world.trace())
            .map_err(|panic| (panic, world.trace()))
    });
    ended.unwrap_or_else(|(panic, trace)| {
        // One that is repeated shows all.
        let shown = std::env::var("DERIVA_SEED").map_or(SHOWN, |_| usize::MAX);
        let from = trace.len().saturating_sub(shown);
        eprintln!("{}", trace[from..].join("\n"));
        eprintln!("seed {seed} failed: DERIVA_SEED={seed} repeats it");
        resume_unwind(panic)
    })
}
