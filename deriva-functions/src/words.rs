//! `text.word_count`, `text.merge_counts` and `text.top`: how often words are there.

use std::cmp::Ordering;

use bytes::Bytes;
use deriva_api::{Error, ErrorKind, Params, Result, Weight};
use hashbrown::HashMap;

use super::Family;
use super::define::{Definition, choice, count, given, needed, nothing, optional};
use super::lines::lines;
use super::table::{Count, excerpt, read_counts, write_counts};
use deriva_api::Arity;

pub(super) fn functions() -> Family {
    let define = |name, arity, description, params| Definition {
        name,
        weight: Weight::Light,
        arity,
        description,
        params,
    };
    vec![
        define(
            "text.word_count",
            Arity::Exactly(1),
            "Counts words: a line `word<tab>count` for each, sorted by the word's bytes.",
            vec![optional(
                "kind",
                "text",
                "What is counted: `words` (default), `identifiers` or `lines`.",
            )],
        )
        .with(kind, word_count),
        define(
            "text.merge_counts",
            Arity::Any,
            "Adds up tables of counts: a line `word<tab>count` for each word, sorted by the word's bytes.",
            vec![],
        )
        .with(nothing, |inputs, ()| merge_counts(inputs)),
        define(
            "text.top",
            Arity::Exactly(1),
            "Keeps the highest counts of a table, the highest first, of equals the word that sorts first.",
            vec![needed("n", "int", "Lines kept at most, 0 or more.")],
        )
        .with(|params| given("n", count(params, "n", 0)?), top),
    ]
}

#[derive(Clone, Copy)]
enum Kind {
    Words,
    Identifiers,
    Lines,
}

fn kind(params: &Params) -> Result<Kind> {
    let known = [
        ("words", Kind::Words),
        ("identifiers", Kind::Identifiers),
        ("lines", Kind::Lines),
    ];
    Ok(choice(params, "kind", &known)?.unwrap_or(Kind::Words))
}

fn word_count(inputs: &[Bytes], kind: Kind) -> Result<Bytes> {
    let text = &inputs[0];
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    let mut add = |word| *counts.entry(word).or_default() += 1;
    match kind {
        Kind::Words => runs(text, &WORD).for_each(&mut add),
        Kind::Identifiers => runs(text, &IDENTIFIER)
            .filter(|run| !run[0].is_ascii_digit())
            .for_each(&mut add),
        Kind::Lines => lines(text).for_each(&mut add),
    }
    Ok(sorted(counts))
}

fn merge_counts(inputs: &[Bytes]) -> Result<Bytes> {
    let mut sums: HashMap<&[u8], u64> = HashMap::new();
    for (i, table) in inputs.iter().enumerate() {
        for entry in read_counts(table, i + 1) {
            let (word, count) = entry?;
            let sum = sums.entry(word).or_default();
            *sum = sum.checked_add(count).ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "the counts of a word add up to too much",
                )
                .with("input", i + 1)
                .with("word", excerpt(word))
                .with("expected", "a sum below 2^64")
            })?;
        }
    }
    Ok(sorted(sums))
}

fn top(inputs: &[Bytes], n: usize) -> Result<Bytes> {
    let mut counts: Vec<Count<'_>> = read_counts(&inputs[0], 1).collect::<Result<_>>()?;
    if n < counts.len() {
        counts.select_nth_unstable_by(n, by_rank);
        counts.truncate(n);
    }
    counts.sort_unstable_by(by_rank);
    Ok(write_counts(&counts))
}

fn by_rank(a: &Count<'_>, b: &Count<'_>) -> Ordering {
    b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0))
}

fn sorted(counts: HashMap<&[u8], u64>) -> Bytes {
    let mut counts: Vec<Count<'_>> = counts.into_iter().collect();
    counts.sort_unstable();
    write_counts(&counts)
}

// All bytes beyond ASCII belong to words, so that words in UTF-8 stay whole in any language.
const WORD: [bool; 256] = class(false);
const IDENTIFIER: [bool; 256] = class(true);

const fn class(underscore: bool) -> [bool; 256] {
    let mut class = [false; 256];
    let mut byte = 0_u8;
    loop {
        class[byte as usize] =
            byte.is_ascii_alphanumeric() || byte >= 0x80 || (underscore && byte == b'_');
        if byte == u8::MAX {
            return class;
        }
        byte += 1;
    }
}

/// The longest runs of bytes that are in `class`.
fn runs<'a>(text: &'a [u8], class: &'static [bool; 256]) -> impl Iterator<Item = &'a [u8]> {
    text.split(|byte| !class[usize::from(*byte)])
        .filter(|run| !run.is_empty())
}
