//! Numbers in fields.

use std::cmp::Ordering;
use std::fmt;

/// A finite number: whole ones are kept exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number that `field` is, spaces around it left out.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(field.trim_ascii()).ok()?;
        // What else the standard library takes for a float: inf, infinity, nan.
        if text.bytes().any(|byte| !b"+-.0123456789eE".contains(&byte)) {
            return None;
        }
        if let Ok(int) = text.parse() {
            return Some(Self::Int(int));
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    pub(super) fn as_float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            // Finite floats always compare.
            (a, b) => a
                .as_float()
                .partial_cmp(&b.as_float())
                .unwrap_or(Ordering::Equal),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => int.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{self, Float, Int};

    #[test]
    fn whole_numbers_are_exact_and_words_are_none() {
        for (field, expected) in [
            ("7", Some(Int(7))),
            (" -7 ", Some(Int(-7))),
            ("9007199254740993", Some(Int(9_007_199_254_740_993))),
            ("7.0", Some(Float(7.0))),
            ("1e3", Some(Float(1000.0))),
            ("1e999", None),
            ("inf", None),
            ("nan", None),
            ("0x10", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(Number::parse(field.as_bytes()), expected, "{field}");
        }
        assert_eq!(Number::parse(b"\xff"), None);
    }

    #[test]
    fn large_neighbours_compare_exactly() {
        let (a, b) = (Int(9_007_199_254_740_992), Int(9_007_199_254_740_993));
        assert!(a.compare(b).is_lt() && Int(2).compare(Float(2.5)).is_lt());
        assert!(Int(2).compare(Float(2.0)).is_eq());
    }
}
