//! What the cases for checks need: functions that lie, and what a ledger says of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deriva_api::{
    Blob, CAddr, ComputeFunction, Determinism, Error, ErrorKind, LedgerEntry, Result, Violation,
};

use super::materializer_support::{Calls, ask_for};
use crate::functions::function;
use crate::{Materializer, Request};

pub(super) const DUAL: Determinism = Determinism::Dual;

pub(super) fn quorum(agree: u32, of: u32) -> Determinism {
    Determinism::Quorum { agree, of }
}

/// A request whose computations are checked like this.
pub(super) fn checked(targets: &[CAddr], mode: Determinism) -> Request {
    ask_for(targets).determinism(mode)
}

/// Gives the number of the call, from 0: nothing of that is longer than anything else below 10.
pub(super) fn lie(id: &str, calls: &Calls) -> Result<Arc<dyn ComputeFunction>> {
    let calls = calls.clone();
    function(id, move |_, _| Ok(calls.add().to_string().into()))
}

/// Gives one answer after the other, and from then on the last. `fail` fails, and `panic` panics.
pub(super) fn script(
    id: &str,
    calls: &Calls,
    answers: &'static [&'static str],
) -> Result<Arc<dyn ComputeFunction>> {
    let calls = calls.clone();
    function(id, move |_, _| {
        match answers[calls.add().min(answers.len() - 1)] {
            "fail" => Err(Error::new(ErrorKind::Function, "this time")),
            "panic" => panic!("on purpose"),
            answer => Ok(answer.into()),
        }
    })
}

/// The source of a function: who edits it changes what it gives, and not how long that is.
#[derive(Clone, Default)]
pub(super) struct Source(Arc<AtomicUsize>);

impl Source {
    pub(super) fn edit(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Its function, which gives the version.
    pub(super) fn function(&self, id: &str) -> Result<Arc<dyn ComputeFunction>> {
        let source = self.clone();
        function(id, move |_, _| Ok(source.gives().into()))
    }

    /// What it gives now.
    pub(super) fn gives(&self) -> String {
        format!("version {}", self.0.load(Ordering::SeqCst))
    }
}

/// What the ledger has of a recipe that was not released.
pub(super) async fn entry(
    materializer: &Arc<dyn Materializer>,
    recipe: CAddr,
) -> Result<Option<LedgerEntry>> {
    let entries = materializer.ledger().await?.into_iter();
    let mut open = entries.filter(|entry| entry.recipe == recipe && !entry.released);
    let entry = open.next();
    assert!(open.next().is_none(), "two entries of {recipe}");
    Ok(entry)
}

/// What was seen of a recipe: the ledger has it, and it was not released.
pub(super) async fn seen(materializer: &Arc<dyn Materializer>, recipe: CAddr) -> Result<Violation> {
    let violation = entry(materializer, recipe)
        .await?
        .and_then(|it| it.violation);
    violation.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the ledger has nothing of it").with("recipe", recipe)
    })
}

/// The answers of a violation: the address of each, and how many runs gave it.
pub(super) fn answers(violation: &Violation) -> Vec<(Option<CAddr>, u64)> {
    let answers = violation.answers.iter();
    answers.map(|answer| (answer.addr, answer.runs)).collect()
}

/// One run gave this, as [`answers`] tells it.
pub(super) fn once(text: &'static str) -> (Option<CAddr>, u64) {
    (Some(Blob::new(text).addr()), 1)
}
