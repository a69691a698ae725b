//! `text.*` on lines and patterns. Text is bytes: no input is refused for its encoding.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{Params, Result, Weight};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use regex::bytes::Regex;
use regex_automata::util::interpolate;

use super::Family;
use super::define::{
    Definition, OUTPUT_LIMIT, bad_value, count, given, needed, nothing, optional, too_large,
};
use super::lines::{lines, write_lines};
use super::pattern::Patterns;
use super::table::write_counts;
use crate::functions::Arity;

pub(super) fn functions() -> Family {
    let define = |name, description, params| Definition {
        name,
        weight: Weight::Light,
        arity: Arity::Exactly(1),
        description,
        params,
    };
    let greps = Patterns::default();
    let replace_params = || {
        vec![
            needed("pattern", "text", "What is searched for."),
            needed(
                "with",
                "text",
                "What takes its place; `$1` and `${name}` stand for groups of a regular expression, `$$` for a dollar.",
            ),
            optional(
                "literal",
                "bool",
                "Whether `pattern` and `with` are plain text; default false.",
            ),
        ]
    };
    let (first, second) = (Patterns::default(), Patterns::default());
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
            "text.grep",
            "Keeps the lines that match a regular expression.",
            vec![
                needed("pattern", "text", "The regular expression, searched within each line."),
                optional(
                    "invert",
                    "bool",
                    "Whether the lines that do not match are kept instead; default false.",
                ),
            ],
        )
        .with(
            move |params| {
                let pattern = given("pattern", params.text("pattern")?)?;
                Ok((greps.compile("pattern", pattern)?, flag(params, "invert")?))
            },
            grep,
        ),
        define(
            "text.replace",
            "Replaces every match of a regular expression or a literal text, groups that are not there by nothing; more than 1 GiB of output is refused.",
            replace_params(),
        )
        .with(move |params| replacement(params, &first), replace),
        define(
            "text.replace",
            "Replaces every match of a regular expression or a literal text; groups that are not there, and more than 1 GiB of output, are refused.",
            replace_params(),
        )
        .version(
            "2",
            move |params| {
                let replacement = replacement(params, &second)?;
                if !replacement.literal {
                    check_groups(&replacement.pattern, given("with", params.text("with")?)?)?;
                }
                Ok(replacement)
            },
            replace,
        ),
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

fn flag(params: &Params, param: &str) -> Result<bool> {
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

fn grep(inputs: &[Bytes], (pattern, invert): (Arc<Regex>, bool)) -> Result<Bytes> {
    let kept = lines(&inputs[0]).filter(|line| pattern.is_match(line) != invert);
    Ok(write_lines(kept, 0))
}

struct Replacement {
    pattern: Arc<Regex>,
    with: Vec<u8>,
    literal: bool,
}

fn replacement(params: &Params, patterns: &Patterns) -> Result<Replacement> {
    let pattern = given("pattern", params.text("pattern")?)?;
    let literal = flag(params, "literal")?;
    if pattern.is_empty() && literal {
        return Err(bad_value("pattern", "at least one character", "none"));
    }
    let pattern = match literal {
        true => patterns.compile("pattern", &regex::escape(pattern))?,
        false => patterns.compile("pattern", pattern)?,
    };
    let with = given("with", params.text("with")?)?.as_bytes().to_vec();
    Ok(Replacement {
        pattern,
        with,
        literal,
    })
}

/// Whether the pattern has every group that `with` names, as the library reads it: `$2_` is the group `2_`.
fn check_groups(pattern: &Regex, with: &str) -> Result<()> {
    let known = |name: &str| pattern.capture_names().flatten().any(|known| known == name);
    let (highest, mut lacking) = (pattern.captures_len() - 1, None);
    let mut lacks = |group: String| {
        lacking.get_or_insert(group);
    };
    let mut numbers = Vec::new();
    let number = |number: usize, _: &mut String| numbers.push(number);
    let name = |name: &str| {
        if !known(name) {
            lacks(name.to_owned());
        }
        None
    };
    interpolate::string(with, number, name, &mut String::new());
    if let Some(number) = numbers.into_iter().find(|number| *number > highest) {
        lacks(number.to_string());
    }
    let Some(group) = lacking else {
        return Ok(());
    };
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    let expected = match names.as_slice() {
        [] => format!("groups of the pattern: 0 to {highest}"),
        _ => format!(
            "groups of the pattern: 0 to {highest}, {}",
            names.join(", ")
        ),
    };
    let error = bad_value("with", expected, format_args!("${group}"));
    let digits = group.trim_end_matches(|c: char| !c.is_ascii_digit());
    Err(match digits.parse::<usize>() {
        Ok(number) if number <= highest => {
            let rest = &group[digits.len()..];
            error.hint(format!(
                "for group {number} before `{rest}` write `${{{number}}}{rest}`"
            ))
        }
        _ => error.hint("`$$` stands for a dollar, `${name}` keeps a name from what follows"),
    })
}

fn replace(inputs: &[Bytes], replacement: Replacement) -> Result<Bytes> {
    let Replacement {
        pattern,
        with,
        literal,
    } = replacement;
    let text = &inputs[0];
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for groups in pattern.captures_iter(text) {
        let found = groups.get_match();
        out.extend_from_slice(&text[done..found.start()]);
        if literal {
            out.extend_from_slice(&with);
        } else {
            groups.expand(&with, &mut out);
        }
        done = found.end();
        if out.len() > OUTPUT_LIMIT {
            return Err(too_large(OUTPUT_LIMIT).with("param", "with"));
        }
    }
    out.extend_from_slice(&text[done..]);
    Ok(out.into())
}

fn take(inputs: &[Bytes], (start, count): (usize, usize)) -> Result<Bytes> {
    let taken = lines(&inputs[0]).skip(start - 1).take(count);
    Ok(write_lines(taken, 0))
}
