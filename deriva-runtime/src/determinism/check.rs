//! How a computation is checked, and what its runs gave.

use std::time::Duration;

use deriva_api::{
    Answer, CAddr, Determinism, Error, ErrorKind, FoundBy, Operand, Output, Result, is_sampled,
};

/// How a computation is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Check {
    /// Runs that must agree.
    pub(crate) agree: u32,
    /// Runs at the most.
    pub(crate) of: u32,
    pub(crate) perturb: bool,
    pub(crate) found_by: FoundBy,
    /// What was computed before, and counts as the first run.
    pub(crate) prior: Option<Output>,
}

impl Check {
    /// How a mode checks; `None` where it leaves the computation of this resolved address out.
    pub(crate) fn of(
        mode: Determinism,
        perturb: bool,
        key: &[u8; 32],
        resolved: impl FnOnce() -> Result<CAddr>,
    ) -> Result<Option<Self>> {
        let found_by = match mode {
            mode if mode.is_off() => return Ok(None),
            Determinism::Sampled { rate } if !is_sampled(rate, key, resolved()?) => {
                return Ok(None);
            }
            Determinism::Sampled { .. } => FoundBy::Sample,
            _ => FoundBy::Request,
        };
        Ok(Some(Self {
            agree: mode.agree(),
            of: mode.of(),
            perturb,
            found_by,
            prior: None,
        }))
    }
}

/// What the runs of a computation gave so far.
#[derive(Debug)]
pub(crate) struct Tally {
    check: Check,
    seen: Vec<Seen>,
    runs: u32,
}

#[derive(Debug)]
struct Seen {
    answer: Answer,
    /// Of the first answers only, as long as there may be need of it.
    output: Option<(Operand, Duration)>,
    error: Option<Error>,
}

/// Whether there must be more runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This number of them, which may go on at the same time.
    More(u32),
    /// Enough of them agree.
    Agreed,
    /// No answer can win any more.
    Split,
}

/// What came of a check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What the runs agreed on; where they did not, the first output that is at hand, or the first error.
    pub(crate) result: Result<(Operand, Duration)>,
    /// What was seen, where not all of it was the same.
    pub(crate) dissent: Option<Box<Dissent>>,
}

/// Runs that did not give the same.
#[derive(Debug)]
pub(crate) struct Dissent {
    pub(crate) check: Check,
    pub(crate) answers: Vec<Answer>,
    /// The first two different outputs, where there are as many.
    pub(crate) outputs: Vec<Operand>,
    /// Whether the runs agreed on the result in spite of it.
    pub(crate) agreed: bool,
}

/// Outputs that are kept, to show how they differ.
const KEPT: usize = 2;

impl Tally {
    pub(crate) fn new(check: Check) -> Self {
        let mut tally = Self {
            check,
            seen: Vec::new(),
            runs: 0,
        };
        if let Some(Output { addr, len, .. }) = check.prior {
            let answer = Answer::output(addr, len);
            tally.seen(answer, None, None);
        }
        tally
    }

    /// The runs so far, with what counts as one.
    pub(crate) fn runs(&self) -> u32 {
        self.runs
    }

    /// Takes in what a run gave.
    ///
    /// # Errors
    /// What is no answer of the function: that ends the check.
    pub(crate) fn add(&mut self, run: Result<(Operand, Duration)>) -> Result<()> {
        match run {
            Ok((output, cost)) => {
                let stat = output.stat();
                let answer = Answer::output(stat.addr, stat.len);
                self.seen(answer, Some((output, cost)), None);
            }
            Err(error) if is_an_answer(&error) => {
                self.seen(Answer::failure(&error), None, Some(error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn seen(&mut self, answer: Answer, output: Option<(Operand, Duration)>, error: Option<Error>) {
        self.runs += 1;
        let kept = self.seen.len() < KEPT;
        match self.seen.iter_mut().find(|it| it.answer.is_like(&answer)) {
            Some(known) => {
                known.answer.runs += 1;
                // What was computed before is not at hand.
                known.output = known.output.take().or(output);
            }
            None => self.seen.push(Seen {
                answer,
                output: output.filter(|_| kept || self.check.agree > 2),
                error,
            }),
        }
    }

    fn most(&self) -> u64 {
        let runs = self.seen.iter().map(|seen| seen.answer.runs);
        runs.max().unwrap_or(0)
    }

    pub(crate) fn standing(&self) -> Standing {
        let lacking = u64::from(self.check.agree).saturating_sub(self.most());
        let left = self.check.of.saturating_sub(self.runs);
        match lacking {
            0 => Standing::Agreed,
            lacking if lacking <= u64::from(left) => Standing::More(lacking as u32),
            _ => Standing::Split,
        }
    }

    /// What came of it.
    pub(crate) fn finish(mut self) -> Checked {
        let none = || Error::new(ErrorKind::Internal, "a check ended without a run");
        if self.seen.len() <= 1 {
            let seen = self.seen.pop().map(|seen| (seen.output, seen.error));
            let (output, error) = seen.unwrap_or_default();
            return Checked {
                result: output.ok_or_else(|| error.unwrap_or_else(none)),
                dissent: None,
            };
        }
        let agreed = self.standing() == Standing::Agreed;
        let most = self.most();
        let answers = self.seen.iter().map(|seen| seen.answer.clone()).collect();
        let outputs = self.seen.iter().filter_map(|seen| seen.output.as_ref());
        let outputs = outputs
            .take(KEPT)
            .map(|(output, _)| output.clone())
            .collect();
        let wins = |seen: &&Seen| match agreed {
            true => seen.answer.runs == most,
            false => seen.output.is_some(),
        };
        let mut error = self.seen.iter().find_map(|seen| seen.error.clone());
        let winner = self.seen.iter().find(wins);
        let result = winner.and_then(|seen| seen.output.clone());
        if let Some(seen) = winner.filter(|_| agreed) {
            error = seen.error.clone();
        }
        Checked {
            result: result.ok_or_else(|| error.unwrap_or_else(none)),
            dissent: Some(Box::new(Dissent {
                check: self.check,
                answers,
                outputs,
                agreed,
            })),
        }
    }
}

/// Whether an error is what the function answered, and not what became of the attempt to run it.
fn is_an_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Function | ErrorKind::Invalid)
}

#[cfg(test)]
mod tests {
    use deriva_api::Blob;

    use super::*;

    fn check(agree: u32, of: u32) -> Check {
        Check {
            agree,
            of,
            perturb: true,
            found_by: FoundBy::Request,
            prior: None,
        }
    }

    fn gave(text: &'static str) -> Result<(Operand, Duration)> {
        Ok((Operand::Held(Blob::new(text)), Duration::ZERO))
    }

    fn failed(text: &'static str) -> Result<(Operand, Duration)> {
        Err(Error::new(ErrorKind::Function, text))
    }

    /// Runs these in order as long as more are wanted; answers with how many there were.
    fn judge(check: Check, runs: &[&'static str]) -> (usize, Checked) {
        let (mut tally, mut runs) = (Tally::new(check), runs.iter());
        let mut used = 0;
        while let Standing::More(more) = tally.standing() {
            for _ in 0..more {
                used += 1;
                tally
                    .add(gave(runs.next().expect("too many runs")))
                    .unwrap();
            }
        }
        (used, tally.finish())
    }

    fn text(checked: &Checked) -> &[u8] {
        match &checked.result {
            Ok((Operand::Held(blob), _)) => blob.bytes(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_that_agree_are_enough() {
        let (used, checked) = judge(check(2, 2), &["a", "a"]);
        assert_eq!((used, text(&checked)), (2, &b"a"[..]));
        assert!(checked.dissent.is_none());
    }

    #[test]
    fn two_that_differ_are_a_dissent_and_the_first_is_at_hand() {
        let (used, checked) = judge(check(2, 2), &["a", "b"]);
        assert_eq!((used, text(&checked)), (2, &b"a"[..]));
        let dissent = checked.dissent.unwrap();
        assert_eq!((dissent.answers.len(), dissent.outputs.len()), (2, 2));
        assert!(!dissent.agreed);
    }

    #[test]
    fn a_quorum_runs_no_more_often_than_it_must_and_its_output_wins() {
        let (used, checked) = judge(check(2, 3), &["a", "a"]);
        assert_eq!((used, checked.dissent.is_none()), (2, true));
        let (used, checked) = judge(check(2, 3), &["a", "b", "b"]);
        assert_eq!((used, text(&checked)), (3, &b"b"[..]));
        assert!(checked.dissent.unwrap().agreed);
        let (used, checked) = judge(check(2, 3), &["a", "b", "c"]);
        assert_eq!((used, checked.dissent.unwrap().agreed), (3, false));
        let (used, checked) = judge(check(3, 5), &["a", "b", "c", "c", "c"]);
        assert_eq!((used, text(&checked)), (5, &b"c"[..]));
        // Three of five cannot agree any more after two and two.
        let (used, checked) = judge(check(3, 4), &["a", "b", "a", "b"]);
        let dissent = checked.dissent.unwrap();
        assert_eq!((used, dissent.agreed), (4, false));
        assert_eq!(dissent.answers.len(), 2);
    }

    #[test]
    fn what_was_computed_before_counts_as_a_run() {
        let blob = Blob::new("a");
        let prior = Output {
            addr: blob.addr(),
            len: blob.len(),
            cost: Duration::ZERO,
        };
        let with = |check| Check {
            prior: Some(prior),
            ..check
        };
        let (used, checked) = judge(with(check(2, 2)), &["a"]);
        assert_eq!((used, text(&checked)), (1, &b"a"[..]));
        let (used, checked) = judge(with(check(2, 2)), &["b"]);
        assert_eq!((used, text(&checked)), (1, &b"b"[..]));
        let dissent = checked.dissent.unwrap();
        assert_eq!(dissent.answers[0].addr, Some(blob.addr()));
    }

    #[test]
    fn to_fail_is_an_answer_and_to_be_interrupted_is_none() {
        let mut tally = Tally::new(check(2, 2));
        tally.add(failed("broken")).unwrap();
        tally.add(failed("broken in other words")).unwrap();
        let checked = tally.finish();
        assert!(checked.dissent.is_none());
        assert_eq!(checked.result.unwrap_err().message(), "broken");
        let mut tally = Tally::new(check(2, 2));
        tally.add(gave("a")).unwrap();
        tally.add(failed("the second time")).unwrap();
        let checked = tally.finish();
        assert_eq!(text(&checked), b"a");
        let answers = checked.dissent.unwrap().answers;
        assert!(
            answers[1]
                .error
                .as_ref()
                .unwrap()
                .contains("the second time")
        );
        let mut tally = Tally::new(check(2, 2));
        let late = Error::new(ErrorKind::Timeout, "late");
        assert_eq!(tally.add(Err(late)).unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[test]
    fn a_sample_is_decided_by_the_resolved_address_alone() {
        let key = [1; 32];
        let of = |rate, n: u32| {
            let mode = Determinism::Sampled { rate };
            let resolved = || Ok(CAddr::of_blob(&n.to_le_bytes()));
            Check::of(mode, true, &key, resolved).unwrap()
        };
        assert!((0..1000).all(|n| of(0.0, n).is_none() && of(1.0, n).is_some()));
        let chosen = (0..1000).filter(|n| of(0.3, *n).is_some()).count();
        assert!((240..360).contains(&chosen), "{chosen}");
        assert_eq!(of(1.0, 1).unwrap().found_by, FoundBy::Sample);
        let unasked = || unreachable!("nothing is resolved for nothing");
        assert_eq!(
            Check::of(Determinism::Off, true, &key, unasked).unwrap(),
            None
        );
    }
}
