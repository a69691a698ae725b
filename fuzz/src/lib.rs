//! Readers of what others wrote, fed with anything.
//!
//! A module for each: its `read` takes bytes, has the real reader read them, and checks what is promised of everything that can be
//! read: what is taken comes back as it was, and what is refused is refused by an error that says of which kind it is. It panics where that
//! is not so. No input may make a reader panic, or take long or much memory.
//!
//! | target | what reads |
//! |---|---|
//! | [`recipe`] | the canonical bytes of recipes, and of values |
//! | [`uri`] | URIs of stores, and the registry that opens them |
//! | [`pipeline`] | pipeline files |
//! | [`prefix`] | addresses and prefixes of them |
//! | [`frames`] | messages of the protocol, and answers in parts |
//! | [`calls`] | calls of the service, with whatever messages |
//! | [`configuration`] | the settings of `deriva serve` |
//! | [`tokens`] | files of tokens |
//! | [`words`] | functions, modes, cursors, ids and params as people write them |
//! | [`functions`] | the functions that come with deriva, over blobs that anybody made |
//!
//! `fuzz_targets/` has a program of `cargo fuzz` for each, and `corpus/` what those found worth keeping. The tests of this crate read
//! the corpus, and what is made from it by changing bytes; see `tests/all/main.rs`.

pub mod calls;
pub mod configuration;
mod file;
pub mod frames;
pub mod functions;
pub mod pipeline;
pub mod prefix;
pub mod recipe;
pub mod tokens;
pub mod uri;
pub mod words;

use deriva_api::{Error, ErrorKind};

/// What a reader did with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// It was something, and came back as it was.
    Taken,
    /// It was nothing, and the error said so.
    Refused,
}

/// A reader that is fed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called: a folder of `corpus/` and a program of `fuzz_targets/`.
    pub name: &'static str,
    /// Has it read, and panics where a promise is broken.
    pub read: fn(&[u8]) -> Read,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("calls", calls::read),
    target("configuration", configuration::read),
    target("frames", frames::read),
    target("functions", functions::read),
    target("pipeline", pipeline::read),
    target("prefix", prefix::read),
    target("recipe", recipe::read),
    target("tokens", tokens::read),
    target("uri", uri::read),
    target("words", words::read),
];

const fn target(name: &'static str, read: fn(&[u8]) -> Read) -> Target {
    Target { name, read }
}

/// An error for who wrote a text: it is theirs, and says what would be right.
fn check_advice(error: &Error) {
    check_kind(error, ErrorKind::Invalid);
    assert!(error.advice().is_some(), "no advice: {error:?}");
}

/// An error of this kind, with a message, whose text is not longer than what it is about deserves.
fn check_kind(error: &Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!error.message().is_empty());
}

/// The first line, which says what the rest is, and the rest.
fn headed(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    Some((head, &bytes[end + 1..]))
}

/// Cuts bytes at every line of `--`.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    const CUT: &[u8] = b"\n--\n";
    let mut pieces = Vec::new();
    while let Some(at) = bytes.windows(CUT.len()).position(|here| here == CUT) {
        pieces.push(&bytes[..at]);
        bytes = &bytes[at + CUT.len()..];
    }
    pieces.push(bytes);
    pieces
}
