//! How computations are checked, as several verbs take it.

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use deriva::{DerivaBuilder, Determinism, OnViolation};

use crate::args::parsed;
use crate::handle::Materialize;

// No doc comments on structs that are flattened: they would become those of the verb.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Check computations by running them again: off, dual, sampled:RATE or quorum:AGREE/OF, such as sampled:0.1 or
    /// quorum:2/3
    #[arg(long, value_name = "MODE", value_parser = parsed::<Determinism>)]
    verify: Option<Determinism>,
    /// What becomes of a recipe whose runs differ
    #[arg(long, value_enum, value_name = "WHAT", default_value = "fail")]
    on_violation: Choice,
    /// What decides which computations `sampled` checks, as 64 hex digits: calls with the same key check the same; default:
    /// a random key for each call
    #[arg(
        long,
        env = "DERIVA_SAMPLING_KEY",
        value_name = "KEY",
        hide_env_values = true,
        value_parser = key
    )]
    sampling_key: Option<[u8; 32]>,
    #[command(flatten)]
    repeats: RepeatArgs,
    #[command(flatten)]
    quarantine: QuarantineArgs,
}

#[derive(Debug, Args)]
pub(super) struct RepeatArgs {
    /// Run what is checked again under the same conditions; default: in other threads, with the inputs at other places in
    /// memory
    #[arg(long)]
    no_perturb: bool,
    /// Keep the first two outputs of a recipe whose runs differ; `ledger show` tells their addresses
    #[arg(long)]
    keep_evidence: bool,
}

#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    /// Compute nothing of a function of which the ledger has N recipes or more; default: only those recipes are refused
    #[arg(long, value_name = "N", value_parser = entries())]
    quarantine_after: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// It fails, and so does what needs it
    Fail,
    /// Its first output is used and told to be doubted; nothing made from it is kept
    Report,
}

impl VerifyArgs {
    /// As the handle is built.
    pub(super) fn build(&self, builder: DerivaBuilder) -> DerivaBuilder {
        let builder = self.quarantine.build(self.repeats.build(builder));
        let builder = builder.on_violation(match self.on_violation {
            Choice::Fail => OnViolation::Fail,
            Choice::Report => OnViolation::Report,
        });
        match self.sampling_key {
            Some(key) => builder.determinism_key(key),
            None => builder,
        }
    }

    /// As a request is made.
    pub(super) fn request(&self, request: Materialize) -> Materialize {
        let request = match self.repeats.no_perturb {
            true => request.perturb(false),
            false => request,
        };
        match self.verify {
            Some(mode) => request.determinism(mode),
            None => request,
        }
    }

    /// What a server has settings of its own for, and whether it is given.
    pub(super) fn not_there(&self) -> Vec<(&'static str, bool)> {
        let mut options = vec![
            ("--on-violation", self.on_violation != Choice::Fail),
            ("--sampling-key", self.sampling_key.is_some()),
            ("--keep-evidence", self.repeats.keep_evidence),
        ];
        options.extend(self.quarantine.not_there());
        options
    }

    /// Whether a request says more than what a mere read does.
    pub(super) fn is_given(&self) -> bool {
        self.verify.is_some() || self.on_violation == Choice::Report
    }
}

impl RepeatArgs {
    /// As [`VerifyArgs::not_there`].
    pub(super) fn not_there(&self) -> [(&'static str, bool); 2] {
        [
            ("--no-perturb", self.no_perturb),
            ("--keep-evidence", self.keep_evidence),
        ]
    }

    /// As the handle is built.
    pub(super) fn build(&self, builder: DerivaBuilder) -> DerivaBuilder {
        let builder = builder.perturb(!self.no_perturb);
        match self.keep_evidence {
            true => builder.keep_evidence(),
            false => builder,
        }
    }
}

impl QuarantineArgs {
    /// As the handle is built.
    pub(super) fn build(&self, builder: DerivaBuilder) -> DerivaBuilder {
        match self.quarantine_after {
            Some(entries) => builder.quarantine_after(entries),
            None => builder,
        }
    }

    /// As [`VerifyArgs::not_there`].
    pub(super) fn not_there(&self) -> [(&'static str, bool); 1] {
        [("--quarantine-after", self.is_given())]
    }

    /// Whether there is a number of entries from which on a function is refused.
    pub(super) fn is_given(&self) -> bool {
        self.quarantine_after.is_some()
    }
}

/// Parses a number of entries of the ledger.
pub(super) fn entries() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

/// Parses a key of 64 hex digits.
fn key(text: &str) -> Result<[u8; 32], String> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64);
    let digits = digits.ok_or("a key is 64 hex digits (0-9, a-f)")?;
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] << 4 | pair[1]) as u8;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_64_digits_of_either_case() {
        let read = key(&"0fA0".repeat(16)).unwrap();
        assert_eq!(read[..4], [0x0f, 0xa0, 0x0f, 0xa0]);
        for wrong in ["", "00", &"0".repeat(65), &"g".repeat(64), &"+f".repeat(32)] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
