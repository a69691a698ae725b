//! How often computations are repeated to find out whether their functions are deterministic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CAddr, Error, ErrorKind, Result};

/// Which computations are checked, and how: a checked one is run again and its outputs are compared.
///
/// Only executions are checked. What is recorded, cached or stored is read as it is; an audit compares that.
///
/// Written `off`, `dual`, `sampled:0.1`, `quorum:2/3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Determinism {
    /// None.
    #[default]
    Off,
    /// All: each is run twice, and both must give the same bytes.
    Dual,
    /// A share of them, twice each. Which ones is decided by [`is_sampled`]: the same in every process that has the key.
    Sampled {
        /// The share, from 0 (none) to 1 (all).
        rate: f64,
    },
    /// All, several times: each is run until `agree` of its runs gave the same bytes, `of` times at the most. That output
    /// counts, and those that differ are remembered; where no output can come so far any more, none counts.
    Quorum {
        /// Runs that must agree: 2 or more, and more than half of `of`, so that no two outputs can win.
        agree: u32,
        /// Runs at the most, up to [`Determinism::MAX_RUNS`].
        of: u32,
    },
}

/// What is advised to who wrote a mode that is none.
const EXAMPLES: &str = "for example sampled:0.1 or quorum:2/3";

impl Determinism {
    /// The most runs of one computation.
    pub const MAX_RUNS: u32 = 64;

    /// Whether this is a mode at all.
    ///
    /// # Errors
    /// `Invalid` for a rate outside of 0 to 1, and for a quorum that is none.
    pub fn check(self) -> Result<()> {
        let (expected, found) = match self {
            Self::Off | Self::Dual => return Ok(()),
            Self::Sampled { rate } if (0.0..=1.0).contains(&rate) => return Ok(()),
            Self::Sampled { rate } => ("a rate from 0 to 1", rate.to_string()),
            Self::Quorum { agree, of }
                if of <= Self::MAX_RUNS && agree >= 2 && agree <= of && of < 2 * agree =>
            {
                return Ok(());
            }
            Self::Quorum { agree, of } => (
                "a quorum AGREE/OF of 2 or more runs that is more than half of at most 64, such as 2/3",
                format!("{agree}/{of}"),
            ),
        };
        let error = Error::new(ErrorKind::Invalid, format!("{expected} was expected"));
        Err(error.with("found", found).hint(EXAMPLES))
    }

    /// The share of computations that are checked.
    #[must_use]
    pub fn rate(self) -> f64 {
        match self {
            Self::Off => 0.0,
            Self::Sampled { rate } => rate,
            Self::Dual | Self::Quorum { .. } => 1.0,
        }
    }

    /// How many runs of a checked computation must agree.
    #[must_use]
    pub fn agree(self) -> u32 {
        match self {
            Self::Quorum { agree, .. } => agree,
            Self::Off | Self::Dual | Self::Sampled { .. } => 2,
        }
    }

    /// How often a checked computation is run at the most.
    #[must_use]
    pub fn of(self) -> u32 {
        match self {
            Self::Quorum { of, .. } => of,
            Self::Off | Self::Dual | Self::Sampled { .. } => 2,
        }
    }

    /// Whether what this asks for is all that `other` asks for, or more: first it counts how much is checked, then how
    /// many runs must agree, then how few may differ.
    #[must_use]
    pub fn is_as_strict_as(self, other: Self) -> bool {
        let rank = |mode: Self| (mode.agree(), u32::MAX - (mode.of() - mode.agree()));
        match self.rate().total_cmp(&other.rate()) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            // Nothing is checked by either.
            std::cmp::Ordering::Equal if self.rate() == 0.0 => true,
            std::cmp::Ordering::Equal => rank(self) >= rank(other),
        }
    }

    /// The stricter of two: see [`Determinism::is_as_strict_as`].
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match self.is_as_strict_as(other) {
            true => self,
            false => other,
        }
    }

    /// Whether nothing is checked.
    #[must_use]
    pub fn is_off(self) -> bool {
        self.rate() == 0.0
    }
}

/// Whether a computation is one of a sample: whether the first 64 bits, little-endian, of the keyed BLAKE3 hash of its
/// resolved address lie below the rate. So all who have the key choose the same, and who has not cannot foresee it.
#[must_use]
pub fn is_sampled(rate: f64, key: &[u8; 32], resolved: CAddr) -> bool {
    if rate >= 1.0 {
        return true;
    }
    // The hash has 32 bytes.
    let hash = blake3::keyed_hash(key, resolved.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    let limit = (rate.max(0.0) * 2f64.powi(64)) as u128;
    u128::from(u64::from_le_bytes(first)) < limit
}

impl fmt::Display for Determinism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            Self::Dual => f.pad("dual"),
            Self::Sampled { rate } => f.pad(&format!("sampled:{rate}")),
            Self::Quorum { agree, of } => f.pad(&format!("quorum:{agree}/{of}")),
        }
    }
}

impl FromStr for Determinism {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            let what = "a verification mode is off, dual, sampled:RATE or quorum:AGREE/OF";
            Error::new(ErrorKind::Invalid, what)
                .with("found", text.chars().take(100).collect::<String>())
                .hint(EXAMPLES)
        };
        let mode = match text.split_once(':') {
            None if text == "off" => Self::Off,
            None if text == "dual" => Self::Dual,
            Some(("sampled", rate)) => Self::Sampled {
                rate: rate.parse().map_err(|_| unknown())?,
            },
            Some(("quorum", quorum)) => {
                let (agree, of) = quorum.split_once('/').ok_or_else(unknown)?;
                Self::Quorum {
                    agree: agree.parse().map_err(|_| unknown())?,
                    of: of.parse().map_err(|_| unknown())?,
                }
            }
            _ => return Err(unknown()),
        };
        mode.check()?;
        Ok(mode)
    }
}

impl TryFrom<String> for Determinism {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Determinism> for String {
    fn from(mode: Determinism) -> Self {
        mode.to_string()
    }
}

/// What becomes of a request for a recipe whose runs gave different outputs. Neither is ever recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnViolation {
    /// The recipe fails with [`ErrorKind::Nondeterministic`], and what needs it is skipped.
    #[default]
    Fail,
    /// The first output is served and marked as doubted, as is all that is made from it. None of that is recorded, and it
    /// satisfies no request that asks for checking.
    Report,
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUORUM: fn(u32, u32) -> Determinism = |agree, of| Determinism::Quorum { agree, of };
    const SAMPLED: fn(f64) -> Determinism = |rate| Determinism::Sampled { rate };

    #[test]
    fn modes_round_trip_as_text() {
        for (text, mode) in [
            ("off", Determinism::Off),
            ("dual", Determinism::Dual),
            ("sampled:0.1", SAMPLED(0.1)),
            ("sampled:1", SAMPLED(1.0)),
            ("quorum:2/3", QUORUM(2, 3)),
        ] {
            assert_eq!(text.parse::<Determinism>().unwrap(), mode);
            assert_eq!(mode.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_mode_is_invalid_and_says_what_would_be() {
        for text in [
            "",
            "on",
            "Dual",
            "sampled",
            "sampled:",
            "sampled:x",
            "sampled:-0.1",
            "sampled:1.1",
            "sampled:NaN",
            "sampled:inf",
            "quorum:",
            "quorum:2",
            "quorum:3/2",
            "quorum:1/1",
            "quorum:0/0",
            "quorum:2/4",
            "quorum:33/65",
            "quorum:-2/3",
            "quorum:2/3/4",
            "quorum:4294967295/4294967295",
            "quorum:99999999999/3",
        ] {
            let error = text.parse::<Determinism>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.context("found").is_some(), "{text}: {error}");
        }
        let half = SAMPLED(f64::NAN).check().unwrap_err();
        assert!(half.to_string().contains("a rate from 0 to 1"), "{half}");
    }

    #[test]
    fn the_stricter_checks_more_then_wants_more_agreement_then_less_dissent() {
        let rising = [
            Determinism::Off,
            SAMPLED(0.1),
            SAMPLED(0.9),
            QUORUM(2, 3),
            Determinism::Dual,
            QUORUM(3, 5),
            QUORUM(3, 4),
            QUORUM(3, 3),
        ];
        for (at, low) in rising.iter().enumerate() {
            assert!(low.is_as_strict_as(*low), "{low}");
            for high in &rising[at + 1..] {
                assert!(
                    high.is_as_strict_as(*low) && !low.is_as_strict_as(*high),
                    "{low} {high}"
                );
                assert_eq!((low.stricter(*high), high.stricter(*low)), (*high, *high));
            }
        }
        // Written in another way, they ask for the same.
        for (one, other) in [
            (SAMPLED(0.0), Determinism::Off),
            (SAMPLED(1.0), Determinism::Dual),
            (QUORUM(2, 2), Determinism::Dual),
        ] {
            assert!(
                one.is_as_strict_as(other) && other.is_as_strict_as(one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_sample_is_exact_at_its_ends_and_about_right_between_them() {
        let key = *b"a key of thirty-two bytes, no le";
        let addr = |n: u32| CAddr::of_blob(&n.to_le_bytes());
        let count = |rate| {
            (0..10_000)
                .filter(|n| is_sampled(rate, &key, addr(*n)))
                .count()
        };
        assert_eq!((count(0.0), count(-0.0), count(1.0)), (0, 0, 10_000));
        // 3.3 standard deviations.
        let tenth = count(0.1);
        assert!((900..=1100).contains(&tenth), "{tenth}");
        // What a small sample has, a larger one has too.
        let chosen = |rate, n| is_sampled(rate, &key, addr(n));
        assert!((0..10_000).all(|n| !chosen(0.1, n) || chosen(0.2, n)));
        // Another key chooses others; and this choice is the same for ever.
        let other = [7; 32];
        assert!((0..100).any(|n| is_sampled(0.5, &other, addr(n)) != chosen(0.5, n)));
        let first: Vec<u32> = (0..16).filter(|n| chosen(0.5, *n)).collect();
        assert_eq!(first, GOLDEN, "sampled with another formula than before");
    }

    /// As the Python package `blake3` has them.
    const GOLDEN: &[u32] = &[1, 6, 8, 12, 13, 14];
}
