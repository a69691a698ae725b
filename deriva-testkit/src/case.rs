//! What a case is, and the macro that defines cases.

use std::fmt;
use std::str::FromStr;

use deriva_api::{Error, ErrorKind, Result};
use futures::future::LocalBoxFuture;

use crate::trial::Trial;
use crate::{ExecutorFixture, Fixture, MaterializerFixture};

/// A promise, and how it is checked.
pub struct Case {
    /// The case's name; no other case has it.
    pub name: &'static str,
    /// The promise that it checks, in words, after its number: `B2: the empty blob is a blob`.
    pub promise: &'static str,
    /// What kind of promise it is.
    pub level: Level,
    /// Whose promise it is.
    pub subject: Subject,
    /// Whether a store that breaks the promise may end the process.
    pub(crate) deadly: bool,
    pub(crate) run: Run,
}

/// How a case is run: on what its subject's fixture opens.
pub(crate) enum Run {
    Store(for<'a> fn(&'a Trial<dyn Fixture>) -> LocalBoxFuture<'a, Result<()>>),
    Executor(for<'a> fn(&'a Trial<dyn ExecutorFixture>) -> LocalBoxFuture<'a, Result<()>>),
    Materializer(for<'a> fn(&'a Trial<dyn MaterializerFixture>) -> LocalBoxFuture<'a, Result<()>>),
}

impl Case {
    /// The promise's number: `B2`.
    #[must_use]
    pub fn number(&self) -> &'static str {
        self.promise
            .split_once(':')
            .map_or("", |(number, _)| number)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} {}): {}",
            self.name, self.subject, self.level, self.promise
        )
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident, $what:literal: $($(#[$doc:meta])* $variant:ident => $word:literal,)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $word,)+
                })
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::new(ErrorKind::Invalid, concat!("there is no such ", $what))
                        .with("given", text)
                        .hint(concat!("known: ", $($word, " "),+))),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What kind of promise a case checks.
    Level, "level":
    /// What each call does, one at a time.
    Core => "core",
    /// Many callers at once.
    Concurrency => "concurrency",
    /// What is there after closing, crashing and damage.
    Durability => "durability",
    /// Faults, and agreement with the model.
    Faults => "faults",
    /// How long things take. These cases report figures and hold whatever the figures are.
    Performance => "performance",
}

words! {
    /// Whose promise a case checks.
    Subject, "subject":
    /// A blob store's.
    Blobs => "blobs",
    /// A DAG store's.
    Dag => "dag",
    /// An executor's.
    Executor => "executor",
    /// A materializer's: a runtime's, over stores and functions.
    Materializer => "materializer",
}

/// Defines the cases of a file, all of one subject and level, and marked `deadly` where a store may end the process
/// in them, so that they get one of their own ([`crate::Suite::apart`]); lists them in `CASES`, and makes the macro
/// `$each` that turns each into a test. Both are needed where files are listed (`cases/mod.rs`), so a
/// case that is written is registered and run.
macro_rules! cases {
    (
        $d:tt $each:ident, $subject:ident, $level:ident $(, $deadly:ident)?:
        $($(#[doc = $promise:literal])+ async fn $name:ident($trial:ident) $body:block)+
    ) => {
        $(
            $(#[doc = $promise])+
            async fn $name($trial: &$crate::case::trial_of!($subject)) -> deriva_api::Result<()> $body
        )+

        const DEADLY: bool = !stringify!($($deadly)?).is_empty();

        /// The cases of this file.
        pub(super) const CASES: &[$crate::Case] = &[$($crate::Case {
            name: stringify!($name),
            promise: concat!($($promise),+).trim_ascii(),
            level: $crate::Level::$level,
            subject: $crate::Subject::$subject,
            deadly: DEADLY,
            run: $crate::case::run_of!($subject, $name),
        }),+];

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $each {
            ($d fixture:expr) => { $($crate::case_test! { $name, $subject, $d fixture })+ };
        }
    };
}
pub(crate) use cases;

macro_rules! trial_of {
    (Executor) => { $crate::trial::Trial<dyn $crate::ExecutorFixture> };
    (Materializer) => { $crate::trial::Trial<dyn $crate::MaterializerFixture> };
    ($store:ident) => { $crate::trial::Trial<dyn $crate::Fixture> };
}
pub(crate) use trial_of;

macro_rules! run_of {
    (Executor, $name:ident) => {
        $crate::case::Run::Executor(|trial| Box::pin($name(trial)))
    };
    (Materializer, $name:ident) => {
        $crate::case::Run::Materializer(|trial| Box::pin($name(trial)))
    };
    ($store:ident, $name:ident) => {
        $crate::case::Run::Store(|trial| Box::pin($name(trial)))
    };
}
pub(crate) use run_of;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_read_back_and_unknown_ones_list_the_known() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse::<Level>().unwrap(), *level);
        }
        let error = "fast".parse::<Level>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.advice().unwrap().contains("durability"));
    }
}
