//! How a recipe is read: item by item from its bytes, and no form but the canonical one.
//!
//! Counting makes no values and keeps nothing, so that a stated length, a long list or a deep nest costs
//! no more than a look at the bytes that are really there. Nesting is the one thing that is recursed
//! over, and it is bounded.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::half;
use super::write::{HALF, Width, width};
use super::{MAX_DEPTH, MAX_VALUES};
use crate::{Error, ErrorKind, Params, Result, Value};

/// How many values an encoded map of params has, each item of a list or map counted.
///
/// # Errors
/// [`ErrorKind::Corrupt`] unless the bytes are the canonical form of a map, and nothing follows it.
pub(super) fn count(bytes: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(bytes);
    let mut count = 0;
    let entries = reader.map()?;
    reader.skip_entries(entries, 1, &mut count)?;
    reader.check_end()?;
    Ok(count)
}

/// Reads an encoded map of params.
///
/// # Errors
/// As [`count`]; [`ErrorKind::Invalid`] when there are more than [`MAX_VALUES`] values.
pub(crate) fn params(bytes: &[u8]) -> Result<Params> {
    let mut reader = Reader::new(bytes);
    let (stated, mut left) = (reader.map()?, MAX_VALUES);
    let entries = reader.entries(stated, 1, &mut left)?;
    reader.check_end()?;
    Ok(entries.into_iter().collect())
}

/// Reads one value, alone.
///
/// # Errors
/// As [`params`].
pub(super) fn value(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let mut left = MAX_VALUES;
    let value = reader.value(1, &mut left)?;
    reader.check_end()?;
    Ok(value)
}

/// Reads items from the front of some bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// An item; of a list or map, how many items or entries are to follow.
enum Item<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(u64),
    Map(u64),
}

/// The major types of CBOR: the first three bits of an item.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Steps over these bytes, if they come next.
    pub(super) fn is_next(&mut self, bytes: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(bytes);
        self.at += if is_next { bytes.len() } else { 0 };
        is_next
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let (at, len) = (self.at, self.head(TEXT, "a text was expected")?);
        self.text_of(len, at)
    }

    /// The head of an array: how many items follow.
    pub(super) fn array(&mut self) -> Result<u64> {
        self.head(ARRAY, "an array was expected")
    }

    fn check_end(&self) -> Result<()> {
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err(corrupt("bytes follow the recipe's params", self.at)),
        }
    }

    /// Steps over this many entries of a map, whose values lie this deep.
    fn skip_entries(&mut self, entries: u64, depth: usize, count: &mut usize) -> Result<()> {
        let mut last = None;
        for _ in 0..entries {
            last = Some(self.key(last)?);
            self.skip(depth, count)?;
        }
        Ok(())
    }

    fn skip(&mut self, depth: usize, count: &mut usize) -> Result<()> {
        check_depth(depth, self.at)?;
        *count += 1;
        match self.item()? {
            Item::List(len) => (0..len).try_for_each(|_| self.skip(depth + 1, count)),
            Item::Map(len) => self.skip_entries(len, depth + 1, count),
            _ => Ok(()),
        }
    }

    /// `stated` entries of a map, whose values lie this deep, while there are values `left`.
    fn entries(
        &mut self,
        stated: u64,
        depth: usize,
        left: &mut usize,
    ) -> Result<BTreeMap<String, Value>> {
        let (mut entries, mut last) = (BTreeMap::new(), None);
        for _ in 0..stated {
            let key = self.key(last)?;
            last = Some(key);
            entries.insert(key.to_owned(), self.value(depth, left)?);
        }
        Ok(entries)
    }

    fn value(&mut self, depth: usize, left: &mut usize) -> Result<Value> {
        check_depth(depth, self.at)?;
        *left = left.checked_sub(1).ok_or_else(super::too_many)?;
        Ok(match self.item()? {
            Item::Null => Value::Null,
            Item::Bool(x) => Value::Bool(x),
            Item::Int(x) => Value::Int(x),
            Item::Float(x) => Value::Float(x),
            Item::Text(x) => Value::Text(x.to_owned()),
            Item::Bytes(x) => Value::Bytes(Bytes::copy_from_slice(x)),
            Item::List(len) => {
                // Grows as items really come: a stated length is only a claim.
                let mut items = Vec::new();
                for _ in 0..len {
                    items.push(self.value(depth + 1, left)?);
                }
                Value::List(items)
            }
            Item::Map(len) => Value::Map(self.entries(len, depth + 1, left)?),
        })
    }

    /// The head of a map: how many entries follow.
    fn map(&mut self) -> Result<u64> {
        self.head(MAP, "a map was expected")
    }

    /// A key, which comes after the last one: shorter ones first, and those of one length by their bytes.
    fn key(&mut self, last: Option<&str>) -> Result<&'a str> {
        let key = self.text()?;
        let comes_after = |last: &str| (last.len(), last) < (key.len(), key);
        match last.is_none_or(comes_after) {
            true => Ok(key),
            false => Err(corrupt("the keys of a map are not in order", self.at)),
        }
    }

    /// The number in the head of an item that is of this major type.
    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64> {
        let at = self.at;
        let [first] = self.array_of()?;
        match first >> 5 == major {
            true => self.argument(first & 0x1f, at),
            false => Err(corrupt(expected, at)),
        }
    }

    /// A text of `len` bytes; its item began at `at`.
    fn text_of(&mut self, len: u64, at: usize) -> Result<&'a str> {
        let text = std::str::from_utf8(self.take(len)?);
        text.map_err(|_| corrupt("a text is not UTF-8", at))
    }

    fn item(&mut self) -> Result<Item<'a>> {
        let at = self.at;
        let [first] = self.array_of()?;
        // What is no length and no integer: seven in the first three bits.
        match first {
            0xf4 => return Ok(Item::Bool(false)),
            0xf5 => return Ok(Item::Bool(true)),
            0xf6 => return Ok(Item::Null),
            HALF => return self.half(at),
            0xfa => return self.single(at),
            0xfb => return self.double(at),
            0xe0.. => return Err(corrupt("a type that recipes do not have", at)),
            _ => {}
        }
        let argument = self.argument(first & 0x1f, at)?;
        let int =
            || i64::try_from(argument).map_err(|_| corrupt("an integer of more than 64 bits", at));
        Ok(match first >> 5 {
            UNSIGNED => Item::Int(int()?),
            NEGATIVE => Item::Int(-1 - int()?),
            BYTES => Item::Bytes(self.take(argument)?),
            TEXT => Item::Text(self.text_of(argument, at)?),
            ARRAY => Item::List(argument),
            MAP => Item::Map(argument),
            _ => return Err(corrupt("a type that recipes do not have", at)),
        })
    }

    /// The number in the head of an item, which is written as short as it can be.
    fn argument(&mut self, info: u8, at: usize) -> Result<u64> {
        let (argument, least) = match info {
            0..24 => return Ok(info.into()),
            24 => (self.array_of::<1>()?[0].into(), 24),
            25 => (u16::from_be_bytes(self.array_of()?).into(), 1 << 8),
            26 => (u32::from_be_bytes(self.array_of()?).into(), 1 << 16),
            27 => (u64::from_be_bytes(self.array_of()?), 1 << 32),
            _ => return Err(corrupt("a length or number that is not stated", at)),
        };
        match argument >= least {
            true => Ok(argument),
            false => Err(corrupt("a number that could be shorter", at)),
        }
    }

    fn half(&mut self, at: usize) -> Result<Item<'a>> {
        let half = half::widen(u16::from_be_bytes(self.array_of()?));
        float(half, |width| matches!(width, Width::Half(_)), at)
    }

    fn single(&mut self, at: usize) -> Result<Item<'a>> {
        let single = f32::from_be_bytes(self.array_of()?);
        float(single.into(), |width| matches!(width, Width::Single(_)), at)
    }

    fn double(&mut self, at: usize) -> Result<Item<'a>> {
        let double = f64::from_be_bytes(self.array_of()?);
        float(double, |width| matches!(width, Width::Double), at)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| left.get(..len));
        let taken = taken.ok_or_else(|| corrupt("a recipe ends within an item", self.at))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.bytes[self.at..].first_chunk() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(corrupt("a recipe ends within an item", self.at)),
        }
    }
}

/// A float, which is finite and of the shortest form.
fn float<'a>(x: f64, is_shortest: impl Fn(Width) -> bool, at: usize) -> Result<Item<'a>> {
    match x.is_finite() && is_shortest(width(x)) {
        true => Ok(Item::Float(x)),
        false => Err(corrupt("a float is not finite, or could be shorter", at)),
    }
}

fn check_depth(depth: usize, at: usize) -> Result<()> {
    match depth <= MAX_DEPTH {
        true => Ok(()),
        false => Err(corrupt("a param is nested too deeply", at)),
    }
}

fn corrupt(what: &'static str, at: usize) -> Error {
    Error::new(ErrorKind::Corrupt, what).with("offset", at)
}
