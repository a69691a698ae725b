//! Reading a recipe takes little memory, whoever wrote it. Alone in its file, so that it has a process of
//! its own whoever runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use deriva_api::{Bytes, ErrorKind, Params, Recipe, Value, canonical};

const MIB: usize = 1 << 20;
/// What reading may take beside the bytes that are read.
const ALLOWED: u64 = 4 << 20;
/// What values may take: the most of them, each a map of its own.
const VALUES: u64 = canonical::MAX_VALUES as u64 * 800;

/// The most memory that this process has had so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Does `work`, which may raise the peak by `allowed` bytes.
fn within<T>(allowed: u64, what: &str, work: impl FnOnce() -> T) -> T {
    let before = peak();
    let done = work();
    let grown = peak() - before;
    assert!(grown <= allowed, "{what} took {} MiB", grown >> 20);
    done
}

/// A recipe whose one param is a list of `count` of these items: as others may have written it.
fn list_of(item: &[u8], count: u32) -> Bytes {
    let mut bytes = b"\x85\x01\x61f\x611\x80\xa1\x61x\x9a".to_vec();
    bytes.reserve_exact(4 + item.len() * count as usize);
    bytes.extend_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        bytes.extend_from_slice(item);
    }
    bytes.into()
}

#[test]
fn what_others_wrote_takes_no_memory_in_proportion() {
    let deep: Vec<u8> = [b"\xa1\x60".repeat(60), b"\xf6".to_vec()].concat();
    for (what, item) in [
        ("nulls", b"\xf6".as_slice()),
        ("empty texts", b"\x60"),
        ("maps of one entry", b"\xa1\x60\xf6"),
        ("maps in maps", &deep),
    ] {
        let bytes = list_of(item, (16 * MIB / item.len()) as u32);
        let recipe = within(ALLOWED, what, || Recipe::decode(bytes).unwrap());
        let same = recipe.canonical().clone();
        within(ALLOWED, what, || {
            Recipe::verify(recipe.addr(), same).unwrap()
        });
        let error = within(VALUES, what, || recipe.params().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}");
        assert_eq!(error.context("limit"), Some("65536"));
        let error = recipe.check_limits().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}");
    }
    // Lengths that are stated and not there.
    for head in [b"\x9b".as_slice(), b"\xbb", b"\x7b", b"\x5b"] {
        let stated = [b"\x85\x01\x61f\x611\x80\xa1\x61x", head, &[0x7f; 8]].concat();
        let refused = within(ALLOWED, "a length", || Recipe::decode(stated.into()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let inputs = [b"\x85\x01\x61f\x611\x9b".as_slice(), &[0x7f; 8], b"\xa0"].concat();
    let refused = within(ALLOWED, "a number of inputs", || {
        Recipe::decode(inputs.into())
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
    // What is built is refused before it is written.
    let text = Params::new().with("x", Value::from("x".repeat(64 * MIB)));
    let id = "f/1".parse().unwrap();
    let refused = within(ALLOWED, "a long text", || Recipe::new(&id, &[], &text));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}
