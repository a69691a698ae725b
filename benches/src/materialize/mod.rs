//! Graphs computed cold: LAYERED, CHAIN, FANIN, HUB, BURN.

mod cold;
mod engines;
mod light;

use deriva::prelude::*;
use deriva_testkit::Workload;

use crate::Scale;
use crate::bare::BareGraph;
use crate::heap;
use crate::measure::{Sample, interleaved, sample};
use crate::report::{Report, Target};
use cold::Cold;

const BENCH: &str = "materialize";

/// What is aimed at for each node in memory, in microseconds of CPU time, and as a multiple of the bare loop.
const STORED: (f64, f64) = (0.8, 8.0);
const NOT_STORED: f64 = 0.65;
const CUTOFF_FORCED: f64 = 1.2;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let (small, large) = sizes(scale);
    memory(scale, report)?;
    against_bare(small, scale, report)?;
    for (name, ours, base, target) in [
        ("LAYERED(1000,1000) / LAYERED(1000,100)", large, small, 1.6),
        ("CHAIN(1M) / LAYERED(1000,1000)", chain(large), large, 1.6),
        ("FANIN(100k) / LAYERED(1000,100)", fan_in(small), small, 1.6),
        ("HUB(100k) / LAYERED(1000,100)", hub(small), small, 1.6),
    ] {
        let repetitions = scale.pick(if ours.len() > 500_000 { 5 } else { 9 }, 3);
        per_node(name, ours, base, target, repetitions, report)?;
    }
    for (name, workload, target) in [
        ("LAYERED(1000,100)", small, 1.5),
        ("LAYERED(1000,1000)", large, 1.5),
        ("BURN(8,50)", burn(scale), 1.9),
    ] {
        two_workers(name, workload, target, scale, report)?;
    }
    light::run(scale, report)?;
    engines::run(scale, report)
}

/// LAYERED(1000,100) and LAYERED(1000,1000).
fn sizes(scale: Scale) -> (Workload, Workload) {
    let layered = |layers| Workload::Layered {
        width: 1000,
        layers,
    };
    (layered(scale.pick(100, 20)), layered(scale.pick(1000, 100)))
}

fn chain(like: Workload) -> Workload {
    Workload::Chain { length: like.len() }
}

fn fan_in(like: Workload) -> Workload {
    Workload::FanIn { width: like.len() }
}

fn hub(like: Workload) -> Workload {
    Workload::Hub { width: like.len() }
}

fn burn(scale: Scale) -> Workload {
    Workload::Burn {
        branches: 8,
        millis: scale.pick(50, 10),
    }
}

/// What `--peak` measures: memory that LAYERED(1000,1000) takes while it is computed, what the store
/// grows by among it.
pub(crate) fn peak(scale: Scale) -> Result<Sample> {
    Cold::new(sizes(scale).1).run()
}

fn memory(scale: Scale, report: &mut Report) -> Result<()> {
    let (peak, nodes) = (heap::measured_apart(scale.quick)?, sizes(scale).1.len());
    let each = peak.peak_bytes as f64 / nodes as f64;
    let row = "LAYERED(1000,1000) memory, peak growth of memory";
    report.add_figures(BENCH, row, each, 400.0, "B/node", Target::Below(400.0));
    Ok(())
}

/// One worker against the bare loop with BLAKE3 of each output.
fn against_bare(workload: Workload, scale: Scale, report: &mut Report) -> Result<()> {
    let graph = BareGraph::new(workload)?;
    let all = Cold::new(workload);
    let nothing = Cold {
        results: StoreResults::None,
        ..all
    };
    let forced = Cold {
        cutoff: Cutoff::Always,
        ..all
    };
    for (name, cold, below, times) in [
        ("", all, STORED.0, Target::AtMost(STORED.1)),
        (", nothing stored", nothing, NOT_STORED, Target::None),
        (", cutoff forced", forced, CUTOFF_FORCED, Target::None),
    ] {
        let (ours, bare) = interleaved(
            scale.pick(25, 9),
            || Ok(cpu(cold.run()?)),
            || Ok(cpu(sample(|| Ok(graph.run()))?.1)),
        )?;
        let count = workload.len();
        let row = format!("LAYERED(1000,100) memory{name}, CPU");
        report.add(
            BENCH,
            row.clone(),
            count,
            &ours,
            &bare,
            Target::Below(below),
        );
        if !matches!(times, Target::None) {
            report.add(
                BENCH,
                format!("{row} / bare loop"),
                count,
                &ours,
                &bare,
                times,
            );
        }
    }
    Ok(())
}

/// CPU time for each node of a graph against that of another.
fn per_node(
    name: &str,
    ours: Workload,
    base: Workload,
    target: f64,
    repetitions: usize,
    report: &mut Report,
) -> Result<()> {
    let (count, scaled) = (ours.len(), ours.len() as f64 / base.len() as f64);
    let (ours, base) = interleaved(
        repetitions,
        || Ok(cpu(Cold::new(ours).run()?)),
        || {
            let sample = cpu(Cold::new(base).run()?);
            let seconds = sample.seconds * scaled;
            Ok(Sample { seconds, ..sample })
        },
    )?;
    let row = format!("{name}, memory, CPU");
    report.add(BENCH, row, count, &ours, &base, Target::AtMost(target));
    Ok(())
}

/// Two workers against one, by the clock.
fn two_workers(
    name: &str,
    workload: Workload,
    target: f64,
    scale: Scale,
    report: &mut Report,
) -> Result<()> {
    let one = Cold::new(workload);
    let two = Cold { workers: 2, ..one };
    let repetitions = scale.pick(if workload.len() > 500_000 { 5 } else { 15 }, 3);
    let (ours, base) = interleaved(repetitions, || two.run(), || one.run())?;
    let row = format!("{name} memory, two workers / one");
    let target = Target::AtLeast(target);
    report.add(BENCH, row, workload.len(), &ours, &base, target);
    Ok(())
}

/// CPU time in place of time by the clock.
fn cpu(sample: Sample) -> Sample {
    Sample {
        seconds: sample.cpu_seconds,
        ..sample
    }
}
