//! The child that looks at disk states: what it is asked and what it answers.
//!
//! It looks at one state after the other, each a line on its input. What it tells of each: that it is open,
//! and the verdict. After a panic it ends, for nothing is known of the process's own state any more.

use std::io::BufRead;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::str::FromStr;

use deriva_api::Result;
use futures::executor::block_on;

use super::history::Progresses;
use super::look::look;
use super::perform::Items;
use super::scenario::Scenario;
use crate::proof::program::tell;
use crate::proof::store::Provable;

/// The job's word.
pub(crate) const WORD: &str = "power-check";
/// What it tells when the store is open.
pub(super) const OPENED: &str = "opened";

/// What became of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything that had to be there was, and the store went on.
    Ok,
    /// It did not open.
    Refused,
    /// Something acknowledged was not there.
    Lost,
    /// Something was there that should not be, or the store did not go on.
    Wrong,
    /// It did not answer.
    Hung,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Refused, Self::Lost, Self::Wrong, Self::Hung];

    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Wrong => "wrong",
            Self::Hung => "hung",
        }
    }
}

/// A state to be looked at: where it lies, and what had happened.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) scenario: Scenario,
    /// The process was killed and the power stayed.
    pub(super) killed: bool,
    pub(super) progresses: Progresses,
    pub(super) place: PathBuf,
}

/// What the child answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// Whether everything acknowledged was there, also what need not be.
    pub(super) all: bool,
    /// Blobs that need not be there and were there in part, until they were put again.
    pub(super) torn: usize,
    pub(super) why: String,
}

impl Question {
    pub(super) fn to_line(&self) -> String {
        let Self {
            scenario,
            killed,
            progresses,
            place,
        } = self;
        format!("{scenario} {killed} {progresses} {}", place.display())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        Some(Self {
            scenario: words.next()?.parse().ok()?,
            killed: words.next()?.parse().ok()?,
            progresses: words.next()?.parse().ok()?,
            place: words.next()?.into(),
        })
    }
}

impl Answer {
    pub(super) fn of(verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            verdict,
            all: false,
            torn: 0,
            why: why.into().replace('\n', " "),
        }
    }

    fn to_line(&self) -> String {
        let Self {
            verdict,
            all,
            torn,
            why,
        } = self;
        format!("verdict {} {all} {torn} {why}", verdict.name())
    }
}

impl FromStr for Answer {
    type Err = ();

    fn from_str(line: &str) -> std::result::Result<Self, ()> {
        let mut words = line.strip_prefix("verdict ").ok_or(())?.splitn(4, ' ');
        let mut word = || words.next().ok_or(());
        let name = word()?;
        let known = Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.name() == name);
        Ok(Self {
            verdict: known.ok_or(())?,
            all: word()? == "true",
            torn: word()?.parse().map_err(drop)?,
            why: word()?.to_owned(),
        })
    }
}

pub(crate) fn run(store: &dyn Provable) -> Result<()> {
    let mut items = Items::default();
    let lines = std::io::stdin().lock().lines();
    for line in lines.map_while(std::result::Result::ok) {
        let Some(question) = Question::parse(&line) else {
            continue;
        };
        let looked = AssertUnwindSafe(|| block_on(look(store, &question, &mut items)));
        match std::panic::catch_unwind(looked) {
            Ok(Ok(answer) | Err(answer)) => tell(&answer.to_line()),
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_lines() {
        let question = Question {
            scenario: Scenario::AfterKill,
            killed: true,
            progresses: "0.0:1/1/2/3,1.0:0/0/0/1".parse().unwrap(),
            place: "/tmp/with a blank/store".into(),
        };
        let read = Question::parse(&question.to_line()).unwrap();
        assert_eq!(read.to_line(), question.to_line());
        let answer = Answer {
            all: true,
            torn: 2,
            ..Answer::of(Verdict::Lost, "blob a\nis gone")
        };
        let read: Answer = answer.to_line().parse().unwrap();
        assert_eq!(read, answer);
        assert_eq!(read.why, "blob a is gone");
        assert!("opened".parse::<Answer>().is_err());
    }
}
