//! What cases assert with, in place of the macros of the standard library: a failure tells its line, which
//! value is that of what is tested and which the one that was expected, and of lists the first difference.

use std::fmt::{self, Debug};
use std::panic::Location;

use crate::differing::Differing;

/// `assert_eq!(answer, expected)`.
macro_rules! assert_eq {
    ($found:expr, $expected:expr $(,)?) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::cases::asserting::same(found, expected, None),
        }
    };
    ($found:expr, $expected:expr, $($why:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                $crate::cases::asserting::same(found, expected, Some(format_args!($($why)+)));
            }
        }
    };
}

/// `assert!(holds)`.
macro_rules! assert {
    ($holds:expr $(,)?) => {
        if !$holds {
            $crate::cases::asserting::fail(format_args!("not so: {}", stringify!($holds)));
        }
    };
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            $crate::cases::asserting::fail(format_args!(
                "not so: {}: {}", stringify!($holds), format_args!($($why)+)
            ));
        }
    };
}

/// Panics unless the answer is the one that was expected.
#[track_caller]
pub(crate) fn same<A, B>(found: &A, expected: &B, why: Option<fmt::Arguments<'_>>)
where
    A: Debug + PartialEq<B> + ?Sized,
    B: Debug + ?Sized,
{
    same_at(Location::caller(), found, expected, why);
}

/// As [`same`], for what asserts on behalf of another line.
pub(crate) fn same_at<A, B>(
    at: &Location<'_>,
    found: &A,
    expected: &B,
    why: Option<fmt::Arguments<'_>>,
) where
    A: Debug + PartialEq<B> + ?Sized,
    B: Debug + ?Sized,
{
    if found == expected {
        return;
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    let differing = Differing {
        found: ("answered", &found),
        expected: ("expected", &expected),
    };
    match why {
        Some(why) => fail_at(
            at,
            format_args!("another answer than expected: {why}\n{differing}"),
        ),
        None => fail_at(
            at,
            format_args!("another answer than expected\n{differing}"),
        ),
    }
}

/// Panics with the line of the caller.
#[track_caller]
pub(crate) fn fail(what: fmt::Arguments<'_>) -> ! {
    fail_at(Location::caller(), what)
}

#[allow(clippy::panic, reason = "a case fails by a panic")]
fn fail_at(at: &Location<'_>, what: fmt::Arguments<'_>) -> ! {
    panic!("{}:{}: {what}", at.file(), at.line())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    fn told(fails: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = catch_unwind(fails).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn a_failure_tells_its_line_and_who_said_what() {
        let (told, line) = (told(|| assert_eq!(1 + 1, 3, "of {}", "numbers")), line!());
        let expected = format!(
            "{}:{line}: another answer than expected: of numbers\nanswered: 2\nexpected: 3",
            file!()
        );
        std::assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_so_is_quoted() {
        let some = [1];
        let (told, line) = (told(|| assert!(some.is_empty(), "it has {}", 1)), line!());
        let expected = format!("{}:{line}: not so: some.is_empty(): it has 1", file!());
        std::assert_eq!(told, expected);
    }
}
