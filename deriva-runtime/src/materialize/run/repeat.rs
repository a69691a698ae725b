//! A heavy step that is checked: run several times, and what it gave is compared.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Executor, Operand, Perturb, Result, Step};
use futures::future::join_all;

use super::heavy::{Source, Unready, operands};
use crate::determinism::check::{Check, Checked, Standing, Tally};
use crate::shared::Inner;
use crate::shared::able::supports;
use crate::shared::leases::Lease;
use crate::shared::nesting::Nesting;
use crate::shared::perturb::relocated;

/// What a clock that people read moves on by: a perturbed run begins later than the one before did by this, or more.
const TICK: Duration = Duration::from_millis(2);

/// Runs a step as often as its check asks for. What is no answer of the function (a timeout, an executor that cannot be
/// reached) ends it with that error.
pub(super) async fn repeat(
    inner: &Inner,
    lease: &Lease,
    mut step: Step,
    sources: Vec<Source>,
    check: Check,
    nesting: &Nesting,
) -> Result<Checked, Unready> {
    let mut tally = Tally::new(check);
    let began = inner.clock.now();
    step.fresh = true;
    let elsewhere = inner.repeats.as_ref();
    let elsewhere = elsewhere.filter(|executor| supports(&***executor, &step.recipe.function()));
    let again = elsewhere.unwrap_or(&inner.executor);
    let first = operands(inner, lease, &*inner.executor, sources.clone()).await?;
    let second = match again.operands() == inner.executor.operands() {
        true => first.clone(),
        false => operands(inner, lease, &**again, sources).await?,
    };
    let deadline = step.deadline;
    let run = |nth: u32, pause: Duration| {
        let mut step = step.clone();
        let executor = if nth == 0 { &inner.executor } else { again };
        let inputs = if nth == 0 { &first } else { &second };
        step.inputs = inputs.clone();
        if nth > 0 && check.perturb {
            step.perturb = Some(Perturb::new(nth.into()).pause(pause));
            step.inputs = inputs
                .iter()
                .map(|input| elsewhere_in_memory(input, nth))
                .collect();
        }
        let elapsed = inner.clock.now().saturating_sub(began);
        step.deadline = deadline.map(|deadline| deadline.saturating_sub(elapsed));
        let executor: Arc<dyn Executor> = Arc::clone(executor);
        let ran = nesting
            .clone()
            .scope(async move { executor.execute(step).await });
        async move {
            let ran = ran.await?;
            Ok((ran.output, ran.cost))
        }
    };
    let mut took = Duration::ZERO;
    while let Standing::More(more) = tally.standing() {
        let nth = tally.runs();
        // One after the other where they are perturbed: each begins when the one before has ended.
        let more = if check.perturb { 1 } else { more };
        // Since that one really began: before, it may have waited for a thread.
        let pause = TICK.saturating_sub(took);
        for ran in join_all((nth..nth + more).map(|nth| run(nth, pause))).await {
            took = ran.as_ref().map_or(Duration::ZERO, |(_, took)| *took);
            tally.add(ran).map_err(Unready::Failed)?;
        }
    }
    Ok(tally.finish())
}

fn elsewhere_in_memory(input: &Operand, nth: u32) -> Operand {
    match input {
        Operand::Held(blob) => Operand::Held(relocated(blob, u64::from(nth))),
        Operand::Stored(stat) => Operand::Stored(*stat),
    }
}
