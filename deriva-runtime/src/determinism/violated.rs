//! What follows when runs of a computation differ.
//!
//! The order is what makes it safe. First nothing of it is served through any handle of this process; then the entry is
//! durable; then what was recorded of it, and of what was made from it, is forgotten; then the entry is marked as done; and
//! only then anybody is told. A process that dies in between leaves an entry that is not done, and whoever opens the store
//! next does the rest before it serves anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use deriva_api::{
    Blob, BuildAddrHasher, CAddr, DagStoreExt, Difference, Error, ErrorKind, FunctionId, Operand,
    Output, Recipe, Record, Result, Violation,
};
use futures::TryStreamExt;
use tracing::Instrument;

use super::check::Dissent;
use super::counts;
use super::ledger::{self, Document, Found, Stage};
use crate::invalidate::Invalidate;
use crate::invalidate::forget::{self, Contents};
use crate::shared::Inner;
use crate::shared::spans;

/// Recipes that are looked at at a time.
const BATCH: usize = 512;

/// A computation whose runs differ.
pub(crate) struct Violated {
    pub(crate) recipe: CAddr,
    pub(crate) resolved: CAddr,
    pub(crate) function: FunctionId,
    pub(crate) dissent: Dissent,
    /// What may be served all the same.
    pub(crate) accepted: Option<CAddr>,
}

/// The output that a quorum agreed on, in spite of others.
pub(crate) fn accepted(agreed: bool, result: &Result<(Operand, Duration)>) -> Option<CAddr> {
    let (output, _) = result.as_ref().ok().filter(|_| agreed)?;
    Some(output.stat().addr)
}

impl Violated {
    /// What is told of it, and the first two outputs as far as they are at hand.
    pub(crate) async fn into_violation(self, inner: &Inner) -> (Violation, Vec<Blob>) {
        let Self {
            recipe,
            resolved,
            function,
            dissent,
            accepted,
        } = self;
        let mut violation = Violation::new(recipe, resolved, function, dissent.answers);
        violation.accepted = accepted;
        violation.found_by = dissent.check.found_by;
        violation.perturbed = dissent.check.perturb;
        let date = inner.clock.date().duration_since(UNIX_EPOCH);
        violation.at_millis = date.map_or(0, |date| date.as_millis() as u64);
        let outputs = outputs(inner, &violation, dissent.outputs).await;
        if let [first, second, ..] = outputs.as_slice() {
            violation.difference = Difference::between(first.bytes(), second.bytes());
        }
        (violation, outputs)
    }
}

/// Enters violations into the ledger, and has forgotten what rests on them. What it answers, one for each, may be told.
pub(crate) async fn enter_all(inner: &Arc<Inner>, violated: Vec<Violated>) -> Vec<Violation> {
    let mut seen = Vec::with_capacity(violated.len());
    for violated in violated {
        seen.push(violated.into_violation(inner).await);
    }
    let found: Vec<Violation> = seen
        .iter()
        .map(|(violation, _)| violation.clone())
        .collect();
    // A task of its own: what was begun is done, whatever becomes of the request that found it.
    let (own, all) = (Arc::clone(inner), found.clone());
    let writing = async move {
        let written = written(&own, &seen).await;
        for violation in written.as_ref().unwrap_or(&all) {
            spans::violated(violation);
            own.watcher.tell(|observer| observer.violated(violation));
        }
        written
    };
    let writing = inner.tokio.spawn(writing.in_current_span());
    let written = writing.await.unwrap_or_else(|source| {
        let what = "writing the ledger was interrupted";
        Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
    });
    match written {
        Ok(written) => return written,
        // They are found all the same, and condemned for as long as this process lives.
        Err(why) if why.kind() == ErrorKind::Unsupported => {
            spans::determinism_not_whole("a store that may only be read has no ledger", &why);
        }
        Err(why) => spans::ledger_not_written(&why),
    }
    inner.ledger.not_written(found.iter().cloned());
    found
}

/// Tries again to write what could not be written.
pub(crate) async fn write_again(inner: &Arc<Inner>) {
    let seen: Vec<_> = (inner.ledger.unwritten().into_iter())
        .map(|violation| (violation, Vec::new()))
        .collect();
    if seen.is_empty() {
        return;
    }
    match written(inner, &seen).await {
        Ok(written) => inner.ledger.are_written(&written),
        Err(why) => spans::ledger_not_written(&why),
    }
}

/// As [`enter_all`], of one.
pub(crate) async fn enter(inner: &Arc<Inner>, violated: Violated) -> Violation {
    let mut entered = enter_all(inner, vec![violated]).await;
    // One was given, so there is one.
    entered.remove(0)
}

/// As [`enter`], of a recipe of which no more is known than what is stored.
pub(crate) async fn diverged(
    inner: &Arc<Inner>,
    addr: CAddr,
    dissent: Dissent,
) -> Result<Violation> {
    let Some(node) = inner.dag.get_one(addr).await? else {
        let what = "a recipe that was recorded is not stored";
        return Err(Error::new(ErrorKind::NotFound, what).with("addr", addr));
    };
    let recipes = [node.recipe];
    let resolved = forget::resolved_of(inner, &recipes).await?;
    let violated = Violated {
        recipe: addr,
        resolved: resolved.first().copied().unwrap_or(addr),
        function: recipes[0].function(),
        dissent,
        accepted: None,
    };
    Ok(enter(inner, violated).await)
}

/// The first two outputs that were seen, as far as they are at hand or stored.
async fn outputs(inner: &Inner, violation: &Violation, held: Vec<Operand>) -> Vec<Blob> {
    let mut outputs = Vec::new();
    for addr in violation
        .answers
        .iter()
        .filter_map(|answer| answer.addr)
        .take(2)
    {
        let held = held.iter().find_map(|operand| match operand {
            Operand::Held(blob) if blob.addr() == addr => Some(blob.clone()),
            _ => None,
        });
        let blob = match held {
            Some(blob) => Some(blob),
            None => inner.blobs.get(addr).await.ok().flatten(),
        };
        outputs.extend(blob);
    }
    outputs
}

async fn written(inner: &Arc<Inner>, seen: &[(Violation, Vec<Blob>)]) -> Result<Vec<Violation>> {
    let mut turn = inner.ledger.turn.lock().await;
    load(inner, &mut turn).await?;
    let mut documents = Vec::with_capacity(seen.len());
    for (violation, _) in seen {
        let before = match inner.ledger.has_entry(&violation.recipe) {
            true => ledger::open_entry(inner, violation.recipe).await?,
            false => None,
        };
        let mut document = Document::new(violation.clone(), Vec::new(), Vec::new());
        if let Some(before) = before {
            let later = std::mem::replace(&mut document, before);
            document.violation.merge(later.violation);
        }
        condemn(inner, &document);
        documents.push(document);
    }
    // What is being recorded under another name is found below.
    inner.drain_writes().await;
    let entries = match enrol(inner, &mut documents, seen).await {
        Ok(entries) => entries,
        Err(why) => {
            // What is recorded goes all the same: it would be served when this process has ended.
            forget(inner, &documents).await.map_err(|_| why.clone())?;
            return Err(why);
        }
    };
    forget(inner, &documents).await?;
    ledger::finish(inner, &entries).await?;
    Ok(documents
        .into_iter()
        .map(|document| document.violation)
        .collect())
}

/// Writes the entries, with what is the same computation and the outputs that are kept.
async fn enrol(
    inner: &Inner,
    documents: &mut [Document],
    seen: &[(Violation, Vec<Blob>)],
) -> Result<Vec<(CAddr, CAddr)>> {
    same_computations(inner, documents).await?;
    for document in documents.iter() {
        condemn(inner, document);
    }
    if inner.keeps_evidence {
        for (document, (_, outputs)) in documents.iter_mut().zip(seen) {
            ledger::keep_evidence(inner, document.violation.recipe, outputs).await?;
            document.evidence.extend(outputs.iter().map(Blob::addr));
            document.evidence.sort_unstable();
            document.evidence.dedup();
        }
    }
    ledger::write(inner, documents).await
}

pub(crate) fn condemn(inner: &Inner, document: &Document) {
    let Violation {
        recipe,
        function,
        accepted,
        ..
    } = &document.violation;
    let addrs = document.addrs();
    let entries = inner
        .ledger
        .condemn(*recipe, Some(function), addrs, *accepted);
    if let Some(entries) = entries
        && inner.policies.quarantine_after == Some(entries)
    {
        spans::quarantined(function, entries);
    }
}

/// Forgets what is recorded of what entries condemn, and of all that was made from it.
async fn forget(inner: &Arc<Inner>, documents: &[Document]) -> Result<()> {
    let wrong = wrong(inner, documents).await?;
    if !wrong.is_empty() {
        let forgotten = Invalidate::all(Arc::clone(inner), wrong).cascade();
        forgotten.await?;
    }
    mark_forgotten(inner, documents);
    Ok(())
}

/// Notes that what entries condemn is forgotten, with all that was made from it.
pub(crate) fn mark_forgotten(inner: &Inner, documents: &[Document]) {
    for Violation {
        recipe, accepted, ..
    } in documents.iter().map(|document| &document.violation)
    {
        inner.ledger.mark_forgotten(*recipe, *accepted);
    }
}

/// What is to be forgotten of what entries condemn: all of it, once for what an entry says, as another output than is accepted
/// may have been given out before and be in use, recorded or not; later only where something else is recorded, as nothing
/// else was given out since.
pub(crate) async fn wrong(inner: &Inner, documents: &[Document]) -> Result<Vec<CAddr>> {
    let mut wrong = Vec::new();
    for document in documents {
        let Violation {
            recipe, accepted, ..
        } = document.violation;
        let addrs: Vec<CAddr> = document.addrs().collect();
        if inner.ledger.was_forgotten(&recipe, accepted) {
            let recorded = inner.dag.outputs(&addrs).await?;
            let is_right = |output: &Output| Some(output.addr) == accepted;
            if recorded.iter().flatten().all(is_right) {
                continue;
            }
        }
        wrong.extend(addrs);
    }
    Ok(wrong)
}

/// Finds the other recipes that are the same computations, as far as what is recorded of their inputs tells: there is no
/// index of resolved addresses, so all recipes of these functions are looked at.
pub(crate) async fn same_computations(inner: &Inner, documents: &mut [Document]) -> Result<()> {
    let functions: BTreeSet<FunctionId> = (documents.iter())
        .map(|document| document.violation.function.clone())
        .collect();
    let of = documents.iter().enumerate();
    let of: HashMap<CAddr, usize, BuildAddrHasher> = of
        .map(|(at, document)| (document.violation.resolved, at))
        .collect();
    for function in functions {
        let recipes = inner.dag.by_function(&function, None);
        let mut pages = recipes.try_ready_chunks(BATCH);
        while let Some(page) = pages.try_next().await.map_err(|ended| ended.1)? {
            let nodes = inner.dag.get_many(&page).await?.into_iter().flatten();
            let recipes: Vec<Recipe> = nodes.map(|node| node.recipe).collect();
            let resolved = forget::resolved_of(inner, &recipes).await?;
            for (recipe, resolved) in recipes.iter().zip(resolved) {
                if let Some(at) = of.get(&resolved) {
                    let (recipe, document) = (recipe.addr(), &mut documents[*at]);
                    if recipe != document.violation.recipe && !document.same.contains(&recipe) {
                        document.same.push(recipe);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether any of these must not be recorded: it was found to differ since it was computed, by its own name or as the same
/// computation under another.
pub(crate) async fn condemns(inner: &Inner, records: &[Record]) -> Result<bool> {
    let ledger = &inner.ledger;
    if ledger.is_empty() {
        return Ok(false);
    }
    let may_serve = |record: &Record| {
        let mut names = [Some(record.addr), record.resolved].into_iter().flatten();
        names.all(|name| ledger.may_serve(&name, &record.output.addr))
    };
    if !records.iter().all(may_serve) {
        return Ok(true);
    }
    let contents = records.iter();
    let contents: Contents = contents.map(|it| (it.addr, it.output.addr)).collect();
    // What the computation is called is known only of those that were looked for under that name.
    let unnamed = records.iter().filter(|record| record.resolved.is_none());
    let unnamed: Vec<CAddr> = unnamed.map(|record| record.addr).collect();
    for batch in unnamed.chunks(BATCH) {
        let nodes = inner.dag.get_many(batch).await?;
        let recipes = nodes.into_iter().flatten().map(|node| node.recipe);
        let of_liars = |recipe: &Recipe| !ledger.entries_of(&recipe.function()).is_empty();
        let recipes: Vec<Recipe> = recipes.filter(of_liars).collect();
        let resolved = forget::resolved_over(inner, &recipes, &contents).await?;
        let mut named = recipes.iter().zip(resolved);
        let may_serve = |(recipe, name): (&Recipe, CAddr)| {
            let content = contents.get(&recipe.addr());
            content.is_none_or(|content| ledger.may_serve(&name, content))
        };
        if !named.all(may_serve) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the ledger and the counts of a store that was opened, once, and does what an earlier process could not finish.
pub(crate) async fn open(inner: &Arc<Inner>) -> Result<()> {
    let mut turn = inner.ledger.turn.lock().await;
    load(inner, &mut turn).await
}

/// Forgets what an entry condemns that could not be forgotten when it was written.
pub(crate) async fn finish(inner: &Arc<Inner>, recipe: CAddr) -> Result<()> {
    for found in ledger::list(inner, Some(Stage::New)).await? {
        if found.recipe == recipe {
            finish_found(inner, &found).await?;
        }
    }
    Ok(())
}

async fn finish_found(inner: &Arc<Inner>, found: &Found) -> Result<()> {
    match &found.document {
        Ok(document) => forget(inner, std::slice::from_ref(document)).await?,
        Err(_) => {
            let all = Invalidate::all(Arc::clone(inner), vec![found.recipe]);
            all.cascade().await?;
        }
    }
    ledger::finish(inner, &[(found.recipe, found.blob)]).await
}

async fn load(inner: &Arc<Inner>, is_loaded: &mut bool) -> Result<()> {
    if *is_loaded {
        return Ok(());
    }
    let writable = inner.dag.capabilities().writable;
    let (entries, counted) = ledger::at_opening(inner).await?;
    for found in entries {
        match &found.document {
            Ok(document) => condemn(inner, document),
            Err(why) => {
                let recipe = found.recipe;
                let why = why.clone().with("addr", recipe);
                spans::determinism_not_whole("an entry of the ledger is damaged", &why);
                inner.ledger.condemn(recipe, None, [recipe], None);
            }
        }
        match (&found.stage, &found.document) {
            (Stage::New, _) if writable => finish_found(inner, &found).await?,
            (Stage::Open, Ok(document)) => mark_forgotten(inner, std::slice::from_ref(document)),
            _ => {}
        }
    }
    counts::load(inner, counted).await;
    *is_loaded = true;
    Ok(())
}
