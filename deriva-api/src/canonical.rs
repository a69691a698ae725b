//! The canonical bytes of a recipe: what is hashed, and what is stored.
//!
//! A recipe is written as core deterministic CBOR (RFC 8949, section 4.2.1), one array:
//! `[1, name, version, [inputs], {params}]`. The leading 1 is the format's version, inputs are
//! 32-byte strings, params a map from text to values. Lengths and integers take their shortest form,
//! floats the shortest of 16, 32 and 64 bits that keeps the value, and map keys are sorted by their
//! encoded bytes. One recipe has exactly one encoding, and [`crate::Recipe::decode`] accepts no other.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::data::Type;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use crate::{CAddr, Error, ErrorKind, FunctionId, Params, Result, Value};

/// The format's version: the first item of the array.
pub const VERSION: u8 = 1;

/// The longest canonical form that is accepted, in bytes: 256 MiB, about eight million inputs.
pub const MAX_LEN: usize = 256 << 20;

/// The deepest nesting of lists and maps in a param that is accepted.
pub const MAX_DEPTH: usize = 64;

/// An input takes two bytes of head (`58 20`) and 32 of address, so the n-th is found by counting.
const INPUT_LEN: usize = 2 + CAddr::LEN;
const INPUT_HEAD: [u8; 2] = [0x58, 0x20];

/// The empty map.
const NO_PARAMS: &[u8] = &[0xa0];

/// Writes a recipe in its canonical form.
///
/// # Errors
/// [`ErrorKind::Invalid`] when a float is not finite, a param is nested deeper than [`MAX_DEPTH`],
/// or the result would be longer than [`MAX_LEN`].
pub fn encode(function: &FunctionId, inputs: &[CAddr], params: &Params) -> Result<Bytes> {
    let size = 32 + function.name().len() + function.version().len() + inputs.len() * INPUT_LEN;
    let mut encoder = Encoder::new(Vec::with_capacity(size));
    head(
        &mut encoder,
        function.name(),
        function.version(),
        inputs.len(),
    )?;
    for input in inputs {
        encoder.bytes(input.as_bytes()).map_err(internal)?;
    }
    map(&mut encoder, params.iter(), 0)?;
    let bytes = encoder.into_writer();
    check_len(bytes.len())?;
    Ok(bytes.into())
}

/// Where the parts of a recipe lie in its canonical bytes, so that reading a part needs no decoding
/// of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    name_at: u8,
    name_len: u8,
    version_at: u16,
    version_len: u8,
    inputs_at: u32,
    inputs: u32,
}

impl Layout {
    /// Finds the parts, and checks that `bytes` are the canonical form of some recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they are not: there is one form, and nothing else is accepted.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let layout = Self::locate(bytes)?;
        let bad = || {
            Error::new(ErrorKind::Corrupt, "a recipe is not in canonical form")
                .with("length", bytes.len())
        };
        match layout.check_canonical(bytes) {
            Ok(()) => Ok(layout),
            Err(None) => Err(bad()),
            Err(Some(source)) => Err(bad().caused_by(source)),
        }
    }

    /// Finds the parts of bytes that are canonical already, as [`encode`] makes them.
    pub(crate) fn locate(bytes: &[u8]) -> Result<Self> {
        let bad =
            |what: &'static str| Error::new(ErrorKind::Corrupt, what).with("length", bytes.len());
        let not_cbor = |source: minicbor::decode::Error| {
            bad("a recipe is not well-formed CBOR").caused_by(source)
        };
        if bytes.len() > MAX_LEN {
            return Err(bad("a recipe is longer than 256 MiB"));
        }
        let mut decoder = Decoder::new(bytes);
        if decoder.array().map_err(not_cbor)? != Some(5) {
            return Err(bad("a recipe is an array of five items"));
        }
        if decoder.u8().map_err(not_cbor)? != VERSION {
            return Err(bad("a recipe has an unknown format version"));
        }
        let name = decoder.str().map_err(not_cbor)?;
        let name_at = decoder.position() - name.len();
        let version = decoder.str().map_err(not_cbor)?;
        let version_at = decoder.position() - version.len();
        let function = FunctionId::check(name, version)
            .map_err(|source| bad("a recipe names no valid function").caused_by(source));
        function?;
        let Some(count) = decoder.array().map_err(not_cbor)? else {
            return Err(bad("a recipe's inputs have no stated number"));
        };
        let inputs_at = decoder.position();
        let inputs_len = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(INPUT_LEN));
        let params_at = inputs_len
            .and_then(|len| len.checked_add(inputs_at))
            .filter(|at| *at < bytes.len());
        let Some(params_at) = params_at else {
            return Err(bad("a recipe ends before its inputs do"));
        };
        let inputs = &bytes[inputs_at..params_at];
        if !inputs
            .chunks_exact(INPUT_LEN)
            .all(|input| input.starts_with(&INPUT_HEAD))
        {
            return Err(bad("a recipe's input is not a string of 32 bytes"));
        }
        Ok(Self {
            name_at: name_at as u8,
            name_len: name.len() as u8,
            version_at: version_at as u16,
            version_len: version.len() as u8,
            inputs_at: inputs_at as u32,
            inputs: count as u32,
        })
    }

    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a str {
        text(bytes, self.name_at.into(), self.name_len.into())
    }

    pub(crate) fn version<'a>(&self, bytes: &'a [u8]) -> &'a str {
        text(bytes, self.version_at.into(), self.version_len.into())
    }

    pub(crate) fn input_count(&self) -> usize {
        self.inputs as usize
    }

    /// The inputs as they lie in the bytes, in order.
    pub(crate) fn inputs<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl ExactSizeIterator<Item = CAddr> + DoubleEndedIterator + Clone + use<'a> {
        bytes[self.inputs_at as usize..self.params_at()]
            .chunks_exact(INPUT_LEN)
            .map(|input| {
                let mut addr = [0; CAddr::LEN];
                addr.copy_from_slice(&input[INPUT_HEAD.len()..]);
                CAddr::from_bytes(addr)
            })
    }

    /// Whether name and version are those of `function`.
    pub(crate) fn names(&self, bytes: &[u8], function: &FunctionId) -> bool {
        let is = |at: usize, len: usize, text: &str| &bytes[at..at + len] == text.as_bytes();
        is(self.name_at.into(), self.name_len.into(), function.name())
            && is(
                self.version_at.into(),
                self.version_len.into(),
                function.version(),
            )
    }

    pub(crate) fn has_params(&self, bytes: &[u8]) -> bool {
        self.params_bytes(bytes) != NO_PARAMS
    }

    /// The encoded map of params.
    pub(crate) fn params_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.params_at()..]
    }

    /// The same recipe over other inputs, as many as before: the bytes are spliced, not encoded anew.
    pub(crate) fn splice(&self, bytes: &[u8], inputs: impl Iterator<Item = CAddr>) -> Vec<u8> {
        let mut spliced = bytes.to_vec();
        let at = self.inputs_at as usize..self.params_at();
        for (slot, input) in spliced[at].chunks_exact_mut(INPUT_LEN).zip(inputs) {
            slot[INPUT_HEAD.len()..].copy_from_slice(input.as_bytes());
        }
        spliced
    }

    fn params_at(&self) -> usize {
        self.inputs_at as usize + self.inputs as usize * INPUT_LEN
    }

    /// Heads may be longer than they need to be, and maps unsorted: writing everything but the
    /// inputs once more and comparing finds every such case.
    fn check_canonical(&self, bytes: &[u8]) -> Result<(), Option<Error>> {
        let mut encoder = Encoder::new(Vec::with_capacity(self.inputs_at as usize));
        let (name, version) = (self.name(bytes), self.version(bytes));
        head(&mut encoder, name, version, self.input_count()).map_err(Some)?;
        let params = self.params_bytes(bytes);
        let mut same = encoder.writer() == &bytes[..self.inputs_at as usize];
        if params != NO_PARAMS {
            let decoded = decode_params(params).map_err(Some)?;
            let mut encoder = Encoder::new(Vec::with_capacity(params.len()));
            map(&mut encoder, decoded.iter(), 0).map_err(Some)?;
            same &= encoder.writer() == params;
        }
        if same { Ok(()) } else { Err(None) }
    }
}

/// Reads an encoded map of params.
pub(crate) fn decode_params(bytes: &[u8]) -> Result<Params> {
    let mut decoder = Decoder::new(bytes);
    let corrupt = |what: &'static str| Error::new(ErrorKind::Corrupt, what);
    match decode_value(&mut decoder, 0)? {
        Value::Map(map) if decoder.position() == bytes.len() => Ok(map.into_iter().collect()),
        Value::Map(_) => Err(corrupt("bytes follow the recipe's params")),
        _ => Err(corrupt("a recipe's params are not a map")),
    }
}

fn text(bytes: &[u8], at: usize, len: usize) -> &str {
    // Checked to be UTF-8 when the layout was made.
    std::str::from_utf8(&bytes[at..at + len]).unwrap_or_default()
}

fn head<W: Write<Error: std::error::Error + Send + Sync + 'static>>(
    encoder: &mut Encoder<W>,
    name: &str,
    version: &str,
    inputs: usize,
) -> Result<()> {
    encoder
        .array(5)
        .and_then(|e| e.u8(VERSION))
        .and_then(|e| e.str(name))
        .and_then(|e| e.str(version))
        .and_then(|e| e.array(inputs as u64))
        .map(drop)
        .map_err(internal)
}

fn map<'a, W: Write<Error: std::error::Error + Send + Sync + 'static>>(
    encoder: &mut Encoder<W>,
    entries: impl Iterator<Item = (&'a str, &'a Value)>,
    depth: usize,
) -> Result<()> {
    let mut entries: Vec<_> = entries.collect();
    // The head of a text string grows with its length, so this is the order of the encoded keys.
    entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    encoder.map(entries.len() as u64).map_err(internal)?;
    for (key, item) in entries {
        encoder.str(key).map_err(internal)?;
        value(encoder, item, depth + 1).map_err(|error| error.with("param", key))?;
    }
    Ok(())
}

fn value<W: Write<Error: std::error::Error + Send + Sync + 'static>>(
    encoder: &mut Encoder<W>,
    value: &Value,
    depth: usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(
            Error::new(ErrorKind::Invalid, "a param is nested too deeply").with("limit", MAX_DEPTH),
        );
    }
    match value {
        Value::Null => encoder.null().map(drop),
        Value::Bool(x) => encoder.bool(*x).map(drop),
        Value::Int(x) => encoder.i64(*x).map(drop),
        Value::Float(x) => return float(encoder, *x),
        Value::Text(x) => encoder.str(x).map(drop),
        Value::Bytes(x) => encoder.bytes(x).map(drop),
        Value::List(items) => {
            encoder.array(items.len() as u64).map_err(internal)?;
            return items
                .iter()
                .try_for_each(|item| self::value(encoder, item, depth + 1));
        }
        Value::Map(entries) => {
            return map(
                encoder,
                entries.iter().map(|(key, item)| (key.as_str(), item)),
                depth,
            );
        }
    }
    .map_err(internal)
}

fn float<W: Write<Error: std::error::Error + Send + Sync + 'static>>(
    encoder: &mut Encoder<W>,
    x: f64,
) -> Result<()> {
    if !x.is_finite() {
        return Err(
            Error::new(ErrorKind::Invalid, "a float param must be finite").with("found", x),
        );
    }
    let single = x as f32;
    let half = half::f16::from_f32(single);
    let written = if f64::from(single).to_bits() != x.to_bits() {
        encoder.f64(x)
    } else if half.to_f32().to_bits() != single.to_bits() {
        encoder.f32(single)
    } else {
        encoder.f16(single)
    };
    written.map(drop).map_err(internal)
}

fn decode_value(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value> {
    let corrupt = |what: &'static str| Error::new(ErrorKind::Corrupt, what);
    let not_cbor = |source: minicbor::decode::Error| {
        corrupt("a param is not well-formed CBOR").caused_by(source)
    };
    if depth > MAX_DEPTH {
        return Err(corrupt("a param is nested too deeply"));
    }
    Ok(match decoder.datatype().map_err(not_cbor)? {
        Type::Null => decoder.null().map(|()| Value::Null).map_err(not_cbor)?,
        Type::Bool => Value::Bool(decoder.bool().map_err(not_cbor)?),
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => Value::Int(decoder.i64().map_err(not_cbor)?),
        Type::F16 => Value::Float(decoder.f16().map_err(not_cbor)?.into()),
        Type::F32 => Value::Float(decoder.f32().map_err(not_cbor)?.into()),
        Type::F64 => Value::Float(decoder.f64().map_err(not_cbor)?),
        Type::String => Value::Text(decoder.str().map_err(not_cbor)?.to_owned()),
        Type::Bytes => Value::Bytes(Bytes::copy_from_slice(decoder.bytes().map_err(not_cbor)?)),
        Type::Array => {
            let len = decoder
                .array()
                .map_err(not_cbor)?
                .ok_or_else(|| corrupt("a list has no stated length"))?;
            // Grows as items really come: a stated length is only a claim.
            let mut items = Vec::new();
            for _ in 0..len {
                items.push(decode_value(decoder, depth + 1)?);
            }
            Value::List(items)
        }
        Type::Map => {
            let len = decoder
                .map()
                .map_err(not_cbor)?
                .ok_or_else(|| corrupt("a map has no stated length"))?;
            let mut entries = BTreeMap::new();
            for _ in 0..len {
                let key = decoder.str().map_err(not_cbor)?.to_owned();
                let item = decode_value(decoder, depth + 1)?;
                if entries.insert(key, item).is_some() {
                    return Err(corrupt("a map has one key twice"));
                }
            }
            Value::Map(entries)
        }
        _ => return Err(corrupt("a param has a type that recipes do not have")),
    })
}

fn check_len(len: usize) -> Result<()> {
    if len <= MAX_LEN {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "a recipe is longer than 256 MiB")
        .with("length", len)
        .hint("put large params into a blob and make it an input; combine many inputs in several steps"))
}

fn internal<E: std::error::Error + Send + Sync + 'static>(source: E) -> Error {
    Error::new(ErrorKind::Internal, "writing CBOR failed").caused_by(source)
}
