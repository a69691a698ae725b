//! One write's view of the store while it is decided: the engine, below what its group has written
//! so far, below what it has written itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use deriva_api::{CAddr, Result};

use super::engine::{Engine, into_bytes};
use super::layout::Counters;
use crate::files::disk::{Disk, Staged};

/// Rows read at once where a table is searched, or many keys are looked up.
const PAGE: usize = 256;

/// Changes that are not applied yet. A group collects those of its writes; a write that fails leaves
/// none.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) rows: BTreeMap<Vec<u8>, Option<Bytes>>,
    pub(super) counters: Counters,
    /// Files to be moved into place before the rows are applied.
    pub(super) place: Vec<Staged>,
    /// Files that no row names any more, to be deleted once the rows are durable.
    pub(super) doomed: BTreeSet<CAddr>,
}

pub(super) struct Overlay<'a, E: Engine> {
    engine: &'a E,
    pub(super) disk: &'a Disk,
    group: &'a Changes,
    pub(super) own: Changes,
    /// Files that the group or an earlier one doomed, and that are wanted again.
    pub(super) spared: BTreeSet<CAddr>,
}

impl<'a, E: Engine> Overlay<'a, E> {
    pub(super) fn new(engine: &'a E, disk: &'a Disk, group: &'a Changes) -> Self {
        let own = Changes {
            counters: group.counters,
            ..Changes::default()
        };
        Self {
            engine,
            disk,
            group,
            own,
            spared: BTreeSet::new(),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.changed(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.engine.get(key)?.map(into_bytes)),
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> Result<bool> {
        match self.changed(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.engine.get(key)?.is_some()),
        }
    }

    /// Which of these keys of one table there are.
    pub(super) fn contains_many(&self, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
        self.many(keys, |value| value.is_some(), |value| value.is_some())
    }

    /// What is below these keys of one table.
    pub(super) fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        self.many(keys, Clone::clone, |value| value.map(into_bytes))
    }

    fn many<T>(
        &self,
        keys: &[Vec<u8>],
        changed: impl Fn(&Option<Bytes>) -> T,
        stored: impl Fn(Option<E::Value>) -> T,
    ) -> Result<Vec<T>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(PAGE) {
            let values = self.engine.get_many(keys)?;
            let values = keys.iter().zip(values);
            found.extend(values.map(|(key, value)| match self.changed(key) {
                Some(value) => changed(value),
                None => stored(value),
            }));
        }
        Ok(found)
    }

    /// Whether this write or one before it in the group has put something under a key.
    pub(super) fn is_new(&self, key: &[u8]) -> bool {
        self.changed(key).is_some_and(Option::is_some)
    }

    /// What this write itself has put under a key.
    pub(super) fn written(&self, key: &[u8]) -> Option<&Bytes> {
        self.own.rows.get(key)?.as_ref()
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.own.rows.insert(key, Some(value));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.own.rows.insert(key, None);
    }

    /// The first key below `prefix`, in no particular order, that `wanted` accepts.
    pub(super) fn find(
        &self,
        prefix: &[u8],
        wanted: impl Fn(&[u8]) -> Result<bool>,
    ) -> Result<Option<Vec<u8>>> {
        for rows in [&self.own.rows, &self.group.rows] {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let below = rows.range::<[u8], _>(from);
            for (key, _) in below.take_while(|(key, _)| key.starts_with(prefix)) {
                let there = self.changed(key).is_some_and(Option::is_some);
                if there && wanted(key)? {
                    return Ok(Some(key.clone()));
                }
            }
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.engine.scan(prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(None);
            };
            after = Some(last.clone());
            for (key, _) in page {
                if self.changed(&key).is_none() && wanted(&key)? {
                    return Ok(Some(key));
                }
            }
        }
    }

    /// What this write or its group made of the key: `None` where they left it alone.
    fn changed(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        let own = self.own.rows.get(key);
        own.or_else(|| self.group.rows.get(key))
    }
}
