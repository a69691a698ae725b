//! Applies a group of writes: files into place, one batch, one sync, counts, and only then answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{CAddr, Clock, Error, Result, SystemClock};

use super::engine::{Engine, Write};
use super::group::Committer;
use super::layout;
use super::ops::{Answer, Op};
use super::overlay::{Changes, Overlay};
use super::shared::Shared;
use super::store;
use crate::Durability;

/// A buffered store syncs early when this many files wait to be deleted.
const MAX_DOOMED: usize = 1024;
/// A buffered store syncs by itself this long after a write.
const SYNC_AFTER: Duration = Duration::from_millis(500);
/// The engine is told to rest when no write came for this long.
const REST_AFTER: Duration = Duration::from_secs(1);

pub(super) struct KvCommitter<E: Engine> {
    shared: Arc<Shared<E>>,
    durability: Durability,
    clock: SystemClock,
    /// Since when something is applied and not synced.
    dirty: Option<Duration>,
    /// When the last write came, until the engine was told to rest.
    written: Option<Duration>,
    /// The last batch failed, and nobody knows whether it is stored.
    uncertain: bool,
    /// Why acknowledged writes may not have become durable, until a `flush` was told.
    lost: Option<Error>,
    /// Files of removed blobs. They are deleted when the removal is durable: before, a crash could
    /// bring the row back.
    doomed: BTreeSet<CAddr>,
}

impl<E: Engine> KvCommitter<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, durability: Durability) -> Self {
        Self {
            shared,
            durability,
            clock: SystemClock::new(),
            dirty: None,
            written: None,
            uncertain: false,
            lost: None,
            doomed: BTreeSet::new(),
        }
    }

    /// Decides these writes, one after the other, and applies them as one batch.
    fn commit_together(&mut self, ops: Vec<Op>) -> Vec<Result<Answer>> {
        let (began, writers) = (self.clock.now(), ops.len() as u64);
        if let Err(error) = self.settle() {
            self.shared.counted.commits.failed.add(1);
            return ops.iter().map(|_| Err(error.clone())).collect();
        }
        let mut group = Changes {
            counters: *self.shared.counters.lock(),
            ..Changes::default()
        };
        let mut flush = false;
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            flush |= matches!(op, Op::Flush);
            let mut overlay = Overlay::new(&self.shared.engine, &self.shared.disk, &group);
            let answer = op.decide(&mut overlay);
            if answer.is_ok() {
                let (mut own, spared) = (overlay.own, overlay.spared);
                for addr in &spared {
                    self.doomed.remove(addr);
                    group.doomed.remove(addr);
                }
                group.rows.append(&mut own.rows);
                group.place.append(&mut own.place);
                group.doomed.append(&mut own.doomed);
                group.counters = own.counters;
            }
            answers.push(answer);
        }
        let writes = !group.rows.is_empty();
        let applied = self.apply(group, flush);
        let commits = &self.shared.counted.commits;
        match &applied {
            _ if !writes => {}
            Ok(bytes) => {
                let took = self.clock.now().saturating_sub(began);
                commits.done(took, writers, *bytes);
            }
            Err(_) => commits.failed.add(1),
        }
        if let Err(error) = applied {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(error.clone().during("commit"));
            }
        }
        answers
    }

    /// Answers how many bytes were written.
    fn apply(&mut self, mut group: Changes, flush: bool) -> Result<u64> {
        failpoint!(COMMIT_DECIDED);
        let buffered = self.durability == Durability::Buffered;
        let mut bytes = 0;
        if !group.rows.is_empty() {
            group.counters.commits += 1;
            let counters = layout::encode_counters(&group.counters);
            let key = layout::COUNTERS_KEY.to_vec();
            group.rows.insert(key, Some(counters));
            let writes: Vec<Write> = group.rows.into_iter().collect();
            let room = &self.shared.counted.room;
            bytes = E::RESERVE.check(&self.shared.folder, &writes, room)?;
            let disk = &self.shared.disk;
            let placed: Vec<CAddr> = group.place.iter().map(|staged| staged.stat.addr).collect();
            for staged in group.place {
                bytes += staged.stat.len;
                disk.place(staged)?;
            }
            disk.sync_shards(placed.into_iter())?;
            failpoint!(COMMIT_PLACED);
            // Set first: a batch that fails may still be on its way to the disk.
            let now = self.clock.now();
            self.dirty.get_or_insert(now);
            self.written = Some(now);
            self.uncertain = true;
            self.shared.engine.apply(&writes, !buffered)?;
            failpoint!(COMMIT_APPLIED);
            self.uncertain = false;
            *self.shared.counters.lock() = group.counters;
            if !buffered {
                self.dirty = None;
                self.shared.watermark.raise(group.counters.commits);
            }
        }
        self.doomed.append(&mut group.doomed);
        if flush {
            let synced = self.sync();
            self.lost.take().map_or(synced, Err)?;
            return Ok(bytes);
        }
        if !buffered || self.doomed.len() > MAX_DOOMED {
            self.sync()?;
        }
        Ok(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        if self.dirty.is_some() {
            if let Err(error) = self.sync_all() {
                if self.durability == Durability::Buffered {
                    self.lost = Some(error.clone());
                }
                return Err(error);
            }
            self.dirty = None;
            failpoint!(COMMIT_SYNCED);
        }
        while let Some(addr) = self.doomed.pop_first() {
            // The row is gone, so a file that cannot be deleted only takes room.
            self.shared.disk.remove(&addr).ok();
            failpoint!(COMMIT_DELETED);
        }
        Ok(())
    }

    fn sync_all(&mut self) -> Result<()> {
        if self.durability == Durability::Buffered {
            self.shared.disk.sync_all()?;
        }
        // A sync that works does not tell what became of a batch that failed before it.
        let uncertain = std::mem::replace(&mut self.uncertain, true);
        self.shared.engine.sync()?;
        self.uncertain = uncertain;
        self.settle()?;
        let commits = self.shared.counters.lock().commits;
        self.shared.watermark.raise(commits);
        Ok(())
    }

    /// Learns from the engine what is stored, where an error left that open.
    fn settle(&mut self) -> Result<()> {
        if self.uncertain {
            let found = store::counters(&self.shared.engine)?;
            // A database that was opened again may have come up with an earlier state.
            self.shared.watermark.check(found.commits)?;
            *self.shared.counters.lock() = found;
            // The rows of these files may be back. A file that stays only takes room.
            self.doomed.clear();
            self.uncertain = false;
        }
        Ok(())
    }
}

impl<E: Engine> Committer for KvCommitter<E> {
    type Op = Op;
    type Answer = Answer;

    fn weight(op: &Op) -> usize {
        op.weight()
    }

    fn commit(&mut self, ops: Vec<Op>) -> Vec<Result<Answer>> {
        let mut answers = Vec::with_capacity(ops.len());
        let mut ops = ops.into_iter().peekable();
        while let Some(first) = ops.next() {
            let mut weight = first.weight();
            let mut group = vec![first];
            let fits = |weight: usize, op: &Op| weight.saturating_add(op.weight()) <= E::MAX_COMMIT;
            while let Some(op) = ops.next_if(|op| fits(weight, op)) {
                weight += op.weight();
                group.push(op);
            }
            answers.extend(self.commit_together(group));
        }
        answers
    }

    fn due(&self) -> Option<Duration> {
        let sync = self.dirty.map(|since| since + SYNC_AFTER);
        let rest = || self.written.map(|last| last + REST_AFTER);
        Some(sync.or_else(rest)?.saturating_sub(self.clock.now()))
    }

    fn tend(&mut self) {
        let now = self.clock.now();
        if self.dirty.is_some_and(|since| since + SYNC_AFTER <= now) && self.sync().is_err() {
            // Tried again later, and told by the next `flush`.
            self.dirty = Some(now);
        }
        // What rests is durable: first the files that rows name, so not while a sync is owed.
        if self.dirty.is_none() && self.written.is_some_and(|last| last + REST_AFTER <= now) {
            self.written = None;
            // What failed is found by the next write.
            self.shared.engine.rest().ok();
        }
    }

    fn close(&mut self) {
        failpoint!(CLOSE);
        // Nobody is left to be told; what was acknowledged as durable is so already.
        self.sync().ok();
    }
}
