//! `compress.*`: zstd and gzip, there and back.
//!
//! The bytes that come out depend on the compressing library, whose version is fixed by the lock file;
//! golden tests notice an update that changes them.

use std::io::Read;

use bytes::Bytes;
use deriva_api::{Error, ErrorKind, Params, Result, Weight};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use std::io::Write;

use super::Family;
use super::define::{Definition, OUTPUT_LIMIT, int_in, optional, too_large};
use crate::functions::Arity;

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
    vec![
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
        define(
            "compress.unzstd",
            "Decompresses zstd frames.",
            limit_param(),
        )
        .with(limit, |inputs, limit| {
            let reader = zstd::Decoder::with_buffer(&inputs[0][..]);
            let reader = reader.map_err(|error| damaged("zstd", error))?;
            decompress("zstd", &inputs[0], reader, limit)
        }),
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
        define(
            "compress.gunzip",
            "Decompresses gzip members.",
            limit_param(),
        )
        .with(limit, |inputs, limit| {
            decompress(
                "gzip",
                &inputs[0],
                MultiGzDecoder::new(&inputs[0][..]),
                limit,
            )
        }),
    ]
}

fn limit(params: &Params) -> Result<usize> {
    let limit = int_in(params, "limit", 0..=OUTPUT_LIMIT as i64)?;
    Ok(limit.map_or(OUTPUT_LIMIT, |limit| limit as usize))
}

fn zstd(inputs: &[Bytes], level: i32) -> Result<Bytes> {
    zstd::bulk::compress(&inputs[0], level)
        .map(Bytes::from)
        .map_err(|error| failed("zstd", error))
}

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

fn decompress(
    format: &'static str,
    input: &[u8],
    reader: impl Read,
    limit: usize,
) -> Result<Bytes> {
    if input.is_empty() {
        return Err(damaged(format, std::io::ErrorKind::UnexpectedEof.into()));
    }
    let mut out = Vec::new();
    let one_more = limit as u64 + 1;
    reader
        .take(one_more)
        .read_to_end(&mut out)
        .map_err(|error| damaged(format, error))?;
    if out.len() > limit {
        return Err(too_large(limit)
            .with("param", "limit")
            .with("input", input.len()));
    }
    Ok(out.into())
}

fn damaged(format: &'static str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Invalid, "the input cannot be decompressed")
        .with("expected", format_args!("complete {format} data"))
        .with("found", &source)
        .caused_by(source)
}

fn failed(format: &'static str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Function, "the compressor failed")
        .with("format", format)
        .caused_by(source)
}
