//! `text.grep` and `text.replace`: lines and parts that match a pattern.

use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{Params, Result, Weight};
use regex::bytes::Regex;
use regex_automata::util::interpolate;

use super::Family;
use super::define::{Definition, OUTPUT_LIMIT, bad_value, given, needed, optional, too_large};
use super::lines::{lines, write_lines};
use super::pattern::Patterns;
use super::text::flag;
use deriva_api::Arity;

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
    ]
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
