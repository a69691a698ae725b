//! An error as a message.

use std::error::Error as StdError;
use std::fmt;

use deriva_api::{CAddr, Error, ErrorKind, Result, Violation};

use crate::errors::bound::without_middle;
use crate::fields::{bytes_of_all, invalid, number, numbers};
use crate::v1;
use crate::v1::ErrorDetail;
use crate::v1::error_detail::cause::What;
use crate::v1::error_detail::{Cause, Context};

/// Addresses of the path of one error: a graph may be a million recipes deep.
const MAX_PATH: usize = 1000;
/// Context pairs of one error.
const MAX_CONTEXT: usize = 64;
/// Causes of one error.
const MAX_CAUSES: usize = 16;

numbers!(ErrorKind = ErrorKind: NotFound, Invalid, Unsupported, Conflict, Locked, Corrupt, Full, Unavailable, Timeout, Cancelled,
    Nondeterministic, Function, Internal);

impl From<&Error> for ErrorDetail {
    fn from(error: &Error) -> Self {
        Self {
            causes: causes(error),
            ..alone(error)
        }
    }
}

/// An error without its causes.
fn alone(error: &Error) -> ErrorDetail {
    let context = error.contexts().take(MAX_CONTEXT);
    let context = context.map(|(key, value)| Context {
        key: key.to_owned(),
        value: value.to_owned(),
    });
    let (path, path_left_out) = without_middle(error.path().to_vec(), MAX_PATH);
    ErrorDetail {
        kind: v1::ErrorKind::from(error.kind()).into(),
        message: error.message().to_owned(),
        operation: error.operation().map(str::to_owned),
        context: context.collect(),
        hint: error.advice().map(str::to_owned),
        path: bytes_of_all(&path),
        path_left_out,
        causes: Vec::new(),
    }
}

fn causes(error: &Error) -> Vec<Cause> {
    let all = chain(StdError::source(error));
    let mut causes: Vec<Cause> = all.take(MAX_CAUSES).map(cause).collect();
    let ends = causes
        .iter()
        .position(|cause| matches!(cause.what, Some(What::Violation(_))));
    causes.truncate(ends.map_or(MAX_CAUSES, |last| last + 1));
    causes
}

/// A cause, its cause, and so on.
pub(super) fn chain<'a>(
    first: Option<&'a (dyn StdError + 'static)>,
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(first, |cause: &&'a (dyn StdError + 'static)| {
        let cause: &'a (dyn StdError + 'static) = *cause;
        cause.source()
    })
}

fn cause(cause: &(dyn StdError + 'static)) -> Cause {
    let what = if let Some(error) = cause.downcast_ref::<Error>() {
        What::Error(alone(error))
    } else if let Some(violation) = cause.downcast_ref::<Violation>() {
        What::Violation(violation.into())
    } else {
        What::Text(cause.to_string())
    };
    Cause { what: Some(what) }
}

impl From<ErrorDetail> for Error {
    /// Of a detail that is not as it should be nothing is an error of its own, as it stands for one already: a kind that only a
    /// later version knows is [`ErrorKind::Internal`], and what is no address is left out of the path.
    fn from(mut detail: ErrorDetail) -> Self {
        let mut source = None;
        for cause in std::mem::take(&mut detail.causes)
            .into_iter()
            .take(MAX_CAUSES)
            .rev()
        {
            source = Some(read_cause(cause, source));
        }
        let error = read_alone(detail);
        match source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

fn read_alone(detail: ErrorDetail) -> Error {
    let kind = number::<v1::ErrorKind, _>("ErrorDetail.kind", detail.kind);
    let mut error = Error::new(kind.unwrap_or(ErrorKind::Internal), detail.message);
    if let Some(operation) = detail.operation {
        error = error.during(operation);
    }
    for Context { key, value } in detail.context.into_iter().take(MAX_CONTEXT) {
        error = error.with(key, value);
    }
    if detail.path_left_out > 0 {
        error = error.with("path_left_out", detail.path_left_out);
    }
    if let Some(hint) = detail.hint {
        error = error.hint(hint);
    }
    let path = detail.path.iter().map(|addr| CAddr::from_slice(addr));
    match path.flatten().collect::<Vec<_>>() {
        path if path.is_empty() => error,
        path => error.along(path),
    }
}

type Source = Box<dyn StdError + Send + Sync>;

fn read_cause(cause: Cause, source: Option<Source>) -> Source {
    let text = match cause.what {
        Some(What::Error(detail)) => {
            let error = read_alone(detail);
            return match source {
                Some(source) => error.caused_by(source).into(),
                None => error.into(),
            };
        }
        Some(What::Violation(violation)) => match Violation::try_from(violation) {
            Ok(violation) => return violation.into(),
            Err(error) => format!("runs differ ({error})"),
        },
        Some(What::Text(text)) => text,
        None => "a cause of a kind that is not known here".to_owned(),
    };
    Box::new(Told { text, source })
}

/// A cause that was told in words.
#[derive(Debug)]
struct Told {
    text: String,
    source: Option<Source>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Told {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// A cause that is told in words, and what caused it.
pub(super) fn told(first: &(dyn StdError + 'static)) -> Source {
    let all = chain(Some(first)).take(MAX_CAUSES);
    let texts: Vec<String> = all.map(ToString::to_string).collect();
    let mut source: Option<Source> = None;
    for text in texts.into_iter().rev() {
        source = Some(Box::new(Told { text, source }));
    }
    source.unwrap_or_else(|| "unknown".into())
}
