//! `compress.*`: zstd and gzip, there and back.
//!
//! The bytes that come out depend on the compressing library, whose version is fixed by the lock file;
//! golden tests notice an update that changes them.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{CallContext, Error, ErrorKind, Params, Result, Weight};
#[cfg(feature = "flate2")]
use flate2::bufread::GzDecoder;
#[cfg(feature = "flate2")]
use flate2::{Compression, GzBuilder};
#[cfg(feature = "flate2")]
use std::io::Write;

use super::Family;
use super::define::{Definition, Function, OUTPUT_LIMIT, int_in, optional, too_large};
use super::table::excerpt;
use deriva_api::{Arity, Body, FnFunction};

pub(super) fn functions() -> Family {
    let define = |name, description, params| Definition {
        name,
        weight: Weight::Heavy,
        arity: Arity::Exactly(1),
        description,
        params,
    };
    let limit_param = || {
        vec![optional(
            "limit",
            "int",
            "Bytes of output from which on the input is refused; 0 to 1073741824 (1 GiB, the default).",
        )]
    };
    [
        #[cfg(feature = "zstd")]
        define(
            "compress.zstd",
            "Compresses its input into one zstd frame.",
            vec![optional(
                "level",
                "int",
                "1 (fast) to 19 (small); default 3.",
            )],
        )
        .with(
            |params| Ok(int_in(params, "level", 1..=19)?.unwrap_or(3) as i32),
            zstd,
        ),
        #[cfg(feature = "zstd")]
        define(
            "compress.unzstd",
            "Decompresses zstd frames.",
            limit_param(),
        )
        .within("1", limit, |inputs, limit, context| { decompress(&ZSTD, &inputs[0], limit, Padding::Refused, context) })
        .map(sized),
        #[cfg(feature = "flate2")]
        define(
            "compress.gzip",
            "Compresses its input into one gzip member without name and time.",
            vec![optional(
                "level",
                "int",
                "0 (stored) to 9 (small); default 6.",
            )],
        )
        .with(
            |params| Ok(int_in(params, "level", 0..=9)?.unwrap_or(6) as u32),
            gzip,
        ),
        #[cfg(feature = "flate2")]
        define(
            "compress.gunzip",
            "Decompresses gzip members; version 2 takes zeros after the last one.",
            limit_param(),
        )
        .within("1", limit, |inputs, limit, context| { decompress(&GZIP, &inputs[0], limit, Padding::Refused, context) })
        .map(sized),
        #[cfg(feature = "flate2")]
        define(
            "compress.gunzip",
            "Decompresses gzip members, and takes zeros after the last one for padding, as gzip does.",
            limit_param(),
        )
        .within("2", limit, |inputs, limit, context| { decompress(&GZIP, &inputs[0], limit, Padding::Zeros, context) })
        .map(sized),
    ]
    .into_iter()
    .collect()
}

/// A member grows 1032 times at the most, a frame seldom more.
const GROWTH: u64 = 1032;

fn sized(function: FnFunction<impl Body>) -> Function {
    Arc::new(function.makes(|inputs, params| {
        let len: u64 = inputs.iter().sum();
        let limit = limit(params).map_or(0, |limit| limit as u64);
        len.saturating_mul(GROWTH).min(limit)
    }))
}

fn limit(params: &Params) -> Result<usize> {
    let limit = int_in(params, "limit", 0..=OUTPUT_LIMIT as i64)?;
    Ok(limit.map_or(OUTPUT_LIMIT, |limit| limit as usize))
}

#[cfg(feature = "zstd")]
fn zstd(inputs: &[Bytes], level: i32) -> Result<Bytes> {
    zstd::bulk::compress(&inputs[0], level)
        .map(Bytes::from)
        .map_err(|error| failed("zstd", error))
}

#[cfg(feature = "flate2")]
fn gzip(inputs: &[Bytes], level: u32) -> Result<Bytes> {
    // 255 is "unknown": which system wrote it does not matter to what it says.
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::new(level));
    encoder
        .write_all(&inputs[0])
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .map_err(|error| failed("gzip", error))
}

/// A format of compressed parts in a row.
struct Format {
    name: &'static str,
    /// What a part is called, and what it begins with.
    part: &'static str,
    begins: &'static str,
    does_begin: fn(&[u8]) -> bool,
    /// Decompresses the first part, at most N bytes of it; answers with what follows it. The outer error is
    /// that the call was given up.
    unpack: Unpack,
}

type Unpack = for<'a> fn(&'a [u8], &mut Vec<u8>, u64, &CallContext) -> Result<io::Result<&'a [u8]>>;

/// Bytes of output between two looks at whether it is still wanted.
const PIECE: u64 = 1 << 20;

/// Reads to the end, as [`Read::read_to_end`], for as long as that is wanted.
fn read_to_end(
    mut reader: impl Read,
    out: &mut Vec<u8>,
    context: &CallContext,
) -> Result<io::Result<()>> {
    loop {
        context.check()?;
        match reader.by_ref().take(PIECE).read_to_end(out) {
            Ok(read) if read as u64 == PIECE => {}
            end => return Ok(end.map(drop)),
        }
    }
}

#[cfg(feature = "flate2")]
const GZIP: Format = Format {
    name: "gzip",
    part: "member",
    begins: "1f 8b",
    does_begin: |input| input.starts_with(b"\x1f\x8b"),
    unpack: |input, out, most, context| {
        let mut reader = GzDecoder::new(input).take(most);
        let read = read_to_end(&mut reader, out, context)?;
        Ok(read.map(|()| reader.into_inner().into_inner()))
    },
};

#[cfg(feature = "zstd")]
const ZSTD: Format = Format {
    name: "zstd",
    part: "frame",
    begins: "28 b5 2f fd, or 50 to 5f 2a 4d 18 where it is to be skipped",
    does_begin: |input| match input {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [first, 0x2a, 0x4d, 0x18, ..] => (0x50..=0x5f).contains(first),
        _ => false,
    },
    unpack: |input, out, most, context| {
        let reader = match zstd::Decoder::with_buffer(input) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let mut reader = reader.single_frame().take(most);
        let read = read_to_end(&mut reader, out, context)?;
        Ok(read.map(|()| reader.into_inner().finish()))
    },
};

/// What zeros after the last part are.
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Refused,
    #[cfg(feature = "flate2")]
    Zeros,
}

fn decompress(
    format: &Format,
    input: &[u8],
    limit: usize,
    padding: Padding,
    context: &CallContext,
) -> Result<Bytes> {
    let mut out = Vec::new();
    let mut rest = input;
    for part in 1_u64.. {
        let damaged = |at: &[u8]| {
            Error::new(ErrorKind::Invalid, "the input cannot be decompressed")
                .with(format.part, part)
                .with("position", input.len() - at.len())
        };
        if !(format.does_begin)(rest) {
            let found = match rest {
                [] => "the end of the input".to_owned(),
                rest => excerpt(rest),
            };
            let error = damaged(rest)
                .with(
                    "expected",
                    format_args!("a {} {}: {}", format.name, format.part, format.begins),
                )
                .with("found", found);
            return Err(match part {
                1 => error.hint(format!("this is no {} data", format.name)),
                _ => error.hint(format!(
                    "what follows the last {} does not belong to it: cut it off",
                    format.part
                )),
            });
        }
        let one_more = (limit - out.len()) as u64 + 1;
        let left = (format.unpack)(rest, &mut out, one_more, context)?.map_err(|source| {
            damaged(rest)
                .with("expected", format_args!("complete {} data", format.name))
                .with("found", &source)
                .with("decompressed", out.len())
                .caused_by(source)
        });
        if out.len() > limit {
            return Err(too_large(limit)
                .with("param", "limit")
                .with("input", input.len()));
        }
        rest = left?;
        let is_padding = padding != Padding::Refused && rest.iter().all(|byte| *byte == 0);
        if rest.is_empty() || is_padding {
            break;
        }
    }
    Ok(out.into())
}

fn failed(format: &'static str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Function, "the compressor failed")
        .with("format", format)
        .caused_by(source)
}
