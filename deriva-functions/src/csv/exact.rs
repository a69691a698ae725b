//! Decimal numbers of any length, compared exactly.

use std::cmp::Ordering;

/// A finite decimal number, compared digit by digit: no two different numbers are equal, whatever a float
/// makes of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact<'a> {
    text: &'a str,
    negative: bool,
    /// The digits from the first to the last that is not zero, as the point divides them.
    before: &'a [u8],
    after: &'a [u8],
    /// Where the point stands, counted from the first of these digits.
    point: i64,
}

impl<'a> Exact<'a> {
    /// The number that `field` is, spaces around it left out: what a 64-bit float can be near to.
    pub(super) fn parse(field: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(field.trim_ascii()).ok()?;
        // What else the standard library takes for a float: inf, infinity, nan.
        if text.bytes().any(|byte| !b"+-.0123456789eE".contains(&byte)) {
            return None;
        }
        text.parse().ok().filter(|float: &f64| float.is_finite())?;
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            // Beyond all that is finite there are only zeros, and what is next to nothing.
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(i64::MIN / 2)),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches(['+', '-']);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let before = whole.trim_start_matches('0');
        let after = fraction.trim_end_matches('0');
        let (before, after, point) = match (before.is_empty(), after.is_empty()) {
            (true, _) => {
                let digits = after.trim_start_matches('0');
                let zeros = after.len() - digits.len();
                ("", digits, -(zeros as i64))
            }
            (false, true) => (before.trim_end_matches('0'), "", before.len() as i64),
            (false, false) => (before, after, before.len() as i64),
        };
        Some(Self {
            text,
            negative,
            before: before.as_bytes(),
            after: after.as_bytes(),
            point: exponent.saturating_add(point),
        })
    }

    /// The number as it was written, without the spaces.
    pub(super) fn text(self) -> &'a str {
        self.text
    }

    /// The number where it is a whole one, written without point and exponent, of up to 38 digits.
    pub(super) fn as_int(self) -> Option<i128> {
        self.text.parse().ok()
    }

    /// The nearest float.
    pub(super) fn as_float(self) -> f64 {
        self.text.parse().unwrap_or(0.0)
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (1, 1) => self.size(other),
            (-1, -1) => other.size(self),
            (one, other) => one.cmp(&other),
        }
    }

    fn sign(self) -> i8 {
        match (
            self.before.is_empty() && self.after.is_empty(),
            self.negative,
        ) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        }
    }

    fn size(self, other: Self) -> Ordering {
        let digits = |number: Self| number.before.iter().chain(number.after);
        let by_digits = || digits(self).cmp(digits(other));
        self.point.cmp(&other.point).then_with(by_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form_compare_by_what_they_are() {
        let sorted = [
            "-1e300",
            "-9007199254740993",
            "-9007199254740992.5",
            "-9007199254740992",
            "-1.5",
            "-1e-400",
            "0",
            "1e-99999999999999999999",
            "1e-400",
            "0.0999",
            "0.1",
            "1",
            "1.05",
            "1.5",
            "9.99",
            "10",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775808",
            "9223372036854775809",
            "99999999999999999999999999999999999999998",
            "99999999999999999999999999999999999999999",
            "1e41",
        ];
        let exact = |text: &'static str| Exact::parse(text.as_bytes()).unwrap();
        for (i, one) in sorted.iter().enumerate() {
            for (j, other) in sorted.iter().enumerate() {
                let found = exact(one).compare(exact(other));
                assert_eq!(found, i.cmp(&j), "{one} {other}");
            }
        }
    }

    #[test]
    fn one_number_has_many_forms() {
        for forms in [
            &["0", "-0", "+0.00", "0e5", ".0", "0e99999999999999999999"][..],
            &[
                "1000",
                "1e3",
                "1.0E+3",
                "0001000.000",
                "0.001e6",
                "10000e-1",
            ],
            &["-0.5", "-.5", "-5e-1", "-00.50"],
        ] {
            for (one, other) in forms.iter().flat_map(|a| forms.iter().map(move |b| (a, b))) {
                let exact = |text: &&'static str| Exact::parse(text.as_bytes()).unwrap();
                assert!(exact(one).compare(exact(other)).is_eq(), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_finite_number_is_none() {
        for field in [
            "", "-", ".", "1e", "inf", "nan", "0x10", "1 2", "1e999", "1-2",
        ] {
            assert!(Exact::parse(field.as_bytes()).is_none(), "{field}");
        }
        assert!(Exact::parse(b"\xff").is_none());
        assert_eq!(Exact::parse(b" 7 ").unwrap().text(), "7");
    }
}
