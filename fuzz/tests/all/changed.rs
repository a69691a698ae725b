//! Inputs of the corpus in which some bytes were changed, and parts exchanged.

use deriva_fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{ROUNDS, corpus, reads};

/// One change.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    /// A part, once more.
    Twice(Index, Index),
    /// The end is that of another one.
    Splice(Index, Vec<u8>, Index),
}

impl Change {
    fn make(self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let part = |one: Index, other: Index| {
            let (one, other) = (one.index(len + 1), other.index(len + 1));
            one.min(other)..one.max(other)
        };
        match self {
            Self::Flip(..) | Self::Set(..) if len == 0 => {}
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Self::Set(at, byte) => bytes[at.index(len)] = byte,
            Self::Insert(at, more) => {
                let at = at.index(len + 1);
                bytes.splice(at..at, more);
            }
            Self::Cut(from, to) => drop(bytes.drain(part(from, to))),
            Self::Twice(from, to) => {
                let part = part(from, to);
                let (end, again) = (part.end, bytes[part].to_vec());
                bytes.splice(end..end, again);
            }
            Self::Splice(at, other, from) => {
                bytes.truncate(at.index(len + 1));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

/// What readers look for, and numbers at the edges.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "\n",
        "\n--\n",
        "\"",
        "'''",
        "\"\"\"",
        "\\u0000",
        "é",
        "\u{202e}",
        "[[",
        "]]",
        "{",
        "}",
        "(",
        ")",
        ",",
        "=",
        "?",
        "&",
        "%",
        "%00",
        "%ff",
        "#",
        "..",
        "/",
        ":",
        "0x",
        "1e999",
        "-0",
        "nan",
        "inf",
        "18446744073709551616",
        "9223372036854775807",
    ];
    let numbers = [0x00, 0x17, 0x18, 0x1f, 0x7f, 0x80, 0xf9, 0xff];
    prop_oneof![
        select(words.map(|word| word.as_bytes().to_vec()).to_vec()),
        (select(numbers.to_vec()), 1..9usize).prop_map(|(byte, len)| vec![byte; len]),
        vec(any::<u8>(), 1..5),
    ]
}

fn change(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (at(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Cut(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Twice(from, to)),
        2 => (at(), select(inputs), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

/// Any of these, changed up to five times.
pub(crate) fn inputs(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec(change(inputs.clone()), 0..6);
    (select(inputs), changes).prop_map(|(mut bytes, changes)| {
        changes
            .into_iter()
            .for_each(|change| change.make(&mut bytes));
        bytes.truncate(16 << 10);
        bytes
    })
}

fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    reads(target, 1, inputs(corpus::of(target)), ROUNDS);
}

/// A test for each target, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried() {
            assert!(TARGETS.iter().map(|target| target.name).eq([$(stringify!($name)),*]));
        }
    };
}

targets! { calls configuration frames functions pipeline prefix recipe tokens uri words }
