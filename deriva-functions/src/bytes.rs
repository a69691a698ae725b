//! `bytes.*`: bytes joined, cut and repeated.

use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{ByteRange, Params, Result, Weight};

use super::Family;
use super::define::{
    Definition, Function, OUTPUT_LIMIT, count, given, needed, nothing, optional, too_large,
};
use deriva_api::Arity;

pub(super) fn functions() -> Family {
    vec![
        Definition {
            name: "bytes.identity",
            weight: Weight::Light,
            arity: Arity::Exactly(1),
            description: "Gives its input back.",
            params: vec![],
        }
        .with(nothing, |inputs, ()| Ok(inputs[0].clone())),
        Definition {
            name: "bytes.concat",
            weight: Weight::Light,
            arity: Arity::Any,
            description: "Joins its inputs in order.",
            params: vec![optional(
                "separator",
                "text",
                "What stands between two inputs; default nothing.",
            )],
        }
        .with(separator, concat),
        Definition {
            name: "bytes.slice",
            weight: Weight::Light,
            arity: Arity::Exactly(1),
            description: "Cuts a range of bytes out of its input, as far as it reaches.",
            params: vec![
                optional("offset", "int", "Bytes left out at the start; default 0."),
                optional(
                    "len",
                    "int",
                    "Bytes taken at most; default all that follow.",
                ),
            ],
        }
        .build("1", range, slice)
        .map(|slice| -> Function {
            Arc::new(slice.cuts(|params| {
                let (offset, len) = range(params).ok()?;
                Some(ByteRange::new(offset as u64, len as u64))
            }))
        }),
        Definition {
            name: "bytes.repeat",
            // Of the least input it may make a GiB.
            weight: Weight::Heavy,
            arity: Arity::Exactly(1),
            description: "Repeats its input; more than 1 GiB of output is refused.",
            params: vec![needed("times", "int", "How often, 0 or more.")],
        }
        .build("1", times, repeat)
        .map(|repeat| -> Function {
            Arc::new(repeat.makes(|inputs, params| {
                let len: u64 = inputs.iter().sum();
                let times = times(params).map_or(0, |times| times as u64);
                len.saturating_mul(times).min(OUTPUT_LIMIT as u64)
            }))
        }),
    ]
}

fn times(params: &Params) -> Result<usize> {
    given("times", count(params, "times", 0)?)
}

fn separator(params: &Params) -> Result<String> {
    Ok(params.text("separator")?.unwrap_or_default().to_owned())
}

fn concat(inputs: &[Bytes], separator: String) -> Result<Bytes> {
    match inputs {
        [] => Ok(Bytes::new()),
        [one] => Ok(one.clone()),
        many => Ok(many.join(separator.as_bytes()).into()),
    }
}

fn range(params: &Params) -> Result<(usize, usize)> {
    Ok((
        count(params, "offset", 0)?.unwrap_or(0),
        count(params, "len", 0)?.unwrap_or(usize::MAX),
    ))
}

fn slice(inputs: &[Bytes], (offset, len): (usize, usize)) -> Result<Bytes> {
    let whole = &inputs[0];
    let start = offset.min(whole.len());
    let end = start.saturating_add(len).min(whole.len());
    // A view keeps the whole input alive, which is not worth it for a small part.
    if end - start < whole.len() / 2 {
        Ok(Bytes::copy_from_slice(&whole[start..end]))
    } else {
        Ok(whole.slice(start..end))
    }
}

fn repeat(inputs: &[Bytes], times: usize) -> Result<Bytes> {
    let piece = &inputs[0];
    match piece.len().checked_mul(times) {
        Some(len) if len <= OUTPUT_LIMIT => Ok(piece.repeat(times).into()),
        _ => Err(too_large(OUTPUT_LIMIT)
            .with("param", "times")
            .with("found", times)),
    }
}
