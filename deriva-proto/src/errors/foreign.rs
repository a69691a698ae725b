//! What a status means that has no detail of deriva's.

use std::error::Error as StdError;

use deriva_api::{Error, ErrorKind};
use tonic::{Code, Status, TimeoutExpired};

use crate::errors::bound::cut;
use crate::errors::detail::{chain, told};
use crate::errors::status::{kind_of, retry_after};

/// Bytes of what it says that are passed on.
const MAX_SAID: usize = 1024;

/// What is told of it.
type Meaning = (ErrorKind, &'static str, Option<&'static str>);

pub(super) fn error_of(status: &Status) -> Error {
    let (kind, message, hint) = meaning(status);
    let mut error = Error::new(kind, message).with("code", format!("{:?}", status.code()));
    if !status.message().is_empty() {
        error = error.with("said", cut(status.message().to_owned(), MAX_SAID));
    }
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    match status.source() {
        Some(source) => error.caused_by(told(source)),
        None => error,
    }
}

fn meaning(status: &Status) -> Meaning {
    match status.code() {
        Code::Unauthenticated => (
            ErrorKind::Invalid,
            "the server does not know who asks",
            Some("give a token that the server knows and that has not expired"),
        ),
        Code::PermissionDenied => (
            ErrorKind::Invalid,
            "who asks may not do that",
            Some("use a token of a role that may"),
        ),
        Code::Unavailable => (
            ErrorKind::Unavailable,
            "the server cannot be reached, or is about to stop",
            Some(
                "see that a server runs at that address, and that nothing between keeps connections away",
            ),
        ),
        Code::Cancelled if is_timeout(status) => timeout(),
        // The library says so, in one way or another, of a connection that broke; nobody else has a source here.
        Code::Unknown | Code::Internal | Code::Cancelled | Code::ResourceExhausted
            if status.source().is_some() =>
        {
            (
                ErrorKind::Unavailable,
                "the connection to the server broke",
                Some(
                    "see that the address is that of a deriva server, and how both ends speak: with TLS, or without",
                ),
            )
        }
        Code::Unknown | Code::Internal => (
            ErrorKind::Internal,
            "the answer is none that a deriva server gives",
            Some(
                "see that the address is that of a deriva server, and how both ends speak: with TLS, or without",
            ),
        ),
        Code::ResourceExhausted if retry_after(status).is_some() => (
            ErrorKind::Unavailable,
            "the server has too much to do",
            None,
        ),
        Code::ResourceExhausted => (
            ErrorKind::Full,
            "a limit of the server is reached",
            Some("send less in one message and fewer calls at once, or try later"),
        ),
        Code::OutOfRange => (
            ErrorKind::Invalid,
            "a message is longer than the one who receives it allows",
            Some("send or ask for less at once, or raise the limit"),
        ),
        Code::Unimplemented => (
            ErrorKind::Unsupported,
            "the server does not have this call",
            Some("see that the address is that of a deriva server, and which version it has"),
        ),
        Code::DeadlineExceeded => timeout(),
        code => (
            kind_of(code).unwrap_or(ErrorKind::Internal),
            "the call failed, and nothing more was told",
            None,
        ),
    }
}

fn timeout() -> Meaning {
    let hint = "allow more time: what was computed until then stays recorded";
    (
        ErrorKind::Timeout,
        "it took longer than allowed",
        Some(hint),
    )
}

/// The library tells a deadline that passed as a call that was cancelled.
fn is_timeout(status: &Status) -> bool {
    chain(status.source()).any(|source| source.is::<TimeoutExpired>())
        || status.message() == TimeoutExpired(()).to_string()
}
