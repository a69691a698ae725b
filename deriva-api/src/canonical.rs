//! The canonical bytes of a recipe: what is hashed, and what is stored.
//!
//! A recipe is written as core deterministic CBOR (RFC 8949, section 4.2.1), one array:
//! `[1, name, version, [inputs], {params}]`. The leading 1 is the format's version, inputs are
//! 32-byte strings, params a map from text to values. Lengths and integers take their shortest form,
//! floats the shortest of 16, 32 and 64 bits that keeps the value, and map keys are sorted by their
//! encoded bytes. One recipe has exactly one encoding, and [`crate::Recipe::decode`] accepts no other.

//!
//! What is read was written by others, so reading makes no values: it walks over the bytes, and params
//! become values when somebody asks for them ([decision 0016](../../docs/decisions/0016-params.md)).

mod half;
mod read;
mod write;

use bytes::Bytes;

use crate::{CAddr, Error, ErrorKind, FunctionId, Params, Result, Value};
use read::Reader;
use write::Writer;

pub(crate) use read::params as decode_params;

/// The format's version: the first item of the array.
pub const VERSION: u8 = 1;

/// The longest canonical form that is accepted, in bytes: 256 MiB, about eight million inputs.
pub const MAX_LEN: usize = 256 << 20;

/// The deepest nesting of lists and maps in a param that is accepted.
pub const MAX_DEPTH: usize = 64;

/// The longest encoded params of a new recipe, in bytes: 2 MiB. Those of a stored recipe may be longer,
/// as they were before there was this limit.
pub const MAX_PARAMS: usize = 2 << 20;

/// The most values in the params of a new recipe, each item of a list or map counted. Params of a stored
/// recipe that have more are not turned into values: one of three bytes may take 700 bytes of memory.
pub const MAX_VALUES: usize = 1 << 16;

/// An input takes two bytes of head (`58 20`) and 32 of address, so the n-th is found by counting.
const INPUT_LEN: usize = 2 + CAddr::LEN;
const INPUT_HEAD: [u8; 2] = [0x58, 0x20];

/// The head of the array that a recipe is.
const ARRAY_OF_FIVE: u8 = 0x85;

/// The empty map.
const NO_PARAMS: &[u8] = &[0xa0];

/// Writes a recipe in its canonical form.
///
/// # Errors
/// [`ErrorKind::Invalid`] when a float is not finite, a param is nested deeper than [`MAX_DEPTH`], the
/// params are longer than [`MAX_PARAMS`] or have more than [`MAX_VALUES`] values, or the result would be
/// longer than [`MAX_LEN`].
pub fn encode(function: &FunctionId, inputs: &[CAddr], params: &Params) -> Result<Bytes> {
    let size = 32 + function.name().len() + function.version().len() + inputs.len() * INPUT_LEN;
    let mut writer = Writer::new(size);
    writer.head(function.name(), function.version(), inputs)?;
    writer.params(params)?;
    let bytes = writer.into_bytes();
    check_len(bytes.len())?;
    Ok(bytes.into())
}

/// Writes one value as it stands among the params of a recipe: for who hands values on in another form than recipes.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a value that no recipe may have as a param: see [`encode`].
pub fn encode_value(value: &Value) -> Result<Bytes> {
    let mut writer = Writer::new(32);
    writer.one(value)?;
    Ok(writer.into_bytes().into())
}

/// Reads a value that [`encode_value`] wrote.
///
/// # Errors
/// [`ErrorKind::Corrupt`] unless the bytes are the canonical form of a value, and nothing follows it;
/// [`ErrorKind::Invalid`] when it has more than [`MAX_VALUES`] values.
pub fn decode_value(bytes: &[u8]) -> Result<Value> {
    read::value(bytes)
}

/// Whether these encoded params are within the limits of new recipes.
pub(crate) fn check_limits(params: &[u8]) -> Result<()> {
    if params.len() > MAX_PARAMS {
        return Err(too_long());
    }
    match read::count(params)? <= MAX_VALUES {
        true => Ok(()),
        false => Err(too_many()),
    }
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
        let params = layout.params_bytes(bytes);
        if params != NO_PARAMS {
            read::count(params).map_err(|source| {
                bad("a recipe is not in canonical form", bytes).caused_by(source)
            })?;
        }
        Ok(layout)
    }

    /// Finds the parts of bytes whose params are canonical already, as [`encode`] makes them.
    pub(crate) fn locate(bytes: &[u8]) -> Result<Self> {
        let bad = |what: &'static str| bad(what, bytes);
        let not_cbor = |source: Error| bad("a recipe is not in canonical form").caused_by(source);
        if bytes.len() > MAX_LEN {
            return Err(bad("a recipe is longer than 256 MiB"));
        }
        let mut reader = Reader::new(bytes);
        if !reader.is_next(&[ARRAY_OF_FIVE]) {
            return Err(bad("a recipe is an array of five items"));
        }
        if !reader.is_next(&[VERSION]) {
            return Err(bad("a recipe has an unknown format version"));
        }
        let name = reader.text().map_err(not_cbor)?;
        let name_at = reader.position() - name.len();
        let version = reader.text().map_err(not_cbor)?;
        let version_at = reader.position() - version.len();
        FunctionId::check(name, version)
            .map_err(|source| bad("a recipe names no valid function").caused_by(source))?;
        let count = reader.array().map_err(not_cbor)?;
        let inputs_at = reader.position();
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
}

fn text(bytes: &[u8], at: usize, len: usize) -> &str {
    // Checked to be UTF-8 when the layout was made.
    std::str::from_utf8(&bytes[at..at + len]).unwrap_or_default()
}

fn check_len(len: usize) -> Result<()> {
    if len <= MAX_LEN {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "a recipe is longer than 256 MiB")
        .with("length", len)
        .hint("put large params into a blob and make it an input; combine many inputs in several steps"))
}

fn too_long() -> Error {
    limited("the params of a recipe are longer than 2 MiB").with("limit", MAX_PARAMS)
}

fn too_many() -> Error {
    limited("the params of a recipe have too many values").with("limit", MAX_VALUES)
}

fn limited(what: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what).hint("put large params into a blob and make it an input")
}

fn bad(what: &'static str, bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Corrupt, what).with("length", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_alone_is_what_it_is_in_a_recipe() {
        let deep = (1..MAX_DEPTH).fold(Value::Int(7), |inner, _| Value::List(vec![inner]));
        for value in [Value::Null, Value::Float(-0.0), deep.clone()] {
            let params = Params::new().with("x", value.clone());
            let recipe = encode(&FunctionId::new("f", "1").unwrap(), &[], &params).unwrap();
            let alone = encode_value(&value).unwrap();
            assert!(recipe.ends_with(&alone));
            assert_eq!(decode_value(&alone).unwrap(), value);
            let trailing = [&alone[..], b"\0"].concat();
            assert_eq!(
                decode_value(&trailing).unwrap_err().kind(),
                ErrorKind::Corrupt
            );
        }
        for no_param in [Value::List(vec![deep]), Value::Float(f64::NAN)] {
            assert_eq!(
                encode_value(&no_param).unwrap_err().kind(),
                ErrorKind::Invalid
            );
        }
    }
}
