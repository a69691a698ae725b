//! What the stores stand on: rows in an ordered map, and a log in a folder that outlives them.
//!
//! A write changes the rows at once; `commit` appends what was written since to the log. Opening
//! reads the log. A record of the log carries a checksum, so damage is found when it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::ops::Bound;
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use deriva_api::{BlobCheck, BlobUsage, CAddr, DagUsage, Error, ErrorKind, Result};

use super::list::Break;

/// The tables: the first byte of a key.
pub(super) const BLOBS: u8 = b'b';
pub(super) const EDGES: u8 = b'e';
pub(super) const OUTPUTS: u8 = b'o';
pub(super) const RECIPES: u8 = b'r';
pub(super) const ROOTS: u8 = b'n';

/// A key: the table, then the parts.
pub(super) fn key(table: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[table], parts.concat().as_slice()].concat()
}

#[derive(Debug)]
pub(super) struct Disk {
    broken: Option<Break>,
    pub(super) rows: BTreeMap<Vec<u8>, Bytes>,
    pub(super) blob_usage: BlobUsage,
    pub(super) dag_usage: DagUsage,
    /// For breaks alone: addresses in the order in which they came, what was removed, how deep
    /// recipes lie, what is locked, which rows the log deletes,
    /// what is cached, what writers gather, what `verify` told.
    pub(super) inserted: Vec<CAddr>,
    pub(super) removed: HashMap<CAddr, Bytes>,
    pub(super) depths: HashMap<CAddr, u64>,
    pub(super) held: BTreeSet<CAddr>,
    gone: BTreeSet<Vec<u8>>,
    pub(super) cache: BTreeMap<Vec<u8>, Bytes>,
    pub(super) gathered: BytesMut,
    pub(super) told: HashMap<CAddr, BlobCheck>,
    /// The rows that were written and are not in the log yet; `late` for a break alone.
    batch: Vec<Vec<u8>>,
    late: Vec<Vec<u8>>,
    /// `None` once the process that this stands for was killed.
    log: Option<File>,
}

impl Disk {
    pub(super) fn open(folder: &Path, broken: Option<Break>) -> Result<Self> {
        let path = folder.join("log");
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut log = options.open(path).map_err(Error::io)?;
        let mut written = Vec::new();
        log.read_to_end(&mut written).map_err(Error::io)?;
        let mut disk = Self {
            broken,
            rows: BTreeMap::new(),
            blob_usage: BlobUsage::default(),
            dag_usage: DagUsage::default(),
            inserted: Vec::new(),
            removed: HashMap::new(),
            depths: HashMap::new(),
            held: BTreeSet::new(),
            gone: BTreeSet::new(),
            cache: BTreeMap::new(),
            gathered: BytesMut::new(),
            told: HashMap::new(),
            batch: Vec::new(),
            late: Vec::new(),
            log: Some(log),
        };
        let mut left = Bytes::from(written);
        while !left.is_empty() {
            if broken == Some(Break::panics_where_its_log_is_cut) {
                assert!(left.clone().get_u64_le() + 8 <= left.len() as u64);
            }
            disk.replay(&mut left).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "the log is damaged")
                    .with("folder", folder.display())
            })?;
        }
        disk.lose();
        if !disk.broken(Break::counts_from_zero_at_reopen) {
            disk.count();
        }
        Ok(disk)
    }

    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    /// Reads one record into the rows; `None` where it is damaged.
    fn replay(&mut self, left: &mut Bytes) -> Option<()> {
        let len = left.try_get_u64_le().ok()?;
        let sum = left.try_get_u64_le().ok()?;
        let mut batch = split(left, len)?;
        let unchecked = [
            Break::trusts_its_disk,
            Break::checks_blobs_in_get_alone,
            Break::trusts_recipes_on_disk,
            Break::checks_recipes_alone,
            Break::verifies_without_a_look,
            Break::verifies_damage_as_absence,
            Break::fails_where_one_is_damaged,
            Break::removes_what_it_finds_damaged,
        ];
        if checksum(&batch) != sum && !unchecked.iter().any(|how| self.broken(*how)) {
            return self.broken(Break::takes_damage_for_absence).then_some(());
        }
        if left.is_empty() && self.broken(Break::leaves_the_last_record_out) {
            return Some(());
        }
        while !batch.is_empty() {
            let len = batch.try_get_u64_le().ok()?;
            let key = split(&mut batch, len)?.to_vec();
            let len = batch.try_get_u64_le().ok()?;
            if len == u64::MAX {
                self.rows.remove(&key);
                self.gone.insert(key);
                continue;
            }
            let value = split(&mut batch, len)?;
            if !self.rows.contains_key(&key) || !self.broken(Break::replays_the_first_write) {
                self.rows.insert(key, value);
            }
        }
        Some(())
    }

    /// Opening again loses what the break says.
    fn lose(&mut self) {
        let is_recipe = |key: &&Vec<u8>| key[0] == RECIPES;
        let recipes: BTreeSet<Vec<u8>> = self.rows.keys().filter(is_recipe).cloned().collect();
        let gone = std::mem::take(&mut self.gone);
        let broken = self.broken;
        self.rows.retain(|row, _| match broken {
            Some(Break::loses_blobs_that_came_back) => row[0] != BLOBS || !gone.contains(row),
            Some(Break::loses_edges_that_came_back) => row[0] != EDGES || !gone.contains(row),
            Some(Break::loses_roots_at_reopen) => row[0] != ROOTS,
            Some(Break::keeps_edges_in_memory) => row[0] != EDGES,
            Some(Break::drops_outputs_without_recipes) => {
                row[0] != OUTPUTS || recipes.contains(&key(RECIPES, &[&row[1..]]))
            }
            _ => true,
        });
    }

    fn count(&mut self) {
        let with_output = |(key, _): &(&Vec<u8>, &Bytes)| {
            self.rows.contains_key(&[&[OUTPUTS], &key[1..]].concat())
        };
        self.blob_usage = BlobUsage {
            blobs: self.scan(BLOBS, &[], None).count() as u64,
            bytes: self
                .scan(BLOBS, &[], None)
                .map(|(_, blob)| blob.len() as u64)
                .sum(),
        };
        self.dag_usage = DagUsage {
            recipes: self.scan(RECIPES, &[], None).count() as u64,
            outputs: self.scan(RECIPES, &[], None).filter(with_output).count() as u64,
            roots: self.scan(ROOTS, &[], None).count() as u64,
        };
    }

    pub(super) fn get(&self, table: u8, addr: CAddr) -> Option<&Bytes> {
        self.rows.get(&key(table, &[addr.as_bytes()]))
    }

    /// The rows of a table whose keys go on with `prefix`, after `after`.
    pub(super) fn scan(
        &self,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&Vec<u8>, &Bytes)> {
        let prefix = key(table, &[prefix]);
        let from = match after {
            Some(after) => Bound::Excluded([&prefix, after].concat()),
            None => Bound::Included(prefix.clone()),
        };
        let rows = self.rows.range((from, Bound::Unbounded));
        rows.take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// Writes a row; answers whether it is new.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Bytes) -> bool {
        self.log_row(&key, Some(&value));
        self.cache.remove(&key);
        self.rows.insert(key, value).is_none()
    }

    /// Deletes a row; answers what it was.
    pub(super) fn delete(&mut self, key: &[u8]) -> Option<Bytes> {
        self.log_row(key, None);
        self.cache.remove(key);
        self.rows.remove(key)
    }

    fn log_row(&mut self, key: &[u8], value: Option<&Bytes>) {
        let len = value.map_or(u64::MAX, |value| value.len() as u64);
        let key_len = key.len() as u64;
        let value = value.map_or(&[] as &[u8], |value| value);
        let row = [&key_len.to_le_bytes(), key, &len.to_le_bytes(), value].concat();
        match key[0] == ROOTS && self.broken(Break::writes_roots_when_it_is_closed) {
            true => self.late.push(row),
            false => self.batch.push(row),
        }
    }

    /// Makes a batch survive the process.
    pub(super) fn commit(&mut self) -> Result<()> {
        match self.broken(Break::acknowledges_before_commit) {
            true => Ok(()),
            false => self.flush(),
        }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        if self.broken(Break::writes_when_it_is_closed) {
            return Ok(());
        }
        let back = self.broken(Break::holds_the_last_row_back);
        let held = self.batch.pop_if(|_| back);
        self.write()?;
        self.batch.extend(held);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch).concat();
        let Some(log) = self.log.as_mut().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let head = [batch.len() as u64, checksum(&batch)].map(u64::to_le_bytes);
        log.write_all(head.as_flattened()).map_err(Error::io)?;
        log.write_all(&batch).map_err(Error::io)
    }

    /// From now on nothing reaches the log, as if the process were gone.
    pub(super) fn kill(&mut self) {
        self.log = None;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.batch.append(&mut self.late);
        // Nobody is left to be told; a case that reads on will see what is missing.
        let _ = self.write();
    }
}

fn split(bytes: &mut Bytes, len: u64) -> Option<Bytes> {
    (len <= bytes.len() as u64).then(|| bytes.split_to(len as usize))
}

fn checksum(batch: &[u8]) -> u64 {
    CAddr::of_blob(batch).as_bytes().as_slice().get_u64_le()
}
