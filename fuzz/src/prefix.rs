//! Addresses and prefixes of them, as people type them.

use deriva_api::{AddrPrefix, CAddr, ErrorKind};

use crate::{Read, check_advice, check_kind};

/// Bytes as the text of both, and as an address by itself.
pub fn read(bytes: &[u8]) -> Read {
    match CAddr::from_slice(bytes) {
        Ok(addr) => assert_eq!(addr.to_string().parse().ok(), Some(addr)),
        Err(error) => check_kind(&error, ErrorKind::Invalid),
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return Read::Refused;
    };
    let addr = address(text);
    let prefix: AddrPrefix = match text.parse() {
        Ok(prefix) => prefix,
        Err(error) => {
            check_advice(&error);
            assert!(addr.is_none() && !is_hex(text, 1..=64), "{text}");
            return Read::Refused;
        }
    };
    assert!(is_hex(text, 1..=64), "{text}");
    assert_eq!(prefix.to_string(), text.to_lowercase());
    assert_eq!(prefix.to_string().parse().ok(), Some(prefix.clone()));
    assert_eq!(prefix.complete(), addr);
    matches(&prefix, &digits(text));
    Read::Taken
}

/// The address, if it is one: 64 digits, and no other text.
fn address(text: &str) -> Option<CAddr> {
    match text.parse::<CAddr>() {
        Ok(addr) => {
            assert!(is_hex(text, 64..=64), "{text}");
            assert_eq!(addr.to_string(), text.to_lowercase());
            let json = serde_json::to_string(&addr).expect("it is text");
            assert_eq!(serde_json::from_str::<CAddr>(&json).ok(), Some(addr));
            assert!(addr.to_string().starts_with(&addr.short()));
            Some(addr)
        }
        Err(error) => {
            check_advice(&error);
            assert!(!is_hex(text, 64..=64), "{text}");
            None
        }
    }
}

/// A prefix matches from its first address to its last, and nothing before or after these.
fn matches(prefix: &AddrPrefix, digits: &[u8]) {
    let (first, last) = (filled(digits, 0), filled(digits, 15));
    assert_eq!(prefix.first(), first);
    for inside in [first, last] {
        assert!(prefix.matches(&inside), "{prefix} and {inside}");
    }
    for outside in [before(first), after(last)].into_iter().flatten() {
        assert!(!prefix.matches(&outside), "{prefix} and {outside}");
    }
    for at in 0..64 {
        let mut other = [0; 64];
        other[..digits.len()].copy_from_slice(digits);
        other[at] ^= 8;
        let other = filled(&other, 0);
        assert_eq!(
            prefix.matches(&other),
            at >= digits.len(),
            "{prefix} and {other}"
        );
    }
}

fn is_hex(text: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    len.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// What the digits of a text of them stand for.
fn digits(text: &str) -> Vec<u8> {
    let digits = text.chars().map(|digit| digit.to_digit(16));
    digits.map(|digit| digit.expect("a digit") as u8).collect()
}

/// The address of these digits, and of this one as often as some are missing.
fn filled(digits: &[u8], with: u8) -> CAddr {
    let digit = |at: usize| digits.get(at).copied().unwrap_or(with);
    CAddr::from_bytes(std::array::from_fn(|at| {
        digit(2 * at) << 4 | digit(2 * at + 1)
    }))
}

fn after(addr: CAddr) -> Option<CAddr> {
    stepped(addr, |byte| byte.overflowing_add(1))
}

fn before(addr: CAddr) -> Option<CAddr> {
    stepped(addr, |byte| byte.overflowing_sub(1))
}

/// The next address in one direction, if there is one.
fn stepped(addr: CAddr, step: impl Fn(u8) -> (u8, bool)) -> Option<CAddr> {
    let mut bytes = *addr.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (stepped, carries) = step(*byte);
        *byte = stepped;
        if !carries {
            return Some(CAddr::from_bytes(bytes));
        }
    }
    None
}
