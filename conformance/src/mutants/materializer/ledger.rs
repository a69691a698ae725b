//! What is remembered of recipes whose runs differ: blobs with roots of a reserved name.

use deriva_api::{Blob, CAddr, Error, ErrorKind, LedgerEntry, Result, Violation};
use futures::TryStreamExt;

use super::{Break, Small};

/// What the name of each root of an entry begins with.
pub(super) const LEDGER: &str = "deriva:ledger/";
const OPEN: &str = "open";
const RELEASED: &str = "released";

/// An entry as it was read.
#[derive(Clone)]
pub(super) struct Entry {
    recipe: CAddr,
    released: bool,
    blob: CAddr,
    violation: Result<Violation>,
}

impl Small {
    pub(super) async fn entries(&self) -> Result<Vec<LedgerEntry>> {
        let entry = |entry: Entry| match entry.violation {
            Ok(violation) => LedgerEntry::new(violation, entry.released, Vec::new()),
            Err(damage) => LedgerEntry::damaged(entry.recipe, entry.released, damage),
        };
        Ok(self.listed("").await?.into_iter().map(entry).collect())
    }

    /// The entries, or those alone whose names go on like this.
    async fn listed(&self, begin: &str) -> Result<Vec<Entry>> {
        let memory = self.0.memory.lock().clone();
        if self.broken(Break::forgets_the_ledger) {
            return Ok(memory);
        }
        let mut entries = self.stored(begin).await?;
        for entry in &mut entries {
            let lives = self.broken(Break::releases_for_as_long_as_it_lives);
            entry.released |= lives && memory.iter().any(|it| it.recipe == entry.recipe);
        }
        Ok(entries)
    }

    async fn stored(&self, begin: &str) -> Result<Vec<Entry>> {
        let roots: Vec<(String, CAddr)> = self.0.dag.roots(None).try_collect().await?;
        let mut entries = Vec::new();
        for (name, blob) in roots {
            let rest = name.strip_prefix(LEDGER);
            let Some(rest) = rest.filter(|rest| rest.starts_with(begin)) else {
                continue;
            };
            let mut parts = rest.split('/');
            let released = parts.next() == Some(RELEASED);
            let Some(recipe) = parts.next().and_then(|part| part.parse().ok()) else {
                continue;
            };
            let violation = match self.0.blobs.get(blob).await? {
                None => Err(Error::new(ErrorKind::Corrupt, "the entry is gone")),
                Some(blob) => serde_json::from_slice(blob.bytes()).map_err(|source| {
                    Error::new(ErrorKind::Corrupt, "the entry is none").caused_by(source)
                }),
            };
            match violation {
                Err(_) if self.broken(Break::takes_a_damaged_entry_for_none) => continue,
                Err(error) if self.broken(Break::fails_for_a_damaged_entry) => return Err(error),
                violation => entries.push(Entry {
                    recipe,
                    released,
                    blob,
                    violation,
                }),
            }
        }
        Ok(entries)
    }

    /// Whether one of these names of a computation is condemned, and which output may be served all the same.
    pub(super) async fn condemned(&self, names: &[CAddr]) -> Result<Option<Option<CAddr>>> {
        let entries = match self.broken(Break::hears_of_its_own_differences_alone) {
            true => self.0.memory.lock().clone(),
            false => self.listed(OPEN).await?,
        };
        let is_meant = |entry: &Entry| match &entry.violation {
            Ok(it) => names.contains(&it.recipe) || names.contains(&it.resolved),
            Err(_) => names.contains(&entry.recipe),
        };
        let mut open = entries.into_iter().filter(|entry| !entry.released);
        let accepted = |entry: Entry| entry.violation.ok().and_then(|it| it.accepted);
        Ok(open.find(is_meant).map(accepted))
    }

    /// Whether an output of these names may be served.
    pub(super) async fn may_serve(&self, names: &[CAddr], content: CAddr) -> Result<bool> {
        let condemned = self.condemned(names).await?;
        Ok(condemned.is_none_or(|accepted| accepted == Some(content)))
    }

    /// Remembers what was seen, and forgets what rests on it. What it answers may be told.
    pub(super) async fn enter(&self, violation: Violation) -> Result<Violation> {
        let mut violation = violation;
        if violation.accepted.is_some() && self.broken(Break::remembers_no_dissent) {
            return Ok(violation);
        }
        let _turn = self.0.stores.turn.lock().await;
        let before = self.listed(OPEN).await?;
        let open = |entry: &&Entry| entry.recipe == violation.recipe && !entry.released;
        if let Some(Ok(before)) = before.iter().find(open).map(|entry| &entry.violation) {
            let mut merged = before.clone();
            merged.merge(violation);
            violation = merged;
        }
        if self.broken(Break::counts_each_answer_once) {
            violation.answers.iter_mut().for_each(|it| it.runs = 1);
        }
        match self.write(&violation).await {
            Err(_) if self.broken(Break::takes_a_failed_ledger_for_written) => {
                return Ok(violation);
            }
            written => written?,
        }
        self.forget_violated(&violation).await?;
        Ok(violation)
    }

    async fn write(&self, violation: &Violation) -> Result<()> {
        let json = serde_json::to_vec(violation).map_err(|source| {
            Error::new(ErrorKind::Internal, "an entry could not be written").caused_by(source)
        })?;
        let blob = Blob::new(json);
        let recipe = violation.recipe;
        let entry = Entry {
            recipe,
            released: false,
            blob: blob.addr(),
            violation: Ok(violation.clone()),
        };
        let remembers = self.broken(Break::forgets_the_ledger)
            || self.broken(Break::hears_of_its_own_differences_alone);
        if remembers {
            let mut memory = self.0.memory.lock();
            memory.retain(|it| it.recipe != recipe || it.released);
            memory.push(entry);
        }
        let gate = &self.0.stores.gate;
        let _alone = match self.broken(Break::lets_nobody_in_while_it_remembers) {
            true => (Some(gate.write().await), None),
            false => (None, Some(gate.read().await)),
        };
        self.0.blobs.put(std::slice::from_ref(&blob)).await?;
        let root = format!("{LEDGER}{OPEN}/{recipe}");
        self.0.dag.set_root(&root, blob.addr()).await
    }

    /// Lets a recipe be computed again.
    pub(super) async fn let_go(&self, recipe: CAddr) -> Result<()> {
        let _turn = self.0.stores.turn.lock().await;
        let entries = self.listed(OPEN).await?.into_iter();
        let mut open = entries.filter(|entry| entry.recipe == recipe && !entry.released);
        let nothing = || Error::new(ErrorKind::NotFound, "there is nothing to release");
        let entry = open.next().ok_or_else(nothing)?;
        let _together = self.0.stores.gate.read().await;
        let (dag, blob) = (&self.0.dag, entry.blob);
        match self.0.broken {
            Some(Break::releases_for_as_long_as_it_lives) => {
                self.0.memory.lock().push(entry);
                return Ok(());
            }
            Some(Break::forgets_the_ledger) => {
                let mut memory = self.0.memory.lock();
                let own = memory.iter_mut().filter(|entry| entry.recipe == recipe);
                own.for_each(|entry| entry.released = true);
            }
            Some(Break::removes_what_is_released) => {}
            _ => {
                let name = format!("{LEDGER}{RELEASED}/{recipe}/{blob}");
                dag.set_root(&name, blob).await?;
            }
        }
        let open = format!("{LEDGER}{OPEN}/{recipe}");
        dag.remove_root(&open).await.map(drop)
    }

    /// What a break does when a materializer is opened.
    pub(super) async fn opened(&self) -> Result<()> {
        if self.broken(Break::hears_of_its_own_differences_alone) {
            *self.0.memory.lock() = self.stored(OPEN).await?;
        }
        if self.broken(Break::releases_on_restart) {
            for entry in self.stored(OPEN).await? {
                if !entry.released {
                    self.let_go(entry.recipe).await?;
                }
            }
        }
        Ok(())
    }
}
