//! The counts of checks as they lie in the store, so that they outlive the process.
//!
//! They are a blob that a root holds whose name begins with `deriva:checks/`, as entries of the ledger are. The handles on a
//! store write one root together, each time with all that it is to say, so what is counted is there whole or not at all,
//! wherever a process ends. Who opens the store adds up what all such roots say:
//!
//! | root | who writes it |
//! |---|---|
//! | the first one that can be read | the handles on this store, one process after the other |
//! | the others | nobody; a root that cannot be read is left as it is, by a later version or for one |
//!
//! Where other processes may write the store as well, each has a root of its own, so that none takes from another what that
//! counted meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deriva_api::{Blob, BlobStore, CAddr, Error, ErrorKind, FunctionId, Result};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::shared::Inner;
use crate::shared::reserved::CHECKS;
use crate::shared::spans;
use crate::shared::statistics::{Checks, Counts};

/// Digits that tell such roots from each other.
const DIGITS: usize = 16;

/// What is written.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    /// The version of this form.
    deriva_checks: u32,
    /// The blob that the root held before: where it is still stored, it waits for a collection.
    before: Option<CAddr>,
    functions: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    function: FunctionId,
    checked: u64,
    violated: u64,
    last_violation_millis: Option<u64>,
}

/// Only the number, as later forms may have nothing else in common.
#[derive(Deserialize)]
struct Form {
    deriva_checks: u32,
}

impl Document {
    const FORM: u32 = 1;

    fn new(before: Option<CAddr>, counts: &Counts) -> Self {
        let functions = counts.iter().map(|(function, checks)| Row {
            function: function.clone(),
            checked: checks.checked,
            violated: checks.violated,
            last_violation_millis: checks.last.map(millis),
        });
        Self {
            deriva_checks: Self::FORM,
            before,
            functions: functions.collect(),
        }
    }

    fn to_blob(&self) -> Result<Blob> {
        let json = serde_json::to_vec_pretty(self);
        json.map(Blob::new).map_err(|source| {
            let what = "counts of checks could not be written";
            Error::new(ErrorKind::Internal, what).caused_by(source)
        })
    }

    fn read(blob: &Blob) -> Result<Self> {
        let damaged = |why: &'static str| Error::new(ErrorKind::Corrupt, why);
        let none = |source| damaged("counts of checks are no such thing").caused_by(source);
        let form: Form = serde_json::from_slice(blob.bytes()).map_err(none)?;
        if form.deriva_checks != Self::FORM {
            let what = "counts of checks were written by a later version of deriva";
            return Err(damaged(what).with("form", form.deriva_checks));
        }
        let document: Self = serde_json::from_slice(blob.bytes()).map_err(none)?;
        let is_wrong = |row: &Row| row.violated > row.checked;
        match document.functions.iter().any(is_wrong) {
            true => Err(damaged("counts of checks have more violations than checks")),
            false => Ok(document),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for row in &self.functions {
            let last = row.last_violation_millis.map(Duration::from_millis);
            let checks = counts.entry(row.function.clone()).or_default();
            *checks += Checks {
                checked: row.checked,
                violated: row.violated,
                last: last.and_then(|since| UNIX_EPOCH.checked_add(since)),
            };
        }
        counts
    }
}

/// Milliseconds since 1970, in UTC.
pub(crate) fn millis(date: SystemTime) -> u64 {
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn read(blobs: &dyn BlobStore, addr: CAddr) -> Result<Document> {
    match blobs.get(addr).await? {
        Some(blob) => Document::read(&blob),
        None => {
            let what = "the blob of counts of checks is gone";
            Err(Error::new(ErrorKind::Corrupt, what))
        }
    }
}

/// Takes in what the roots of a store that was opened say. Those that cannot be read are named and left out: counts are
/// worth less than what they count.
pub(crate) async fn load(inner: &Inner, roots: Vec<(String, CAddr)>) {
    let (dag, blobs) = (inner.dag.capabilities(), inner.blobs.capabilities());
    let is_alone = !(dag.shared || blobs.shared);
    let mut place = inner.statistics.place.lock().await;
    for (root, addr) in &roots {
        match read(&*inner.blobs, *addr).await {
            Ok(document) => {
                let is_own = is_alone && place.root.is_none();
                if is_own {
                    place.root = Some(root.clone());
                    place.blob = Some(*addr);
                }
                inner.statistics.found(&document.counts(), is_own);
            }
            Err(why) => {
                let why = why.with("root", root).with("addr", addr);
                spans::determinism_not_whole("counts of checks were not read", &why);
            }
        }
    }
    place.known = roots.into_iter().map(|(root, _)| root).collect();
}

/// What is counted while it lives is in the store when it ends: at the end of a request or an audit, and of one that is given
/// up, too.
#[must_use = "what is counted is written when this ends"]
pub(crate) struct Counting(Option<Arc<Inner>>);

impl Counting {
    pub(crate) fn begin(inner: &Arc<Inner>) -> Self {
        Self(Some(Arc::clone(inner)))
    }

    /// Waits until what was counted is written, or could not be; no longer than until `late`.
    pub(crate) async fn ended(mut self, late: impl Future<Output = ()>) {
        let Some(writing) = self.0.take().as_ref().and_then(write) else {
            return;
        };
        tokio::select! {
            biased;
            _ = writing => (),
            () = late => (),
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Some(inner) = &self.0 {
            drop(write(inner));
        }
    }
}

/// Waits until all that was counted so far is written, or could not be.
pub(crate) async fn keep(inner: &Arc<Inner>) {
    Counting::begin(inner).ended(pending()).await;
}

/// Writes what was counted, where there is something to write, in a task of its own: what was begun is done, whatever becomes of the
/// request. What fails is tried again with the next one.
fn write(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    let writable = || inner.dag.capabilities().writable && inner.blobs.capabilities().writable;
    if !inner.statistics.is_new() || !writable() {
        return None;
    }
    let (inner, counted) = (Arc::clone(inner), inner.tallies.commits.begin());
    let tokio = inner.tokio.clone();
    Some(tokio.spawn(async move {
        if let Err(why) = written(&inner).await {
            spans::determinism_not_whole("counts of checks were not written", &why);
        }
        drop(counted);
    }))
}

async fn written(inner: &Inner) -> Result<()> {
    let statistics = &inner.statistics;
    let mut place = statistics.place.lock().await;
    if !statistics.is_new() {
        // By who was here before.
        return Ok(());
    }
    let (counts, mark) = statistics.own();
    let root = match &place.root {
        Some(root) => root.clone(),
        None => {
            let new = new_root(inner, &place.known);
            place.root.insert(new).clone()
        }
    };
    let blob = Document::new(place.blob, &counts).to_blob()?;
    let addr = blob.addr();
    let _adding = inner.adding(vec![addr]).await;
    inner.blobs.put(&[blob]).await?;
    inner.dag.set_root(&root, addr).await?;
    place.blob = Some(addr);
    statistics.is_written(mark);
    Ok(())
}

/// A name that no such root has, by the key and the clock of the handle.
fn new_root(inner: &Inner, known: &[String]) -> String {
    let date = inner.clock.date().duration_since(UNIX_EPOCH);
    let mut from = inner.policies.sampling_key.to_vec();
    from.extend(date.unwrap_or_default().as_nanos().to_le_bytes());
    loop {
        let digest = CAddr::of_blob(&from).to_string();
        let root = format!("{CHECKS}{}", &digest[..DIGITS]);
        if !known.contains(&root) {
            return root;
        }
        from.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let last = Some(UNIX_EPOCH + Duration::from_millis(1_234));
        let checks = |checked, violated, last| Checks {
            checked,
            violated,
            last,
        };
        Counts::from([
            ("f/1".parse().unwrap(), checks(7, 2, last)),
            ("g/1".parse().unwrap(), checks(1, 0, None)),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let before = Some(CAddr::of_blob(b"before"));
        let blob = Document::new(before, &counts()).to_blob().unwrap();
        let document = Document::read(&blob).unwrap();
        assert_eq!((document.before, document.counts()), (before, counts()));
    }

    #[test]
    fn what_is_of_a_later_form_or_wrong_is_refused_with_the_reason() {
        let text = Document::new(None, &counts()).to_blob().unwrap();
        let text = String::from_utf8(text.bytes().to_vec()).unwrap();
        for (from, to, why) in [
            ("checks\": 1", "checks\": 2", "later version"),
            ("\"checked\": 7", "\"checked\": 1", "more violations"),
            ("f/1", "f 1", "no such thing"),
            ("{", "", "no such thing"),
        ] {
            assert!(text.contains(from));
            let error = Document::read(&Blob::new(text.replacen(from, to, 1))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(why), "{error}");
        }
        let later = Blob::new(r#"{"deriva_checks": 9, "all": "different"}"#);
        let error = Document::read(&later).unwrap_err();
        assert!(error.to_string().contains("later version"), "{error}");
    }
}
