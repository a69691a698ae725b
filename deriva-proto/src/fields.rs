//! Fields that several messages have: addresses, numbers that stand for something, what must be there.

use std::borrow::Cow;

use bytes::Bytes;
use deriva_api::{CAddr, Error, ErrorKind, Result};

/// A field of a message, such as `BlobStat.addr`, is not what it has to be.
pub(crate) fn invalid(field: &'static str, expected: impl Into<Cow<'static, str>>) -> Error {
    let expected: Cow<'static, str> = expected.into();
    let what = format!("{expected} was expected in a message");
    Error::new(ErrorKind::Invalid, what).with("field", field)
}

/// A field that must be there, and is not: left out, or of a kind that only a later version knows.
pub(crate) fn required<T>(field: &'static str, found: Option<T>) -> Result<T> {
    found.ok_or_else(|| invalid(field, "a value of a known kind"))
}

/// The address in a field.
///
/// # Errors
/// [`ErrorKind::Invalid`] unless it has 32 bytes.
pub fn addr_of(field: &'static str, bytes: &[u8]) -> Result<CAddr> {
    CAddr::from_slice(bytes)
        .map_err(|_| invalid(field, "an address of 32 bytes").with("length", bytes.len()))
}

/// The addresses in a field.
///
/// # Errors
/// [`ErrorKind::Invalid`] unless each has 32 bytes.
pub fn addrs_of(field: &'static str, all: &[Bytes]) -> Result<Vec<CAddr>> {
    all.iter().map(|bytes| addr_of(field, bytes)).collect()
}

/// The address in a field that may be absent, which an empty one is, too.
///
/// # Errors
/// [`ErrorKind::Invalid`] unless it has 32 bytes.
pub fn maybe_addr_of(field: &'static str, bytes: Option<&Bytes>) -> Result<Option<CAddr>> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    bytes.map(|bytes| addr_of(field, bytes)).transpose()
}

/// An address as it stands in a message.
#[must_use]
pub fn bytes_of(addr: CAddr) -> Bytes {
    Bytes::copy_from_slice(addr.as_bytes())
}

/// Addresses as they stand in a message: all in one piece of memory.
#[must_use]
pub fn bytes_of_all(addrs: &[CAddr]) -> Vec<Bytes> {
    let all: Vec<u8> = addrs.iter().flat_map(CAddr::as_bytes).copied().collect();
    let all = Bytes::from(all);
    let ends = (CAddr::LEN..=all.len()).step_by(CAddr::LEN);
    ends.map(|end| all.slice(end - CAddr::LEN..end)).collect()
}

/// What a number stands for.
pub(crate) fn number<Wire, T>(field: &'static str, number: i32) -> Result<T>
where
    Wire: TryFrom<i32>,
    T: TryFrom<Wire>,
{
    let known = Wire::try_from(number).ok();
    let known = known.and_then(|known| T::try_from(known).ok());
    known.ok_or_else(|| invalid(field, "a known number").with("found", number))
}

/// A count that fits this machine.
pub(crate) fn count(field: &'static str, found: u64) -> Result<usize> {
    usize::try_from(found)
        .map_err(|_| invalid(field, "a number that fits into memory").with("found", found))
}

/// Enums whose variants are called the same in the contracts and in the protocol. What a later version of the contracts adds
/// has no number here.
macro_rules! numbers {
    ($meaning:ident = $wire:ident: $($name:ident),*) => {
        impl From<$meaning> for v1::$wire {
            fn from(meaning: $meaning) -> Self {
                match meaning {
                    $($meaning::$name => Self::$name,)*
                    #[allow(unreachable_patterns, reason = "some may grow")]
                    _ => Self::Unspecified,
                }
            }
        }

        impl TryFrom<v1::$wire> for $meaning {
            type Error = Error;

            fn try_from(number: v1::$wire) -> Result<Self> {
                match number {
                    $(v1::$wire::$name => Ok(Self::$name),)*
                    v1::$wire::Unspecified => Err(invalid(stringify!($wire), "a known number")),
                }
            }
        }
    };
}
pub(crate) use numbers;

/// Takes over fields that are called the same on both sides.
macro_rules! same {
    ($from:ident -> $to:ident: $($field:ident),*) => {
        $($to.$field = $from.$field;)*
    };
}
pub(crate) use same;
