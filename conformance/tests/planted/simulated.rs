//! Some seeds of the simulation, one after the other: the first that fails ends it.

use crate::simulation::{silence_planned_panics, simulate};

/// Enough for every fault that is left to the simulation.
const SEEDS: u64 = 600;

#[test]
fn seeds_of_the_simulation() {
    silence_planned_panics();
    (0..SEEDS).for_each(|seed| drop(simulate(seed)));
}
