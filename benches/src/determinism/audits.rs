//! How quickly recorded outputs are compared with what their recipes give.

use deriva::prelude::*;

use super::request::{Asked, Graph};
use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// Audits of graphs against computing them, by the clock.
pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let light = Graph::Layered {
        layers: scale.pick(20, 4),
    };
    let heavy = Graph::Apart {
        count: scale.pick(200, 60),
    };
    for (name, graph, jobs) in [
        ("LAYERED", light, 1),
        ("functions of 2 ms", heavy, 1),
        ("functions of 2 ms, two at a time", heavy, 2),
    ] {
        let asked = Asked {
            graph,
            mode: None,
            perturb: true,
            jobs,
        };
        let repetitions = scale.pick(9, 5);
        let (ours, base) = interleaved(repetitions, || audit(&asked), || Ok(asked.run()?.sample))?;
        let row = format!("audit of {name} / computing them, wall");
        report.add(super::BENCH, row, graph.len(), &ours, &base, Target::None);
    }
    Ok(())
}

fn audit(asked: &Asked) -> Result<Sample> {
    let runtime = runtime(asked.jobs)?;
    let deriva = runtime.block_on(async {
        let (deriva, targets) = asked.open().await?;
        asked.ask(&deriva, &targets).await?;
        Ok::<_, Error>(deriva)
    })?;
    let audit = async { deriva.audit().jobs(asked.jobs).await };
    let (audited, sample) = sample(|| runtime.block_on(audit))?;
    match audited.agreed == asked.graph.len() {
        true => Ok(sample),
        false => Err(
            Error::new(ErrorKind::Internal, "an audit left something out")
                .with("agreed", audited.agreed)
                .with("expected", asked.graph.len()),
        ),
    }
}
