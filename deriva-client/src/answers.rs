//! Answers of a server, which are not trusted.

use std::fmt::Display;

use deriva_api::{CAddr, Error, ErrorKind, Result};

/// An answer that is not what was asked for.
pub(crate) fn was(expected: impl Display, found: impl Display) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the server's answer is not what was asked for",
    )
    .with("expected", expected)
    .with("found", found)
    .hint("see that the address is that of a deriva server, and which version it has")
}

/// An answer that is damaged: other bytes, or something else said of them.
pub(crate) fn damaged(what: &'static str, addr: CAddr) -> Error {
    Error::new(ErrorKind::Corrupt, what).with("addr", addr)
}

/// What was read from a message. What is wrong with it is the server's mistake, not the caller's.
pub(crate) fn told<T>(read: Result<T>) -> Result<T> {
    read.map_err(|error| match error.kind() {
        ErrorKind::Invalid => {
            let what = "the server's answer cannot be understood";
            Error::new(ErrorKind::Internal, what)
                .caused_by(error)
                .hint("see that the address is that of a deriva server, and which version it has")
        }
        _ => error,
    })
}

/// One answer for each that was asked for.
pub(crate) fn as_many(asked: usize, answers: usize) -> Result<()> {
    match asked == answers {
        true => Ok(()),
        false => Err(was(
            format_args!("{asked} answers"),
            format_args!("{answers}"),
        )),
    }
}

/// An address that was expected in this place.
pub(crate) fn same(expected: CAddr, found: CAddr) -> Result<()> {
    match expected == found {
        true => Ok(()),
        false => Err(was(expected, found)),
    }
}

/// Those of `asked` that were answered with, which come in the same order.
pub(crate) fn some_of(asked: &[CAddr], found: &[CAddr]) -> Result<()> {
    let mut left = asked.iter();
    for addr in found {
        if !left.any(|asked| asked == addr) {
            return Err(was("addresses that were asked for, in their order", addr));
        }
    }
    Ok(())
}

/// The answer to a call, or what is wrong with it.
pub(crate) fn checked<T>(operation: &'static str, answer: impl FnOnce() -> Result<T>) -> Result<T> {
    answer().map_err(|error| error.during(operation))
}
