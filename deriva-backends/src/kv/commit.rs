//! Applies a group of writes: files into place, one batch, one sync, counts, and only then answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use deriva_api::{CAddr, Result};

use super::engine::{Engine, Write};
use super::group::Committer;
use super::layout;
use super::ops::{Answer, Op};
use super::stage::{Changes, Stage};
use super::store::Shared;
use crate::Durability;

/// A buffered store syncs early when this many files wait to be deleted.
const MAX_DOOMED: usize = 1024;

pub(super) struct KvCommitter<E: Engine> {
    shared: Arc<Shared<E>>,
    durability: Durability,
    /// Something was applied and not synced.
    dirty: bool,
    /// Files of removed blobs. They are deleted when the removal is durable: before, a crash could
    /// bring the row back.
    doomed: BTreeSet<CAddr>,
}

impl<E: Engine> KvCommitter<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, durability: Durability) -> Self {
        Self {
            shared,
            durability,
            dirty: false,
            doomed: BTreeSet::new(),
        }
    }

    fn apply(&mut self, mut group: Changes, flush: bool) -> Result<()> {
        let disk = &self.shared.disk;
        if !group.rows.is_empty() {
            let placed: Vec<CAddr> = group.place.iter().map(|staged| staged.stat.addr).collect();
            for staged in group.place {
                disk.place(staged)?;
            }
            disk.sync_shards(placed.into_iter())?;
            let counters = layout::encode_counters(&group.counters);
            let key = layout::COUNTERS_KEY.to_vec();
            group.rows.insert(key, Some(counters));
            let writes: Vec<Write> = group.rows.into_iter().collect();
            // Set first: a batch that fails may still be on its way to the disk.
            self.dirty = true;
            self.shared.engine.apply(&writes)?;
            *self.shared.counters.lock() = group.counters;
        }
        self.doomed.append(&mut group.doomed);
        let buffered = self.durability == Durability::Buffered;
        if !buffered || flush || self.doomed.len() > MAX_DOOMED {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if self.dirty {
            if self.durability == Durability::Buffered {
                self.shared.disk.sync_all()?;
            }
            self.shared.engine.sync()?;
            self.dirty = false;
        }
        while let Some(addr) = self.doomed.pop_first() {
            // The row is gone, so a file that cannot be deleted only takes room.
            self.shared.disk.remove(&addr).ok();
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
        let mut group = Changes {
            counters: *self.shared.counters.lock(),
            ..Changes::default()
        };
        let mut flush = false;
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            flush |= matches!(op, Op::Flush);
            let mut stage = Stage::new(&self.shared.engine, &group);
            let answer = op.decide(&mut stage);
            if answer.is_ok() {
                let (mut own, spared) = (stage.own, stage.spared);
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
        if let Err(error) = self.apply(group, flush) {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(error.clone().during("commit"));
            }
        }
        answers
    }

    fn close(&mut self) {
        // Nobody is left to be told; what was acknowledged as durable is so already.
        self.sync().ok();
    }
}
