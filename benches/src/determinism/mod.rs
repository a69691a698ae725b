//! What checks of determinism cost: CPU time against the same request without them, time by the clock where a core is
//! idle, and how quickly an audit goes.

mod audits;
mod request;

use deriva::prelude::*;

use crate::Scale;
use crate::measure::{Sample, interleaved};
use crate::report::{Report, Target};
use request::{Asked, Graph};

const BENCH: &str = "determinism";

/// How much more than its runs a check may cost.
const BESIDE: f64 = 1.03;
/// What a second run may take by the clock where a core is idle.
const IDLE_CORE: f64 = 1.15;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let light = Graph::Layered {
        layers: scale.pick(100, 50),
    };
    let heavy = Graph::Apart {
        count: scale.pick(200, 100),
    };
    cpu("LAYERED", light, scale.pick(25, 11), report)?;
    cpu("functions of 2 ms", heavy, scale.pick(15, 7), report)?;
    let count = scale.pick(200, 100);
    for (name, chain) in [
        ("functions of 2 ms", Graph::Chain { count }),
        ("functions that wait 2 ms", Graph::Waits { count }),
    ] {
        for perturb in [false, true] {
            wall(name, chain, perturb, scale.pick(15, 7), report)?;
        }
    }
    audits::run(scale, report)
}

/// CPU time of a request that is checked, on one worker, against one that is not.
fn cpu(name: &str, graph: Graph, repetitions: usize, report: &mut Report) -> Result<()> {
    let sampled = |rate| Determinism::Sampled { rate };
    let plain = Asked {
        graph,
        mode: None,
        perturb: true,
        jobs: 1,
    };
    for (mode, perturb) in [
        (Determinism::Off, true),
        (sampled(0.1), false),
        (sampled(0.1), true),
        (sampled(0.5), false),
        (sampled(0.5), true),
        (Determinism::Dual, false),
        (Determinism::Dual, true),
    ] {
        let asked = Asked {
            mode: Some(mode),
            perturb,
            ..plain
        };
        let mut share = 0.0;
        let (ours, base) = interleaved(
            repetitions,
            || {
                let answered = asked.run()?;
                share = answered.checked as f64 / answered.computed as f64;
                Ok(by_cpu(answered.sample))
            },
            || Ok(by_cpu(plain.run()?.sample)),
        )?;
        let how = match (mode, perturb) {
            (Determinism::Off, _) => String::new(),
            (_, true) => format!(", perturbed, {:.1} % checked", 100.0 * share),
            (_, false) => format!(", not perturbed, {:.1} % checked", 100.0 * share),
        };
        let row = format!("{name}: {mode}{how} / plain, CPU");
        let target = Target::AtMost(((1.0 + share) * BESIDE * 1e3).round() / 1e3);
        report.add(BENCH, row, graph.len(), &ours, &base, target);
    }
    Ok(())
}

/// Time by the clock of a chain whose second runs have a core of their own.
fn wall(
    name: &str,
    chain: Graph,
    perturb: bool,
    repetitions: usize,
    report: &mut Report,
) -> Result<()> {
    let plain = Asked {
        graph: chain,
        mode: None,
        perturb,
        jobs: 2,
    };
    let dual = Asked {
        mode: Some(Determinism::Dual),
        ..plain
    };
    let (ours, base) = interleaved(
        repetitions,
        || Ok(dual.run()?.sample),
        || Ok(plain.run()?.sample),
    )?;
    let (how, target) = match perturb {
        // The second run begins when the first has ended.
        true => ("perturbed", Target::None),
        false => ("not perturbed", Target::AtMost(IDLE_CORE)),
    };
    let row = format!("chain of {name}: dual, {how} / plain, two jobs, wall");
    report.add(BENCH, row, chain.len(), &ours, &base, target);
    Ok(())
}

fn by_cpu(sample: Sample) -> Sample {
    Sample {
        seconds: sample.cpu_seconds,
        ..sample
    }
}
