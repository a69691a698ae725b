//! Light functions that are worth another core.

use deriva::prelude::*;

use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// Steps of the function: some five microseconds.
const STEPS: u64 = 2_500;

/// Independent recipes of a light function, two workers against one.
pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let recipes = recipes(scale.pick(100_000, 10_000))?;
    let (ours, base) = interleaved(scale.pick(5, 3), || cold(&recipes, 2), || cold(&recipes, 1))?;
    let row = "light functions of 5 us, memory, two workers / one";
    let target = Target::AtLeast(1.5);
    report.add(
        super::BENCH,
        row,
        recipes.len() as u64,
        &ours,
        &base,
        target,
    );
    Ok(())
}

fn recipes(count: u64) -> Result<Vec<Recipe>> {
    let (id, leaf) = (
        FunctionId::new("bench.steps", "1")?,
        Blob::new("leaf").addr(),
    );
    let recipe = |i: u64| {
        let params = Params::new().with("seed", i64::try_from(i).unwrap_or_default());
        Recipe::new(&id, &[leaf], &params)
    };
    (0..count).map(recipe).collect()
}

fn cold(recipes: &[Recipe], workers: usize) -> Result<Sample> {
    let runtime = runtime(workers)?;
    let deriva = runtime.block_on(async {
        let builder = Deriva::builder().store("memory:").jobs(workers);
        let builder = builder.light_function("bench.steps", "1", steps);
        let deriva = builder.build().await?;
        deriva.put("leaf").await?;
        deriva.insert(recipes).await?;
        Ok::<_, Error>(deriva)
    })?;
    let targets = recipes.iter().map(Recipe::addr);
    let work = || runtime.block_on(async { deriva.materialize_many(targets).await });
    Ok(sample(work)?.1)
}

fn steps(_: &[Bytes], params: &Params) -> Result<Bytes> {
    let seed = params.int("seed")?.unwrap_or_default() as u64;
    let step = |at: u64, i: u64| (at ^ i).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    let last = (0..STEPS).fold(seed, step);
    Ok(Bytes::copy_from_slice(&last.to_le_bytes()))
}
