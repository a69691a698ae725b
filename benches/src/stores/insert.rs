//! Recipes inserted: in batches, over one hub, and singly by many callers.

use std::sync::Arc;

use deriva::prelude::*;
use deriva_testkit::Workload;

use super::raw::{Engine, GroupCommit, Row};
use super::rows::Rows;
use super::{BATCH, Place, dag};
use crate::Scale;
use crate::measure::{Sample, disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let layered = recipes(Workload::Layered {
        width: 1000,
        layers: scale.pick(100, 10),
    })?;
    let hub = recipes(Workload::Hub {
        width: scale.pick(100_000, 10_000),
    })?;
    let few = &layered[..scale.pick(8192, 1024)];
    hub_against_layered("memory", &layered, &hub, report)?;
    for engine in Engine::ALL {
        batches(*engine, &layered, report)?;
        hub_against_layered(engine.name(), &layered, &hub, report)?;
        for callers in [64, 8] {
            singles(*engine, few, callers, scale.repetitions(), report)?;
        }
        one_caller(*engine, &few[..few.len() / 4], report)?;
    }
    Ok(())
}

fn recipes(workload: Workload) -> Result<Vec<Recipe>> {
    workload.recipes().collect()
}

fn batches(engine: Engine, recipes: &[Recipe], report: &mut Report) -> Result<()> {
    let mut layout = Rows::default();
    let rows: Vec<_> = recipes.chunks(BATCH).map(|b| layout.batch(b)).collect();
    for (mode, target) in [
        ("", Target::AtLeast(0.9)),
        ("?durability=buffered", Target::None),
    ] {
        let scheme = format!("{}{mode}", engine.name());
        let (ours, baseline) = interleaved(
            3,
            || insert(&scheme, recipes),
            || raw_batches(engine, &rows),
        )?;
        report.add(
            "stores",
            format!("{scheme}: insert LAYERED, batches of {BATCH}"),
            recipes.len() as u64,
            &ours,
            &baseline,
            target,
        );
    }
    Ok(())
}

/// The cost of a recipe that shares an input with all others, over that of one that does not.
fn hub_against_layered(
    scheme: &str,
    layered: &[Recipe],
    hub: &[Recipe],
    report: &mut Report,
) -> Result<()> {
    let scaled = |sample: Sample| Sample {
        seconds: sample.seconds * layered.len() as f64 / hub.len() as f64,
        ..sample
    };
    let (ours, baseline) = interleaved(
        3,
        || Ok(scaled(insert(scheme, hub)?)),
        || insert(scheme, layered),
    )?;
    report.add(
        "stores",
        format!("{scheme}: insert HUB / LAYERED"),
        layered.len() as u64,
        &ours,
        &baseline,
        Target::AtMost(1.3),
    );
    Ok(())
}

fn singles(
    engine: Engine,
    recipes: &[Recipe],
    callers: usize,
    repetitions: usize,
    report: &mut Report,
) -> Result<()> {
    let mut layout = Rows::default();
    let rows = recipes
        .iter()
        .map(|r| layout.batch(std::slice::from_ref(r)));
    let rows: Arc<[Vec<Row>]> = rows.collect();
    let all: Arc<[Recipe]> = recipes.into();
    let (ours, baseline) = interleaved(
        repetitions,
        || insert_singly(engine.name(), &all, callers),
        || raw_singly(engine, &rows, callers),
    )?;
    report.add(
        "stores",
        format!(
            "{}: insert, {callers} callers, one recipe each time",
            engine.name()
        ),
        recipes.len() as u64,
        &ours,
        &baseline,
        Target::AtLeast(0.9),
    );
    Ok(())
}

/// What a caller alone waits, in both modes, against durable writes of the engine.
fn one_caller(engine: Engine, recipes: &[Recipe], report: &mut Report) -> Result<()> {
    let mut layout = Rows::default();
    let rows: Vec<_> = recipes.chunks(1).map(|r| layout.batch(r)).collect();
    let all: Arc<[Recipe]> = recipes.into();
    for mode in ["", "?durability=buffered"] {
        let scheme = format!("{}{mode}", engine.name());
        let (ours, baseline) = interleaved(
            3,
            || insert_singly(&scheme, &all, 1),
            || raw_batches(engine, &rows),
        )?;
        report.add(
            "stores",
            format!("{scheme}: insert, one caller, one recipe each time"),
            recipes.len() as u64,
            &ours,
            &baseline,
            Target::None,
        );
    }
    Ok(())
}

fn insert(scheme: &str, recipes: &[Recipe]) -> Result<Sample> {
    let (place, runtime) = (Place::new()?, runtime(2)?);
    let store = runtime.block_on(place.open(scheme))?;
    let dag = dag(&store)?;
    let ((), mut sample) = sample(|| {
        runtime.block_on(async {
            for batch in recipes.chunks(BATCH) {
                dag.insert(batch).await?;
            }
            dag.flush().await
        })
    })?;
    drop((dag, store));
    sample.disk_bytes = disk_bytes(place.path())?;
    Ok(sample)
}

fn raw_batches(engine: Engine, batches: &[Vec<Row>]) -> Result<Sample> {
    let place = Place::new()?;
    let raw = place.raw(engine)?;
    let write = || batches.iter().try_for_each(|rows| raw.write(rows));
    Ok(sample(write)?.1)
}

fn insert_singly(scheme: &str, recipes: &Arc<[Recipe]>, callers: usize) -> Result<Sample> {
    let (place, runtime) = (Place::new()?, runtime(2)?);
    let store = runtime.block_on(place.open(scheme))?;
    let dag = dag(&store)?;
    let call = |caller: usize| {
        let (dag, recipes) = (dag.clone(), recipes.clone());
        async move {
            for recipe in recipes.iter().skip(caller).step_by(callers) {
                dag.insert(std::slice::from_ref(recipe)).await?;
            }
            Ok(())
        }
    };
    let ((), mut sample) = sample(|| {
        runtime
            .block_on(async { join((0..callers).map(|caller| tokio::spawn(call(caller)))).await })
    })?;
    drop((dag, store));
    sample.disk_bytes = disk_bytes(place.path())?;
    Ok(sample)
}

fn raw_singly(engine: Engine, rows: &Arc<[Vec<Row>]>, callers: usize) -> Result<Sample> {
    let (place, runtime) = (Place::new()?, runtime(2)?);
    let commit = Arc::new(GroupCommit::start(place.raw(engine)?.into()));
    let call = |caller: usize| {
        let (commit, rows) = (commit.clone(), rows.clone());
        async move {
            for rows in rows.iter().skip(caller).step_by(callers) {
                commit.write(rows.clone()).await?;
            }
            Ok(())
        }
    };
    let ((), sample) = sample(|| {
        runtime
            .block_on(async { join((0..callers).map(|caller| tokio::spawn(call(caller)))).await })
    })?;
    if let Some(commit) = Arc::into_inner(commit) {
        commit.end();
    }
    Ok(sample)
}

type Caller = tokio::task::JoinHandle<Result<()>>;

async fn join(callers: impl Iterator<Item = Caller>) -> Result<()> {
    for caller in callers.collect::<Vec<_>>() {
        let died = |source| Error::new(ErrorKind::Internal, "a caller died").caused_by(source);
        caller.await.map_err(died)??;
    }
    Ok(())
}
