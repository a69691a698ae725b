//! What the stores stand on: rows in an ordered map, and a log in a folder that outlives them.
//!
//! A write changes the rows at once; `commit` appends what was written since to the log. Opening
//! reads the log. A record of the log carries a checksum, so damage is found when it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::ops::Bound;
use std::path::Path;

use bytes::{Buf, Bytes};
use deriva_api::{BlobUsage, CAddr, DagUsage, Error, ErrorKind, Result};

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
    /// recipes lie, what is locked, which rows the log deletes.
    pub(super) inserted: Vec<CAddr>,
    pub(super) removed: HashMap<CAddr, Bytes>,
    pub(super) depths: HashMap<CAddr, u64>,
    pub(super) held: BTreeSet<CAddr>,
    gone: BTreeSet<Vec<u8>>,
    /// What was written and is not in the log yet.
    batch: Vec<u8>,
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
            batch: Vec::new(),
            log: Some(log),
        };
        let mut left = Bytes::from(written);
        while !left.is_empty() {
            disk.replay(&mut left).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "the log is damaged")
                    .with("folder", folder.display())
            })?;
        }
        let table = match broken {
            Some(Break::loses_blobs_that_came_back) => Some(BLOBS),
            Some(Break::loses_edges_that_came_back) => Some(EDGES),
            _ => None,
        };
        disk.rows
            .retain(|key, _| Some(key[0]) != table || !disk.gone.contains(key));
        let lost = match broken {
            Some(Break::loses_roots_at_reopen) => Some(ROOTS),
            Some(Break::keeps_edges_in_memory) => Some(EDGES),
            _ => None,
        };
        disk.rows.retain(|key, _| Some(key[0]) != lost);
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
        if checksum(&batch) != sum {
            return None;
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

    /// The rows of a table whose keys go on with `prefix`, behind `after`.
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
        self.rows.insert(key, value).is_none()
    }

    /// Deletes a row; answers what it was.
    pub(super) fn delete(&mut self, key: &[u8]) -> Option<Bytes> {
        self.log_row(key, None);
        self.rows.remove(key)
    }

    fn log_row(&mut self, key: &[u8], value: Option<&Bytes>) {
        self.batch.extend((key.len() as u64).to_le_bytes());
        self.batch.extend(key);
        let len = value.map_or(u64::MAX, |value| value.len() as u64);
        self.batch.extend(len.to_le_bytes());
        self.batch
            .extend_from_slice(value.map_or(&[], |value| value));
    }

    /// Makes a batch survive the process.
    pub(super) fn commit(&mut self) -> Result<()> {
        match self.broken(Break::acknowledges_before_commit) {
            true => Ok(()),
            false => self.flush(),
        }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        match self.broken(Break::writes_when_it_is_closed) {
            true => Ok(()),
            false => self.write(),
        }
    }

    fn write(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
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
