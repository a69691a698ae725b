//! A large store opened.

use std::time::Duration;

use deriva::prelude::*;
use deriva_testkit::Workload;

use super::raw::Engine;
use super::{Place, blobs, dag};
use crate::Scale;
use crate::measure::{disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// Threads of a database that was just closed hold its lock for a moment, which is not to be measured.
const CLOSING: Duration = Duration::from_millis(500);

pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let workload = Workload::Layered {
        width: 1000,
        layers: scale.pick(1000, 100),
    };
    for engine in Engine::ALL {
        let (place, runtime) = (Place::new()?, runtime(2)?);
        runtime.block_on(async {
            let store = place
                .open(&format!("{}?durability=buffered", engine.name()))
                .await?;
            workload.load(&*blobs(&store)?, &*dag(&store)?).await?;
            dag(&store)?.flush().await
        })?;
        place.fill(*engine, workload)?;
        let open = || {
            std::thread::park_timeout(CLOSING);
            let (store, sample) = sample(|| runtime.block_on(place.open(engine.name())))?;
            drop(store);
            Ok(sample)
        };
        let raw_open = || {
            std::thread::park_timeout(CLOSING);
            let (raw, sample) = sample(|| place.raw(*engine))?;
            drop(raw);
            Ok(sample)
        };
        let (mut ours, baseline) = interleaved(scale.repetitions(), open, raw_open)?;
        ours.disk_bytes = disk_bytes(&place.store())?;
        report.add(
            "stores",
            format!("{}: open {} recipes", engine.name(), workload.len()),
            1,
            &ours,
            &baseline,
            Target::Within(2000.0),
        );
    }
    Ok(())
}
