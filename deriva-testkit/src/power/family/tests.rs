use std::collections::BTreeSet;

use super::*;
use crate::power::timeline::{Change, Sync, SyncKind};

const FOLDERS: &[bool] = &[true, false, false, false];

/// `a` is written and synced, then `b` and `c` are made and written, then `b` is renamed to `d`.
fn disk() -> Disk {
    let name = |names: &[(&str, Option<usize>)]| What::Names {
        folder: 0,
        names: names
            .iter()
            .map(|(name, node)| (name.as_bytes().to_vec(), *node))
            .collect(),
    };
    let write = |file, byte| What::Write {
        file,
        at: 0,
        bytes: vec![byte; 2000],
    };
    let whats = [
        name(&[("a", Some(1))]),
        write(1, b'a'),
        name(&[("b", Some(2))]),
        write(2, b'b'),
        name(&[("c", Some(3))]),
        write(3, b'c'),
        name(&[("d", Some(2)), ("b", None)]),
    ];
    let changes = whats.into_iter().enumerate().map(|(at, what)| Change {
        call: at,
        begin: 10 * at,
        end: 10 * at + 1,
        what,
    });
    let sync = |kind, of| Sync {
        begin: 12,
        end: 13,
        kind,
        of: Some(of),
    };
    Disk::new(Timeline {
        changes: changes.collect(),
        syncs: vec![sync(SyncKind::Fdatasync, 1), sync(SyncKind::Folder, 0)],
        folders: FOLDERS.to_vec(),
        ..Timeline::default()
    })
}

/// Each file as its name and the bytes that it holds, once each.
fn seen(disk: &Disk, moment: usize, model: Model, family: Family, variant: u64) -> String {
    let tree = disk.tree(State {
        moment,
        model,
        family,
        variant,
    });
    let folder = tempfile::tempdir().unwrap();
    tree.write(folder.path()).unwrap();
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.dedup();
        let name = path.file_name().unwrap().to_string_lossy();
        files.insert(format!(
            "{name}={}",
            String::from_utf8_lossy(&bytes).replace('\0', "0")
        ));
    }
    files.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_family_is_what_it_says() {
    let disk = disk();
    let at = |moment, model, family, variant| seen(&disk, moment, model, family, variant);
    use Family::*;
    use Model::*;
    for model in Model::ALL {
        // Before the sync ended nothing need be there, and afterwards what it was of.
        assert_eq!(at(11, model, Nothing, 0), "");
        assert_eq!(at(13, model, Nothing, 0), "a=a");
        assert_eq!(at(99, model, Nothing, 0), "a=a");
        assert_eq!(at(99, model, Everything, 0), "a=a c=c d=b");
        assert_eq!(at(51, model, Everything, 0), "a=a b=b c=c");
        assert_eq!(at(99, model, Names, 0), "a=a c= d=");
        assert_eq!(at(99, model, Names, 1), "a=a c=0 d=0");
        assert_eq!(at(99, model, Names, 2), "a=a c=b d=a");
        assert_eq!(at(99, model, Bytes, 0), "a=a");
        // The fourth of what was not durable is the last write, which is variants 9 to 11.
        assert_eq!(at(99, model, AllButOne, 9), "a=a c= d=b");
        assert_eq!(at(99, model, AllButOne, 12), "a=a b=b c=c");
    }
    // The first of them is a name. In a journal all later ones go with it.
    assert_eq!(at(99, Strict, AllButOne, 0), "a=a c=c d=b");
    assert_eq!(at(99, Ext4Like, AllButOne, 0), "a=a");
    assert_eq!(at(99, Strict, OnlyOne, 6), "a=a c=");
    assert_eq!(at(99, Ext4Like, OnlyOne, 6), "a=a b= c=");
    assert_eq!(at(99, Strict, Torn, 10), "a=a b=b c=c");
}

#[test]
fn a_call_under_way_may_have_been_done_or_not() {
    let disk = disk();
    let at = |variant| seen(&disk, 60, Model::Strict, Family::Everything, variant);
    assert_eq!(
        (at(0), at(1)),
        ("a=a b=b c=c".to_owned(), "a=a c=c d=b".to_owned())
    );
    // Which is no matter of choice before it began.
    assert_eq!(
        seen(&disk, 59, Model::Strict, Family::Everything, 1),
        "a=a b=b c=c"
    );
}

#[test]
fn chance_keeps_what_is_durable_and_is_the_same_for_the_same_seed() {
    let disk = disk();
    let mut all = BTreeSet::new();
    for variant in 0..60 {
        for model in Model::ALL {
            let state = || seen(&disk, 99, model, Family::Random512, variant);
            let found = state();
            assert!(found.starts_with("a=a"), "{found}");
            assert_eq!(found, state());
            // In a journal `c` comes after `b`, and `d` after `c`.
            let there = |name: &str| found.contains(name);
            if model == Model::Ext4Like {
                assert!(!there("c=") || there("b=") || there("d="), "{found}");
                assert!(!there("d=") || there("c="), "{found}");
            }
            all.insert(found);
        }
    }
    assert!(all.len() > 15, "{all:?}");
}
