//! The corpus that is kept: every input that was worth it once is read again.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use deriva_fuzz::{Read, TARGETS, Target, frames};

/// Bytes of an input at the most, and of all together.
const LONGEST: u64 = 8 << 10;
const ALL: u64 = 1 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(target: &Target) -> Vec<PathBuf> {
    let files = fs::read_dir(folder().join(target.name)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The inputs of a target.
pub(crate) fn of(target: &Target) -> Vec<Vec<u8>> {
    let files = files(target);
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_kept_input_is_read_and_some_are_taken_and_some_refused() {
    for target in TARGETS {
        let (mut taken, mut refused) = (0, 0);
        for file in files(target) {
            let bytes = fs::read(&file).unwrap();
            let read = catch_unwind(AssertUnwindSafe(|| (target.read)(&bytes)));
            match read {
                Ok(Read::Taken) => taken += 1,
                Ok(Read::Refused) => refused += 1,
                Err(_) => panic!("{} breaks a promise, as said above", file.display()),
            }
        }
        assert!(
            taken >= 5 && refused >= 5,
            "{}: {taken} taken, {refused} refused",
            target.name
        );
    }
}

#[test]
fn every_message_and_every_call_is_in_the_corpus() {
    let heads = |target: &str| -> BTreeSet<String> {
        let target = TARGETS.iter().find(|it| it.name == target).unwrap();
        let taken = of(target).into_iter();
        let taken = taken.filter(|bytes| (target.read)(bytes) == Read::Taken);
        let head = |bytes: Vec<u8>| {
            bytes
                .split(|byte| *byte == b'\n')
                .next()
                .map(<[u8]>::to_vec)
        };
        let heads = taken.filter_map(head).map(String::from_utf8);
        heads.map(Result::unwrap).collect()
    };
    let messages = heads("frames");
    for name in frames::names() {
        assert!(messages.contains(name), "no {name} is taken");
    }
    let calls = heads("calls");
    for call in [
        "Blobs/Put",
        "Blobs/Get",
        "Graph/Insert",
        "Graph/Walk",
        "Materialize/Run",
        "Admin/Status",
    ] {
        assert!(calls.contains(call), "no {call} is answered");
    }
}

#[test]
fn the_corpus_is_small_and_knows_no_target_that_there_is_not() {
    let known: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    let folders = fs::read_dir(folder()).unwrap();
    let folders = folders.map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(folders.collect::<BTreeSet<_>>(), known);
    let mut all = 0;
    for file in TARGETS.iter().flat_map(files) {
        let len = file.metadata().unwrap().len();
        assert!(len <= LONGEST, "{} has {len} bytes", file.display());
        all += len;
    }
    assert!(all <= ALL, "{all} bytes");
}

/// `cargo fuzz` finds a program by the name of its target.
#[test]
fn every_target_has_its_program() {
    let manifest = fs::read_to_string(folder().with_file_name("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let program = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"{program}\"")));
        let text = fs::read_to_string(folder().with_file_name(&program)).unwrap();
        assert!(text.contains(&format!("deriva_fuzz::{name}::read(bytes)")));
    }
}
