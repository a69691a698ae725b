//! Applies a large batch in parts, each followed by a sync; see [`large`] for why.

use std::sync::atomic::Ordering;

use deriva_api::{Error, ErrorKind, Result};

use super::engine::{SledEngine, weight};
use super::large;
use crate::folder::at;
use crate::kv::{Engine, Write};

/// The number of the last [`large`] batch of which a part was applied, and of the last that was applied to
/// the end. The keys belong to no table.
const LARGE_BEGUN: &[u8] = b"\0begun";
const LARGE_DONE: &[u8] = b"\0large";

impl SledEngine {
    /// Applies a batch that is too large for one commit. It is durable.
    pub(super) fn apply_large(&self, writes: &[Write]) -> Result<()> {
        // It must not come back without those before it.
        self.sync()?;
        let number = self.number(LARGE_DONE)?.saturating_add(1);
        large::write(&self.folder, number, writes).map_err(|failed| {
            if failed.may_be_there {
                // Nothing else may be written now: the next opening would apply it on top.
                self.unsynced.store(true, Ordering::Release);
            }
            failed.error
        })?;
        self.apply_parts(number, writes)?;
        large::done(&self.folder);
        Ok(())
    }

    /// Applies the large batch that an earlier opening did not finish, if there is one.
    pub(super) fn finish_large(&self) -> Result<()> {
        let done = self.number(LARGE_DONE)?;
        match large::read(&self.folder)? {
            Some((number, writes)) if number > done => self.apply_parts(number, &writes),
            // Its file was whole when the first part was written.
            _ if self.number(LARGE_BEGUN)? > done => {
                let message =
                    "a large batch is stored in part, and the file with all of it is damaged";
                let error = Error::new(ErrorKind::Corrupt, message);
                Err(at(&self.folder, error).hint("restore the folder from a copy"))
            }
            _ => Ok(()),
        }
    }

    fn number(&self, key: &[u8]) -> Result<u64> {
        let row = self.get(key)?;
        let number = row.and_then(|row| row.as_ref().try_into().ok());
        Ok(number.map_or(0, u64::from_le_bytes))
    }

    fn apply_parts(&self, number: u64, writes: &[Write]) -> Result<()> {
        let mut parted = self.parted.write();
        let done = self.each_part(number, writes);
        if done.is_err() {
            *parted = true;
            self.unsynced.store(true, Ordering::Release);
        }
        done
    }

    fn each_part(&self, number: u64, mut writes: &[Write]) -> Result<()> {
        let mut begun = Some(LARGE_BEGUN);
        while !writes.is_empty() {
            let max = self.max_commit.load(Ordering::Acquire);
            let (mut count, mut bytes) = (0, 0);
            while count < writes.len() && (count == 0 || bytes + weight(&writes[count]) <= max) {
                bytes += weight(&writes[count]);
                count += 1;
            }
            let (part, rest) = writes.split_at(count);
            self.pending.store(bytes, Ordering::Release);
            let done = rest.is_empty().then_some(LARGE_DONE);
            let keys = begun.take().into_iter().chain(done);
            self.apply_batch(part, keys.map(|key| (key, number)))?;
            failpoint!(ENGINE_WRITTEN);
            self.sync()?;
            writes = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::kv::Place;

    #[test]
    fn a_large_batch_that_was_cut_off_is_finished_or_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let place = |is_new| Place {
            folder: dir.path().join("sled"),
            is_new,
        };
        let row = |n: u32| (n.to_be_bytes().to_vec(), Some(vec![7; 20_000].into()));
        let writes: Vec<Write> = (1..100).map(row).collect();
        let engine = SledEngine::open(&place(true), 64 << 20).unwrap();
        engine.apply(&writes[..1], true).unwrap();
        large::write(&place(false).folder, 1, &writes).ok().unwrap();
        // The first part.
        let begun = std::iter::once((LARGE_BEGUN, 1));
        engine.apply_batch(&writes[..20], begun).unwrap();
        drop(engine);
        let file = dir.path().join("sled/large");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..100]).unwrap();
        let error = SledEngine::open(&place(false), 64 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        fs::write(&file, whole).unwrap();
        for _ in 0..2 {
            let engine = SledEngine::open(&place(false), 64 << 20).unwrap();
            for (key, value) in &writes {
                assert_eq!(engine.get(key).unwrap().as_deref(), value.as_deref());
            }
            // Once done it is not applied again.
            engine
                .apply(&[(writes[0].0.clone(), Some("new".into()))], true)
                .unwrap();
            drop(engine);
            let engine = SledEngine::open(&place(false), 64 << 20).unwrap();
            assert_eq!(
                engine.get(&writes[0].0).unwrap().as_deref(),
                Some(&b"new"[..])
            );
            engine.apply(&writes[..1], true).unwrap();
        }
    }
}
