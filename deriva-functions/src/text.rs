//! `text.*` on lines; what takes a pattern is in `search.rs`. Text is bytes: no input is refused for its encoding.

use std::cmp::Ordering;

use bytes::Bytes;
use deriva_api::{Params, Result, Weight};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::Family;
use super::define::{Definition, count, nothing, optional};
use super::lines::{lines, write_lines};
use super::table::write_counts;
use deriva_api::Arity;

pub(super) fn functions() -> Family {
    let define = |name, description, params| Definition {
        name,
        weight: Weight::Light,
        arity: Arity::Exactly(1),
        description,
        params,
    };
    vec![
        define("text.upper", "Turns ASCII letters into capitals.", vec![])
            .with(nothing, |inputs, ()| Ok(inputs[0].to_ascii_uppercase().into())),
        define("text.lower", "Turns ASCII letters into small ones.", vec![])
            .with(nothing, |inputs, ()| Ok(inputs[0].to_ascii_lowercase().into())),
        define(
            "text.sort",
            "Sorts lines by their bytes, or by the number that they begin with.",
            vec![
                optional("reverse", "bool", "Whether the last comes first; default false."),
                optional(
                    "numeric",
                    "bool",
                    "Whether lines are compared by the decimal number at their start (0 where there is none), then by their bytes; default false.",
                ),
            ],
        )
        .with(order, sort),
        define(
            "text.unique",
            "Keeps the first of equal lines, wherever they stand.",
            vec![optional(
                "count",
                "bool",
                "Whether each line is followed by a tab and how often it was there; default false.",
            )],
        )
        .with(|params| flag(params, "count"), unique),
        define(
            "text.lines",
            "Takes a range of lines.",
            vec![
                optional("start", "int", "The first line, counted from 1; default 1."),
                optional("count", "int", "Lines taken at most; default all that follow."),
            ],
        )
        .with(
            |params| {
                Ok((
                    count(params, "start", 1)?.unwrap_or(1),
                    count(params, "count", 0)?.unwrap_or(usize::MAX),
                ))
            },
            take,
        ),
    ]
}

pub(super) fn flag(params: &Params, param: &str) -> Result<bool> {
    Ok(params.bool(param)?.unwrap_or(false))
}

struct Order {
    reverse: bool,
    numeric: bool,
}

fn order(params: &Params) -> Result<Order> {
    Ok(Order {
        reverse: flag(params, "reverse")?,
        numeric: flag(params, "numeric")?,
    })
}

fn sort(inputs: &[Bytes], order: Order) -> Result<Bytes> {
    let mut sorted: Vec<&[u8]> = lines(&inputs[0]).collect();
    if order.numeric {
        let mut keyed: Vec<(Decimal<'_>, &[u8])> = sorted
            .into_iter()
            .map(|line| (Decimal::leading(line), line))
            .collect();
        keyed.sort_unstable();
        sorted = keyed.into_iter().map(|(_, line)| line).collect();
    } else {
        sorted.sort_unstable();
    }
    if order.reverse {
        sorted.reverse();
    }
    Ok(write_lines(sorted, inputs[0].len()))
}

/// A decimal number of any length, compared exactly.
#[derive(PartialEq, Eq)]
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    fn leading(line: &'a [u8]) -> Self {
        let line = line.trim_ascii_start();
        let (signed, rest) = match line {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (whole, rest) = digits(rest);
        let fraction = match rest {
            [b'.', rest @ ..] => digits(rest).0,
            _ => &[],
        };
        let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
        let kept = fraction.len()
            - fraction
                .iter()
                .rev()
                .take_while(|digit| **digit == b'0')
                .count();
        let (whole, fraction) = (&whole[zeros..], &fraction[..kept]);
        Self {
            // Zero has no sign, so that `-0` is as large as `0`.
            negative: signed && !(whole.is_empty() && fraction.is_empty()),
            whole,
            fraction,
        }
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |number: &Self| (number.whole.len(), number.whole, number.fraction);
        match (self.negative, other.negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn unique(inputs: &[Bytes], counted: bool) -> Result<Bytes> {
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut kept: Vec<(&[u8], u64)> = Vec::new();
    for line in lines(&inputs[0]) {
        match places.entry(line) {
            Entry::Occupied(place) => kept[*place.get()].1 += 1,
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push((line, 1));
            }
        }
    }
    if counted {
        Ok(write_counts(&kept))
    } else {
        let len = inputs[0].len().min(kept.len() * 80);
        Ok(write_lines(kept.into_iter().map(|(line, _)| line), len))
    }
}

fn take(inputs: &[Bytes], (start, count): (usize, usize)) -> Result<Bytes> {
    let taken = lines(&inputs[0]).skip(start - 1).take(count);
    Ok(write_lines(taken, 0))
}
