//! Computations whose runs did not give the same, and the ledger of them.

use deriva_api::{Answer, Difference, Error, FoundBy, LedgerEntry, Result, Violation};

use crate::fields::{
    addr_of, addrs_of, bytes_of, bytes_of_all, invalid, maybe_addr_of, number, numbers, required,
    same,
};
use crate::v1;
use crate::v1::violation::Excerpt;

numbers!(FoundBy = FoundBy: Request, Sample, Audit, Healing, Record);

impl From<&Violation> for v1::Violation {
    fn from(violation: &Violation) -> Self {
        Self {
            recipe: bytes_of(violation.recipe),
            resolved: bytes_of(violation.resolved),
            function: Some((&violation.function).into()),
            answers: violation.answers.iter().map(Into::into).collect(),
            accepted: violation.accepted.map(bytes_of),
            found_by: v1::FoundBy::from(violation.found_by).into(),
            perturbed: violation.perturbed,
            at_millis: violation.at_millis,
            times: violation.times,
            difference: violation.difference.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Violation> for Violation {
    type Error = Error;

    fn try_from(found: v1::Violation) -> Result<Self> {
        let answers = found.answers.into_iter().map(Answer::try_from);
        let mut violation = Self::new(
            addr_of("Violation.recipe", &found.recipe)?,
            addr_of("Violation.resolved", &found.resolved)?,
            required("Violation.function", found.function)?.try_into()?,
            answers.collect::<Result<_>>()?,
        );
        violation.accepted = maybe_addr_of("Violation.accepted", found.accepted.as_ref())?;
        violation.found_by = number::<v1::FoundBy, _>("Violation.found_by", found.found_by)?;
        violation.difference = found.difference.map(Difference::try_from).transpose()?;
        same!(found -> violation: perturbed, at_millis, times);
        Ok(violation)
    }
}

impl From<&Answer> for v1::Answer {
    fn from(answer: &Answer) -> Self {
        Self {
            addr: answer.addr.map(bytes_of),
            len: answer.len,
            error: answer.error.clone(),
            runs: answer.runs,
        }
    }
}

impl TryFrom<v1::Answer> for Answer {
    type Error = Error;

    fn try_from(found: v1::Answer) -> Result<Self> {
        let mut answer = Self::failure("");
        answer.addr = maybe_addr_of("Answer.addr", found.addr.as_ref())?;
        same!(found -> answer: len, error, runs);
        Ok(answer)
    }
}

impl From<&Difference> for v1::violation::Difference {
    fn from(difference: &Difference) -> Self {
        let excerpt = |of: usize| {
            Some(Excerpt {
                hex: difference.hex[of].clone(),
                text: difference.text[of].clone(),
            })
        };
        Self {
            offset: difference.offset,
            line: difference.line,
            excerpts_at: difference.from,
            first: excerpt(0),
            second: excerpt(1),
        }
    }
}

impl TryFrom<v1::violation::Difference> for Difference {
    type Error = Error;

    fn try_from(found: v1::violation::Difference) -> Result<Self> {
        let first = required("Violation.Difference.first", found.first)?;
        let second = required("Violation.Difference.second", found.second)?;
        let mut difference = Self::default();
        same!(found -> difference: offset, line);
        difference.from = found.excerpts_at;
        difference.hex = [first.hex, second.hex];
        difference.text = [first.text, second.text];
        Ok(difference)
    }
}

impl From<&LedgerEntry> for v1::LedgerEntry {
    fn from(entry: &LedgerEntry) -> Self {
        Self {
            recipe: bytes_of(entry.recipe),
            released: entry.released,
            violation: entry.violation.as_ref().map(Into::into),
            evidence: bytes_of_all(&entry.evidence),
            damage: entry.damage.clone(),
        }
    }
}

impl TryFrom<v1::LedgerEntry> for LedgerEntry {
    type Error = Error;

    /// A violation that only a later version can read makes an entry that says so, as a damaged one would: that there is one
    /// is the most important thing to know of it.
    fn try_from(found: v1::LedgerEntry) -> Result<Self> {
        let recipe = addr_of("LedgerEntry.recipe", &found.recipe)?;
        let mut entry = Self::damaged(recipe, found.released, "");
        entry.damage = found.damage;
        entry.evidence = addrs_of("LedgerEntry.evidence", &found.evidence)?;
        match found.violation.map(Violation::try_from).transpose() {
            Ok(violation) => entry.violation = violation,
            Err(error) => entry.damage = Some(error.to_string()),
        }
        Ok(entry)
    }
}
