//! What a loss of power leaves of a database, replayed: of all that was written between two syncs
//! the disk may have any part.
//!
//! The engine tells of each sync; what lies in its folder then is durable. A state is what one sync made
//! durable and, block by block, some of what the next one did. Segments are small here, so that a commit
//! has many and a state costs little.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::engine::SledEngine;
use crate::kv::{Engine, Place, Write};

const SEGMENT: usize = 256 << 10;
/// How long rows are: a leaf of them stays below a quarter of a segment.
const ROW: usize = 1000;

type Files = BTreeMap<String, Vec<u8>>;

thread_local! {
    static SYNCED: RefCell<Option<Vec<Files>>> = const { RefCell::new(None) };
}

/// Called by the engine after each sync.
pub(super) fn synced(folder: &Path) {
    SYNCED.with_borrow_mut(|states| {
        if let Some(states) = states {
            states.push(files(folder));
        }
    });
}

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    files.map(file).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// One family of states: which of the blocks that were written the disk has.
fn family(random: &mut Random, changed: &[usize]) -> impl FnMut(usize) -> bool + use<> {
    let kind = random.below(6);
    let share = 1 + random.below(99);
    let one = changed[random.below(changed.len())];
    let segment = one / SEGMENT;
    let mut random = Random(random.0 | 1);
    move |at| match kind {
        0 => random.below(100) < share,
        1 => at / SEGMENT != segment,
        2 => at / SEGMENT == segment,
        3 => at < one,
        4 => at > one,
        _ => at != one,
    }
}

fn mixed(random: &mut Random, before: &Files, after: &Files) -> Files {
    let block = [512, 4096, 65_536][random.below(3)];
    let mut state = before.clone();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        if random.below(2) == 0 {
            state.remove(name);
        }
    }
    for (name, new) in after {
        // A snapshot is synced before it gets its name.
        if name.starts_with("snap.") {
            if random.below(2) == 0 {
                state.insert(name.clone(), new.clone());
            }
            continue;
        }
        let old = state.entry(name.clone()).or_default();
        let blocks = (0..new.len().div_ceil(block)).map(|n| n * block);
        let differs = |at: &usize| {
            let end = new.len().min(at + block);
            old.get(*at..end) != Some(&new[*at..end])
        };
        let changed: Vec<usize> = blocks.filter(differs).collect();
        if changed.is_empty() {
            continue;
        }
        let mut has = family(random, &changed);
        // A longer file may be as long without its bytes, or shorter.
        let written: Vec<usize> = changed.into_iter().filter(|at| has(*at)).collect();
        let end = written.last().map_or(0, |at| new.len().min(at + block));
        let len = match random.below(2) {
            0 => old.len().max(end),
            _ => old.len().max(new.len()),
        };
        old.resize(len, 0);
        for at in written {
            let end = new.len().min(at + block);
            old[at..end].copy_from_slice(&new[at..end]);
        }
    }
    state
}

fn open(folder: &Path) -> SledEngine {
    let place = Place {
        folder: folder.to_owned(),
        is_new: false,
    };
    SledEngine::open(&place, 64 << 20).unwrap_or_else(|error| panic!("refused: {error:?}"))
}

fn rows(engine: &SledEngine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let rows = engine.scan(b"r", None, usize::MAX).unwrap();
    rows.into_iter()
        .map(|(key, value)| (key, value.to_vec()))
        .collect()
}

/// A life: batches, of which some are much larger than a segment, rows written anew, rows removed.
fn batches(seed: u64) -> Vec<Vec<Write>> {
    let mut random = Random(seed);
    let mut batches = Vec::new();
    for n in 0..14 {
        let count = [5, 40, 900, 3, 1200, 150, 900][random.below(7)];
        let mut batch = BTreeMap::new();
        for _ in 0..count {
            // Some are met again; most are new, so that leaves grow and split.
            let range = [2_000, 100_000][random.below(2)];
            let key = format!("r{:05}", random.below(range)).into_bytes();
            let len = 1 + random.below(ROW);
            let value = Bytes::from(vec![n as u8 ^ key[5]; len]);
            batch.insert(key, (random.below(5) > 0).then_some(value));
        }
        batch.insert(b"rlast".to_vec(), Some(Bytes::from(vec![n as u8; 8])));
        batches.push(batch.into_iter().collect());
    }
    batches
}

/// A folder in this state.
fn restored(state: Files) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sled");
    fs::create_dir_all(folder.join("blobs")).unwrap();
    for (name, bytes) in state {
        fs::write(folder.join(name), bytes).unwrap();
    }
    (dir, folder)
}

/// Openings one after the other, each cut off; what the last one found.
fn reopened(random: &mut Random, mut state: Files) -> BTreeMap<Vec<u8>, Vec<u8>> {
    for _ in 0..2 {
        let (_dir, folder) = restored(state.clone());
        SYNCED.set(Some(vec![state]));
        let engine = open(&folder);
        let mut synced = SYNCED.take().unwrap();
        synced.push(files(&folder));
        drop(engine);
        let window = random.below(synced.len() - 1);
        state = mixed(random, &synced[window], &synced[window + 1]);
    }
    let (_dir, folder) = restored(state);
    rows(&open(&folder))
}

/// A few rows, written anew many times: most of the log is dead, its last segments too.
fn hot(seed: u64) -> Vec<Vec<Write>> {
    let mut random = Random(seed);
    let batch = |n: usize| {
        let row = |key: usize| {
            let len = ROW / 2 + random.below(ROW / 2);
            let value = Bytes::from(vec![n as u8; len]);
            (format!("r{key:05}").into_bytes(), Some(value))
        };
        (0..30).map(row).collect()
    };
    (0..40).map(batch).collect()
}

fn replay(seed: u64, batches: Vec<Vec<Write>>, durable: bool, states: usize) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sled");
    let config = sled::Config::new().path(&folder).segment_size(SEGMENT);
    drop(config.open().unwrap());
    let engine = open(&folder);
    let mut stored = BTreeMap::new();
    let mut random = Random(seed ^ 0x9E37_79B9_7F4A_7C15);
    engine.sync().unwrap();
    let mut last = files(&folder);
    // What was stored when everything was last synced, and after each batch since.
    let mut possible = vec![stored.clone()];
    let mut checked = 0;
    for batch in batches {
        // Reads write, too: sled splits what has grown too large when it next comes by.
        for (key, _) in &batch {
            engine.get(key).unwrap();
        }
        SYNCED.set(Some(Vec::new()));
        engine.apply(&batch, durable).unwrap();
        let windows = SYNCED.take().unwrap();
        for (key, value) in &batch {
            match value {
                Some(value) => drop(stored.insert(key.clone(), value.to_vec())),
                None => drop(stored.remove(key)),
            }
        }
        possible.push(stored.clone());
        // Each state is between two of these; the last of a buffered database is not synced.
        let mut synced = vec![last];
        synced.extend(windows);
        last = synced.last().cloned().unwrap_or_default();
        if !durable {
            synced.push(files(&folder));
        }
        for _ in 0..states.min(states * (synced.len() - 1)) {
            let window = random.below(synced.len() - 1);
            let state = mixed(&mut random, &synced[window], &synced[window + 1]);
            let found = match random.below(3) {
                0 => reopened(&mut random, state),
                _ => {
                    let (_dir, folder) = restored(state);
                    rows(&open(&folder))
                }
            };
            assert!(possible.contains(&found), "seed {seed}: lost or torn");
            checked += 1;
        }
        if durable {
            possible = vec![stored.clone()];
        }
    }
    assert!(checked > 0);
    drop(engine);
    assert_eq!(rows(&open(&folder)), stored);
}

/// For each batch; more where the environment says so.
fn states() -> usize {
    std::env::var("DERIVA_STATES").map_or(5, |n| n.parse().unwrap())
}

#[test]
fn an_unsynced_commit_is_there_whole_or_not_at_all() {
    let states = states();
    for seed in 1..4 {
        replay(seed, batches(seed), true, states);
    }
}

#[test]
fn a_buffered_database_comes_up_as_it_was_at_some_time() {
    let states = states();
    for seed in 11..13 {
        replay(seed, batches(seed), false, states);
    }
}

#[test]
fn a_database_of_which_most_is_dead_comes_up_too() {
    replay(21, hot(21), true, 2 * states());
}
