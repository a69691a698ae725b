//! What was seen of a function that is not deterministic.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CAddr, Error, ErrorKind, FunctionId};

/// Bytes that are shown on either side of a first difference.
const AROUND: usize = 8;

/// Runs of one recipe that did not give the same: what is remembered of it, and told.
///
/// It is the [source](std::error::Error::source) of the error with which the recipe fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Violation {
    /// The recipe.
    pub recipe: CAddr,
    /// The recipe with the contents of its inputs in their place: the computation, whatever it is called.
    pub resolved: CAddr,
    /// Its function.
    pub function: FunctionId,
    /// What was seen, in the order in which it was: two or more.
    pub answers: Vec<Answer>,
    /// Where the first two outputs differ, as far as both could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// The output that a quorum agreed on in spite of the others; that one may be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<CAddr>,
    /// By what it was found.
    pub found_by: FoundBy,
    /// Whether the runs were perturbed.
    pub perturbed: bool,
    /// When it was found last: milliseconds since 1970 in UTC, by the clock of whoever found it.
    pub at_millis: u64,
    /// How often it was found.
    pub times: u64,
}

/// One of the things that runs of a recipe gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The output's address; none where the runs failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<CAddr>,
    /// Its length in bytes; 0 where the runs failed.
    pub len: u64,
    /// Why they failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many runs gave this. What was recorded before counts as one.
    pub runs: u64,
}

impl Answer {
    /// An output that one run gave.
    #[must_use]
    pub fn output(addr: CAddr, len: u64) -> Self {
        Self {
            addr: Some(addr),
            len,
            error: None,
            runs: 1,
        }
    }

    /// A failure of one run.
    #[must_use]
    pub fn failure(error: impl fmt::Display) -> Self {
        Self {
            addr: None,
            len: 0,
            error: Some(error.to_string()),
            runs: 1,
        }
    }

    /// Whether both are the same output, or both failed.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.addr == other.addr && self.len == other.len
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.addr, &self.error) {
            (Some(addr), _) => write!(f, "{addr} ({} B)", self.len)?,
            (None, Some(error)) => write!(f, "a failure ({error})")?,
            (None, None) => f.write_str("a failure")?,
        }
        match self.runs {
            1 => Ok(()),
            runs => write!(f, " {runs} times"),
        }
    }
}

/// By what a violation was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FoundBy {
    /// A request whose mode checks every computation.
    Request,
    /// A request that checks a sample.
    Sample,
    /// An audit.
    Audit,
    /// A lost output that was computed again.
    Healing,
    /// An output that was recorded by somebody else meanwhile.
    Record,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Sample => "sample",
            Self::Audit => "audit",
            Self::Healing => "healing",
            Self::Record => "record",
        })
    }
}

/// Where two outputs begin to differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// The first byte that differs; the shorter length where one is the beginning of the other.
    pub offset: u64,
    /// The line of it, from 1, where both outputs are UTF-8 text so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the excerpts begin.
    pub from: u64,
    /// A few bytes of either output around it, as lowercase hex digits.
    pub hex: [String; 2],
    /// The same as text, with a dot for each byte that is not printable ASCII.
    pub text: [String; 2],
}

impl Difference {
    /// Where these bytes begin to differ; `None` where they are equal.
    #[must_use]
    pub fn between(first: &[u8], second: &[u8]) -> Option<Self> {
        let same = first.iter().zip(second).take_while(|(a, b)| a == b).count();
        if same == first.len() && same == second.len() {
            return None;
        }
        let from = same.saturating_sub(AROUND);
        let excerpt = |bytes: &[u8]| bytes[from..bytes.len().min(same + AROUND)].to_vec();
        let excerpts = [excerpt(first), excerpt(second)];
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = |bytes: &Vec<u8>| {
            let shown = |byte: &u8| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => '.',
            };
            bytes.iter().map(shown).collect()
        };
        let before = std::str::from_utf8(&first[..same]);
        // The difference may lie within a character.
        let is_text = before.is_ok() || before.is_err_and(|error| error.error_len().is_none());
        let lines = first[..same].iter().filter(|byte| **byte == b'\n').count() as u64;
        Some(Self {
            offset: same as u64,
            line: is_text.then_some(lines + 1),
            from: from as u64,
            hex: [hex(&excerpts[0]), hex(&excerpts[1])],
            text: [text(&excerpts[0]), text(&excerpts[1])],
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        let [first, second] = &self.hex;
        let [one, other] = &self.text;
        write!(f, ": {first} \"{one}\" or {second} \"{other}\"")
    }
}

impl Violation {
    /// What was seen of a recipe. It counts as found once, at the beginning of 1970, by a request; these and the rest are
    /// set in the fields.
    #[must_use]
    pub fn new(recipe: CAddr, resolved: CAddr, function: FunctionId, answers: Vec<Answer>) -> Self {
        Self {
            recipe,
            resolved,
            function,
            answers,
            difference: None,
            accepted: None,
            found_by: FoundBy::Request,
            perturbed: false,
            at_millis: 0,
            times: 1,
        }
    }

    /// Adds what was seen when it was found once more.
    pub fn merge(&mut self, later: Self) {
        for answer in later.answers {
            let has_room = self.answers.len() < Self::MAX_ANSWERS;
            match self.answers.iter_mut().find(|it| it.is_like(&answer)) {
                Some(known) => known.runs += answer.runs,
                None if has_room => self.answers.push(answer),
                None => {}
            }
        }
        self.difference = self.difference.take().or(later.difference);
        self.accepted = self.accepted.filter(|addr| later.accepted == Some(*addr));
        self.found_by = later.found_by;
        self.perturbed |= later.perturbed;
        self.at_millis = self.at_millis.max(later.at_millis);
        self.times += later.times;
    }

    /// Answers that one violation remembers.
    pub const MAX_ANSWERS: usize = 64;

    /// The error with which the recipe fails. It has this as its source.
    #[must_use]
    pub fn into_error(self) -> Error {
        let what = "runs of a deterministic function gave different outputs";
        let answers: Vec<String> = self.answers.iter().map(ToString::to_string).collect();
        let runs: u64 = self.answers.iter().map(|answer| answer.runs).sum();
        let mut error = Error::new(ErrorKind::Nondeterministic, what)
            .with("addr", self.recipe)
            .with("function", &self.function)
            .with("runs", runs)
            .with("outputs", answers.join(", "))
            .with("found_by", self.found_by);
        if let Some(difference) = &self.difference {
            error = error.with("first_difference", difference);
        }
        error
            .hint(
                "mend the function and give it a new version; what was seen is in the ledger: \
                 `deriva ledger show ADDR`, and `deriva ledger release ADDR` lets it be computed again",
            )
            .caused_by(self)
    }
}

/// A violation as the ledger has it: one entry for each recipe that was not released, and one for each release of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The recipe.
    pub recipe: CAddr,
    /// What was seen; `None` where the entry is damaged.
    pub violation: Option<Violation>,
    /// What is wrong with the entry, where it is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Whether the recipe may be computed again.
    pub released: bool,
    /// Blobs with outputs that were kept as evidence.
    pub evidence: Vec<CAddr>,
}

impl LedgerEntry {
    /// An entry that was read.
    #[must_use]
    pub fn new(violation: Violation, released: bool, evidence: Vec<CAddr>) -> Self {
        Self {
            recipe: violation.recipe,
            violation: Some(violation),
            damage: None,
            released,
            evidence,
        }
    }

    /// An entry that could not be read.
    #[must_use]
    pub fn damaged(recipe: CAddr, released: bool, damage: impl fmt::Display) -> Self {
        Self {
            recipe,
            violation: None,
            damage: Some(damage.to_string()),
            released,
            evidence: Vec::new(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<String> = self.answers.iter().map(ToString::to_string).collect();
        write!(f, "{} gave {}", self.function, answers.join(", then "))?;
        match &self.difference {
            Some(difference) => write!(f, ", which differ from {difference}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blob;

    #[test]
    fn a_difference_points_at_its_byte_and_its_line() {
        let same = Difference::between(b"same", b"same");
        assert_eq!(same, None);
        let text = Difference::between(b"one\ntwo\nthree", b"one\ntwo\nthrew").unwrap();
        assert_eq!((text.offset, text.line, text.from), (12, Some(3), 4));
        assert_eq!(text.text, ["two.three", "two.threw"]);
        assert_eq!(text.hex[0], "74776f0a7468726565");
        let longer = Difference::between(b"", b"x").unwrap();
        assert_eq!((longer.offset, longer.line), (0, Some(1)));
        assert_eq!(longer.text, ["", "x"]);
        let binary = Difference::between(&[0xff, 1, 2], &[0xff, 1, 3]).unwrap();
        assert_eq!((binary.offset, binary.line), (2, None));
        // Within a character of two bytes.
        let within = Difference::between("\u{e9}".as_bytes(), "\u{e8}".as_bytes()).unwrap();
        assert_eq!((within.offset, within.line), (1, Some(1)));
    }

    #[test]
    fn an_error_names_all_that_was_seen_and_has_it_as_its_source() {
        let (one, other) = (Blob::new("one"), Blob::new("other"));
        let answers = vec![
            Answer::output(one.addr(), one.len()),
            Answer::output(other.addr(), other.len()),
            Answer::failure("it panicked"),
        ];
        let recipe = CAddr::of_blob(b"recipe");
        let mut violation = Violation::new(recipe, recipe, "f/1".parse().unwrap(), answers);
        violation.difference = Difference::between(one.bytes(), other.bytes());
        let error = violation.clone().into_error();
        assert_eq!(error.kind(), ErrorKind::Nondeterministic);
        let text = error.to_string();
        for part in [
            &one.addr().to_string(),
            "(5 B)",
            "it panicked",
            "byte 1, line 1",
            "f/1",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let source = std::error::Error::source(&error);
        let source = source.and_then(|it| it.downcast_ref::<Violation>());
        assert_eq!(source, Some(&violation));
    }

    #[test]
    fn what_is_found_again_adds_up() {
        let addr = |n: u8| CAddr::of_blob(&[n]);
        let seen = |answers| Violation::new(addr(0), addr(0), "f/1".parse().unwrap(), answers);
        let mut first = seen(vec![Answer::output(addr(1), 1), Answer::output(addr(2), 1)]);
        first.accepted = Some(addr(1));
        let mut later = seen(vec![Answer::output(addr(2), 1), Answer::output(addr(3), 1)]);
        (later.at_millis, later.found_by) = (7, FoundBy::Audit);
        first.merge(later);
        let runs: Vec<u64> = first.answers.iter().map(|answer| answer.runs).collect();
        assert_eq!((runs, first.times, first.at_millis), (vec![1, 2, 1], 2, 7));
        assert_eq!((first.accepted, first.found_by), (None, FoundBy::Audit));
        for n in 0..200 {
            first.merge(seen(vec![Answer::output(addr(n), 1)]));
        }
        assert_eq!(first.answers.len(), Violation::MAX_ANSWERS);
    }
}
