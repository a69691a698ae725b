//! How a recipe is written.

use minicbor::Encoder;

use super::half;
use super::{INPUT_HEAD, MAX_DEPTH, MAX_PARAMS, MAX_VALUES, VERSION};
use crate::{CAddr, Error, ErrorKind, Params, Result, Value};

/// The head of a float of 16 bits.
pub(super) const HALF: u8 = 0xf9;

pub(super) struct Writer {
    encoder: Encoder<Vec<u8>>,
    /// Where the params must have ended.
    end: usize,
    /// How many values there is room for.
    values: usize,
}

impl Writer {
    /// A writer of a recipe of about `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        Self {
            encoder: Encoder::new(Vec::with_capacity(size)),
            end: usize::MAX,
            values: MAX_VALUES,
        }
    }

    pub(super) fn head(&mut self, name: &str, version: &str, inputs: &[CAddr]) -> Result<()> {
        self.encoder
            .array(5)
            .and_then(|e| e.u8(VERSION))
            .and_then(|e| e.str(name))
            .and_then(|e| e.str(version))
            .and_then(|e| e.array(inputs.len() as u64))
            .map_err(internal)?;
        // A string of 32 bytes each, as `Layout` finds them again.
        let bytes = self.encoder.writer_mut();
        for input in inputs {
            bytes.extend_from_slice(&INPUT_HEAD);
            bytes.extend_from_slice(input.as_bytes());
        }
        Ok(())
    }

    pub(super) fn params(&mut self, params: &Params) -> Result<()> {
        self.end = self.len() + MAX_PARAMS;
        self.map(params.iter(), 0)?;
        self.check_room(0)
    }

    /// One value, as that of a param.
    pub(super) fn one(&mut self, value: &Value) -> Result<()> {
        self.end = self.len() + MAX_PARAMS;
        self.value(value, 1)?;
        self.check_room(0)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.encoder.into_writer()
    }

    fn len(&self) -> usize {
        self.encoder.writer().len()
    }

    /// Whether this many more bytes still fit.
    fn check_room(&self, bytes: usize) -> Result<()> {
        match bytes <= self.end.saturating_sub(self.len()) && self.len() <= self.end {
            true => Ok(()),
            false => Err(super::too_long()),
        }
    }

    fn map<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a str, &'a Value)>,
        depth: usize,
    ) -> Result<()> {
        let mut entries: Vec<_> = entries.collect();
        // The head of a text string grows with its length, so this is the order of the encoded keys.
        entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        self.encoder.map(entries.len() as u64).map_err(internal)?;
        for (key, item) in entries {
            self.check_room(key.len())?;
            self.encoder.str(key).map_err(internal)?;
            self.value(item, depth + 1)
                .map_err(|error| error.with("param", key))?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(
                Error::new(ErrorKind::Invalid, "a param is nested too deeply")
                    .with("limit", MAX_DEPTH),
            );
        }
        self.values = self.values.checked_sub(1).ok_or_else(super::too_many)?;
        self.check_room(match value {
            Value::Text(x) => x.len(),
            Value::Bytes(x) => x.len(),
            _ => 1,
        })?;
        match value {
            Value::Null => self.encoder.null().map(drop),
            Value::Bool(x) => self.encoder.bool(*x).map(drop),
            Value::Int(x) => self.encoder.i64(*x).map(drop),
            Value::Float(x) => return self.float(*x),
            Value::Text(x) => self.encoder.str(x).map(drop),
            Value::Bytes(x) => self.encoder.bytes(x).map(drop),
            Value::List(items) => {
                self.encoder.array(items.len() as u64).map_err(internal)?;
                return items
                    .iter()
                    .try_for_each(|item| self.value(item, depth + 1));
            }
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, item)| (key.as_str(), item));
                return self.map(entries, depth);
            }
        }
        .map_err(internal)
    }

    fn float(&mut self, x: f64) -> Result<()> {
        if !x.is_finite() {
            return Err(
                Error::new(ErrorKind::Invalid, "a float param must be finite").with("found", x),
            );
        }
        let written = match width(x) {
            Width::Half(half) => {
                let [first, second] = half.to_be_bytes();
                let bytes = self.encoder.writer_mut();
                bytes.extend_from_slice(&[HALF, first, second]);
                return Ok(());
            }
            Width::Single(single) => self.encoder.f32(single),
            Width::Double => self.encoder.f64(x),
        };
        written.map(drop).map_err(internal)
    }
}

/// The shortest form that keeps a float.
pub(super) enum Width {
    /// These 16 bits.
    Half(u16),
    /// 32 bits.
    Single(f32),
    /// 64 bits.
    Double,
}

pub(super) fn width(x: f64) -> Width {
    let single = x as f32;
    if let Some(half) = half::narrow(x) {
        Width::Half(half)
    } else if f64::from(single).to_bits() == x.to_bits() {
        Width::Single(single)
    } else {
        Width::Double
    }
}

fn internal<E: std::error::Error + Send + Sync + 'static>(source: E) -> Error {
    Error::new(ErrorKind::Internal, "writing CBOR failed").caused_by(source)
}
