//! Reads of a store that was opened anew: recipes at random, and who depends on them.

use deriva::CAddr;
use deriva::prelude::*;
use deriva_testkit::{SplitMix64, Workload};
use futures::TryStreamExt;

use super::raw::{Engine, Raw};
use super::rows::key;
use super::{Place, blobs, dag, missing};
use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// Addresses asked for at once.
const TOGETHER: usize = 100;

pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let layers = scale.pick(100, 10);
    let layered = Workload::Layered {
        width: 1000,
        layers,
    };
    let hub = Workload::Hub {
        width: scale.pick(100_000, 10_000),
    };
    let mut random = SplitMix64::new(7);
    let mut drawn = Vec::new();
    let recipes = layered.recipes().collect::<Result<Vec<_>>>()?;
    // Not of the last layer, which nobody but the last recipe needs.
    let needed = recipes.len() as u64 - 1001;
    for _ in 0..scale.pick(20_000, 2000) {
        drawn.push(recipes[random.below(needed) as usize].addr());
    }
    let leaf = Blob::new(0u64.to_le_bytes().to_vec()).addr();
    for engine in Engine::ALL {
        let bench = Bench {
            engine: *engine,
            repetitions: scale.repetitions(),
        };
        let place = bench.load(&layered)?;
        bench.compare(
            report,
            &place,
            &format!("get_many of {TOGETHER}"),
            &drawn,
            async |dag, addrs| {
                for addrs in addrs.chunks(TOGETHER) {
                    let found = dag.get_many(addrs).await?;
                    if found.iter().any(Option::is_none) {
                        return Err(missing("a recipe"));
                    }
                }
                Ok(())
            },
            |raw, addr| {
                let mut bytes = 0;
                let mut read = |value: &[u8]| bytes += value.len();
                raw.get(&key(b"r", &[*addr]), &mut read)?;
                raw.get(&key(b"o", &[*addr]), &mut read)?;
                Ok(bytes)
            },
        )?;
        let dependents = async |dag: &dyn DagStore, addrs: &[CAddr]| {
            for addr in addrs {
                let found = dag.dependents(*addr, None);
                if found.try_collect::<Vec<_>>().await?.is_empty() {
                    return Err(missing("an edge"));
                }
            }
            Ok(())
        };
        let scan = |raw: &dyn Raw, addr: &CAddr| {
            let mut bytes = 0;
            raw.scan(&key(b"d", &[*addr]), &mut |key, value| {
                bytes += key.len() + value.len();
            })?;
            Ok(bytes)
        };
        bench.compare(
            report,
            &place,
            "dependents of a recipe",
            &drawn,
            dependents,
            scan,
        )?;
        let place = bench.load(&hub)?;
        let row = format!("all dependents of a hub of {}", hub.len());
        bench.compare(report, &place, &row, &[leaf], dependents, scan)?;
    }
    Ok(())
}

struct Bench {
    engine: Engine,
    repetitions: usize,
}

impl Bench {
    fn load(&self, workload: &Workload) -> Result<Place> {
        let (place, runtime) = (Place::new()?, runtime(2)?);
        runtime.block_on(async {
            let scheme = format!("{}?durability=buffered", self.engine.name());
            let store = place.open(&scheme).await?;
            workload.load(&*blobs(&store)?, &*dag(&store)?).await?;
            dag(&store)?.flush().await
        })?;
        place.fill(self.engine, *workload)?;
        Ok(place)
    }

    /// Both read everything once before they are measured, so that caches are warm.
    fn compare(
        &self,
        report: &mut Report,
        place: &Place,
        row: &str,
        addrs: &[CAddr],
        ours: impl AsyncFn(&dyn DagStore, &[CAddr]) -> Result<()>,
        raw: impl Fn(&dyn Raw, &CAddr) -> Result<usize>,
    ) -> Result<()> {
        let mine = || -> Result<Sample> {
            let runtime = runtime(2)?;
            let store = runtime.block_on(place.open(self.engine.name()))?;
            let dag = dag(&store)?;
            let read = || runtime.block_on(ours(&*dag, addrs));
            read()?;
            Ok(sample(read)?.1)
        };
        let base = || -> Result<Sample> {
            let engine = place.raw(self.engine)?;
            let read = || {
                for addr in addrs {
                    if std::hint::black_box(raw(&*engine, addr)?) == 0 {
                        return Err(missing("a row"));
                    }
                }
                Ok(())
            };
            read()?;
            Ok(sample(read)?.1)
        };
        let (ours, baseline) = interleaved(self.repetitions, mine, base)?;
        report.add(
            "stores",
            format!("{}: {row}", self.engine.name()),
            addrs.len() as u64,
            &ours,
            &baseline,
            Target::None,
        );
        Ok(())
    }
}
