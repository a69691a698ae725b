//! The mutants' blob store.

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, ByteRange, CAddr, Capabilities,
    DurabilityClass, Error, ErrorKind, Evidence, Result, StoreCounters,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;

use super::disk::{BLOBS, Disk, key};
use super::list::Break;
use super::store::{Store, answers, dawdle, pause};
use super::writer::Writer;

impl Store {
    fn put_one(&self, disk: &mut Disk, blob: &Blob) {
        let there = disk.get(BLOBS, blob.addr()).is_some();
        let there = there
            && !self.broken(Break::shows_half_a_blob)
            && !self.broken(Break::leaves_half_a_blob);
        let lost = (self.broken(Break::loses_blobs_at_a_threshold) && blob.len() == 16 << 10)
            || (self.broken(Break::never_stores_the_empty_blob) && blob.is_empty())
            || (self.broken(Break::remembers_removals) && disk.removed.contains_key(&blob.addr()));
        if lost || (there && !self.broken(Break::counts_a_blob_twice)) {
            return;
        }
        let mut bytes = blob.bytes().clone();
        if self.broken(Break::keeps_zeros_as_holes) && bytes.iter().all(|byte| *byte == 0) {
            bytes.clear();
        }
        if self.broken(Break::trims_a_last_nul) && bytes.ends_with(b"\0") {
            bytes.truncate(bytes.len() - 1);
        }
        disk.put(key(BLOBS, &[blob.addr().as_bytes()]), bytes);
        disk.inserted.push(blob.addr());
        disk.blob_usage.blobs += 1;
        disk.blob_usage.bytes += blob.len();
    }

    fn show_halves(&self, blobs: &[Blob]) {
        let mut disk = self.disk.lock();
        for blob in blobs {
            let half = blob.bytes().slice(..blob.bytes().len() / 2);
            disk.rows
                .insert(key(BLOBS, &[blob.addr().as_bytes()]), half);
        }
    }

    pub(super) fn put_all(&self, blobs: &[Blob]) -> Result<()> {
        if self.broken(Break::shows_half_a_blob) {
            self.show_halves(blobs);
            dawdle();
        }
        if self.broken(Break::looks_before_it_locks) {
            let absent = |blob: &&Blob| self.disk.lock().get(BLOBS, blob.addr()).is_none();
            let absent: Vec<&Blob> = blobs.iter().filter(absent).collect();
            dawdle();
            let mut disk = self.disk.lock();
            for blob in absent {
                disk.put(key(BLOBS, &[blob.addr().as_bytes()]), blob.bytes().clone());
                disk.blob_usage.blobs += 1;
                disk.blob_usage.bytes += blob.len();
            }
            return disk.commit();
        }
        let mut disk = self.disk.lock();
        let mut bytes = 0;
        for (at, blob) in blobs.iter().enumerate() {
            bytes += blob.len();
            if (at >= 1024 && self.broken(Break::ends_a_batch_at_1024))
                || (bytes > 16 << 20 && self.broken(Break::ends_a_batch_at_16_mib))
            {
                break;
            }
            self.put_one(&mut disk, blob);
        }
        disk.commit()
    }

    fn read(&self, disk: &Disk, addr: CAddr) -> Result<Option<Blob>> {
        if let Some(bytes) = disk.removed.get(&addr)
            && (self.broken(Break::serves_what_was_removed)
                || (self.broken(Break::serves_what_is_still_held) && !bytes.is_unique()))
        {
            return Ok(Some(Blob::new(bytes.clone())));
        }
        if self.broken(Break::has_the_empty_blob_always) && addr == Blob::new("").addr() {
            return Ok(Some(Blob::new("")));
        }
        let mut found = disk.get(BLOBS, addr);
        if self.broken(Break::answers_with_a_neighbour) && found.is_none() {
            let next = disk.scan(BLOBS, &[], Some(addr.as_bytes())).next();
            return Ok(next.map(|(_, bytes)| Blob::new(bytes.clone())));
        }
        if self.broken(Break::follows_bytes_that_look_like_addresses) {
            let link = found.and_then(|bytes| CAddr::from_slice(bytes).ok());
            found = link.map_or(found, |link| disk.get(BLOBS, link));
        }
        let Some(bytes) = found else {
            return match self.broken(Break::fails_for_absent_blobs) {
                true => Err(Error::new(ErrorKind::NotFound, "no such blob").with("addr", addr)),
                false => Ok(None),
            };
        };
        match self.broken(Break::trusts_its_disk) {
            true => Ok(Some(Blob::new(bytes.clone()))),
            false => Blob::verify(addr, bytes.clone()).map(Some),
        }
    }

    fn range(&self, blob: &Blob, mut range: ByteRange) -> Result<Bytes> {
        if self.broken(Break::fails_past_the_end) && range.offset > blob.len() {
            return Err(Error::new(ErrorKind::Invalid, "past the end"));
        }
        if self.broken(Break::wraps_offsets_at_16_mib) {
            range.offset %= 16 << 20;
        }
        if self.broken(Break::cuts_offsets_to_32_bits) {
            range.offset = u64::from(range.offset as u32);
        }
        if self.broken(Break::cuts_lengths_of_ranges_to_32_bits) && range.len != u64::MAX {
            range.len = u64::from(range.len as u32);
        }
        let mut within = range.within(blob.len());
        if self.broken(Break::overflows_at_the_end_of_a_range) {
            let end = range.offset.wrapping_add(range.len).min(blob.len());
            within.end = end.max(within.start);
        }
        if self.broken(Break::drops_the_last_byte_of_a_range) && !within.is_empty() {
            within.end -= 1;
        }
        let within = within.start as usize..within.end as usize;
        Ok(blob.bytes().slice(within))
    }

    fn check(&self, addr: CAddr) -> Result<BlobCheck> {
        let right = BlobCheck::Right(Evidence::Read);
        if self.broken(Break::takes_a_removal_for_damage) {
            let there = self.read(&self.disk.lock(), addr)?.is_some();
            dawdle();
            let gone = self.read(&self.disk.lock(), addr)?.is_none();
            if there && gone {
                return Ok(BlobCheck::Damaged);
            }
        }
        let mut disk = self.disk.lock();
        if let Some(told) = disk.told.get(&addr)
            && self.broken(Break::verifies_once_and_for_all)
        {
            return Ok(*told);
        }
        let found = match self.read(&disk, addr) {
            Ok(Some(blob)) if blob.is_empty() && self.broken(Break::verifies_bytes_alone) => {
                BlobCheck::Absent
            }
            Ok(Some(_)) => right,
            Ok(None) => BlobCheck::Absent,
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            Err(_) if self.broken(Break::verifies_without_a_look) => right,
            Err(_) if self.broken(Break::verifies_damage_as_absence) => BlobCheck::Absent,
            Err(error) if self.broken(Break::fails_where_one_is_damaged) => return Err(error),
            Err(_) => {
                if self.broken(Break::removes_what_it_finds_damaged) {
                    disk.delete(&key(BLOBS, &[addr.as_bytes()]));
                }
                BlobCheck::Damaged
            }
        };
        disk.told.insert(addr, found);
        Ok(found)
    }

    fn stat_of(&self, disk: &Disk, addr: CAddr) -> Option<BlobStat> {
        let removed = match self.broken(Break::stat_remembers_removed_blobs) {
            true => disk.removed.get(&addr),
            false => None,
        };
        let mut len = disk.get(BLOBS, addr).or(removed)?.len() as u64;
        if self.broken(Break::counts_lengths_in_pages) {
            len = len.next_multiple_of(4096);
        }
        Some(BlobStat { addr, len })
    }
}

#[async_trait]
impl BlobStore for Store {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::ProcessCrash)
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        if self.broken(Break::puts_in_tokio_alone) && Handle::try_current().is_err() {
            return Err(Error::new(ErrorKind::Internal, "there is no runtime"));
        }
        if self.broken(Break::leaves_half_a_blob) {
            self.show_halves(blobs);
            pause().await;
        }
        self.put_all(blobs)
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Writer::new(self.clone(), expect)))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let row = key(BLOBS, &[addr.as_bytes()]);
        if let Some(rows) = self.cached(Break::caches_blobs_too_late, &row) {
            return Ok(rows.into_values().next().map(Blob::new));
        }
        self.read(&self.disk.lock(), addr)
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let disk = self.disk.lock();
        let mut asked = addrs.to_vec();
        if self.broken(Break::answers_in_the_order_of_addresses) {
            asked.sort_unstable();
        }
        let mut found = Vec::new();
        for addr in asked {
            found.push(match disk.get(BLOBS, addr) {
                Some(bytes) if self.broken(Break::checks_blobs_in_get_alone) => {
                    Some(Blob::new(bytes.clone()))
                }
                _ => self.read(&disk, addr)?,
            });
        }
        if self.broken(Break::reads_256_blobs_at_most) {
            found.iter_mut().skip(256).for_each(|blob| *blob = None);
        }
        found.retain(|blob| blob.is_some() || !self.broken(Break::leaves_absent_blobs_out));
        Ok(found)
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let disk = self.disk.lock();
        if self.broken(Break::shows_half_a_blob) {
            return Ok(disk.get(BLOBS, addr).cloned());
        }
        match self.read(&disk, addr)? {
            Some(blob) => self.range(&blob, range).map(Some),
            None if self.broken(Break::has_empty_ranges_of_absent_blobs) => Ok(Some(Bytes::new())),
            None => Ok(None),
        }
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let disk = self.disk.lock();
        let mut stats: Vec<_> = addrs
            .iter()
            .map(|addr| self.stat_of(&disk, *addr))
            .collect();
        if self.broken(Break::answers_duplicates_once) {
            stats.dedup();
        }
        if self.broken(Break::tells_the_length_before_beyond_64) {
            for at in (64..stats.len()).rev() {
                if let (Some(before), Some(stat)) = (stats[at - 1], &mut stats[at]) {
                    stat.len = before.len;
                }
            }
        }
        Ok(stats)
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let mut asked = addrs.to_vec();
        if self.broken(Break::verifies_duplicates_once) {
            asked.dedup();
        }
        if self.broken(Break::verifies_in_the_order_of_addresses) {
            asked.sort_unstable();
        }
        let mut found = Vec::with_capacity(asked.len());
        for (at, addr) in asked.into_iter().enumerate() {
            found.push(
                match at >= 256 && self.broken(Break::verifies_256_blobs_at_most) {
                    true => BlobCheck::Absent,
                    false => self.check(addr)?,
                },
            );
        }
        Ok(found)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let mut disk = self.disk.lock();
        let mut addrs = addrs.to_vec();
        if self.broken(Break::removes_300_blobs_at_most) {
            addrs.truncate(300);
        }
        if let (Some(first), Some(last)) = (addrs.iter().min(), addrs.iter().max())
            && self.broken(Break::removes_what_lies_between)
        {
            let rows = key(BLOBS, &[first.as_bytes()])..=key(BLOBS, &[last.as_bytes()]);
            let between = disk.rows.range(rows);
            addrs = between
                .filter_map(|(key, _)| CAddr::from_slice(&key[1..]).ok())
                .collect();
        }
        for addr in &addrs {
            let Some(bytes) = disk.delete(&key(BLOBS, &[addr.as_bytes()])) else {
                if self.broken(Break::counts_absent_blobs_as_removed) {
                    disk.blob_usage.blobs = disk.blob_usage.blobs.saturating_sub(1);
                }
                if self.broken(Break::removes_only_what_is_there) {
                    return Err(Error::new(ErrorKind::NotFound, "no such blob"));
                }
                continue;
            };
            disk.inserted.retain(|inserted| inserted != addr);
            if !self.broken(Break::counts_removed_blobs) {
                disk.blob_usage.blobs -= 1;
                disk.blob_usage.bytes -= bytes.len() as u64;
            }
            disk.removed.insert(*addr, bytes);
        }
        disk.commit()
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        if self.broken(Break::lists_blobs_by_position) {
            let nth = move |at: usize| {
                let disk = self.disk.lock();
                let after = after.as_ref().map(|after| after.as_bytes().as_slice());
                let row = disk.scan(BLOBS, &[], after).nth(at);
                row.map(|(key, bytes)| stat(key, bytes))
            };
            let next = move |at| async move { nth(at).map(|stat| (stat, at + 1)) };
            return stream::unfold(0, next).boxed();
        }
        let disk = self.disk.lock();
        if self.broken(Break::lists_blobs_by_insertion) {
            let later = disk
                .inserted
                .iter()
                .skip_while(|addr| after.is_some_and(|after| **addr != after));
            let later = later.skip(usize::from(after.is_some()));
            return answers(
                later
                    .filter_map(|addr| self.stat_of(&disk, *addr))
                    .map(Ok)
                    .collect(),
            );
        }
        let mut after = after.as_ref().map(|after| after.as_bytes().as_slice());
        let mut listed = Vec::new();
        if self.broken(Break::lists_blobs_from_the_start) {
            after = None;
        }
        if let Some(after) = after {
            let row = disk.rows.get_key_value(&key(BLOBS, &[after]));
            if row.is_none() && self.broken(Break::resumes_only_after_what_is_there) {
                return answers(listed);
            }
            if self.broken(Break::lists_the_last_blob_again) {
                listed.extend(row.map(|(key, bytes)| stat(key, bytes)));
            }
        }
        listed.extend(
            disk.scan(BLOBS, &[], after)
                .map(|(key, bytes)| stat(key, bytes)),
        );
        if self.broken(Break::lists_1024_blobs_at_most) {
            listed.truncate(1024);
        }
        answers(listed)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        let usage = self.disk.lock().blob_usage;
        Ok((!self.broken(Break::knows_no_blob_usage)).then_some(usage))
    }

    async fn flush(&self) -> Result<()> {
        self.disk.lock().flush()
    }

    fn counters(&self) -> StoreCounters {
        self.counters_but_for(Break::counts_blobs_anew)
    }
}

fn stat(key: &[u8], bytes: &Bytes) -> Result<BlobStat> {
    let addr = CAddr::from_slice(&key[1..])?;
    let len = bytes.len() as u64;
    Ok(BlobStat { addr, len })
}
