//! The status around an error.

use std::time::Duration;

use deriva_api::{Error, ErrorKind};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::errors::bound::{bounded, cut};
use crate::errors::foreign;
use crate::fields::number;
use crate::v1;

/// When a call may be made again, unless somebody knows better.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Bytes of the message beside the detail.
const MAX_LINE: usize = 512;

const DETAIL: &str = "type.googleapis.com/deriva.v1.ErrorDetail";
const RETRY: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Each kind with its code.
const CODES: [(ErrorKind, Code); 13] = [
    (ErrorKind::NotFound, Code::NotFound),
    (ErrorKind::Invalid, Code::InvalidArgument),
    (ErrorKind::Unsupported, Code::Unimplemented),
    (ErrorKind::Conflict, Code::FailedPrecondition),
    (ErrorKind::Locked, Code::Aborted),
    (ErrorKind::Corrupt, Code::DataLoss),
    (ErrorKind::Full, Code::ResourceExhausted),
    (ErrorKind::Unavailable, Code::Unavailable),
    (ErrorKind::Timeout, Code::DeadlineExceeded),
    (ErrorKind::Cancelled, Code::Cancelled),
    (ErrorKind::Nondeterministic, Code::AlreadyExists),
    (ErrorKind::Function, Code::Unknown),
    (ErrorKind::Internal, Code::Internal),
];

/// The code of a kind. No two kinds share one; a kind of a later version of the contracts is [`Code::Internal`].
#[must_use]
pub fn code_of(kind: ErrorKind) -> Code {
    let found = CODES.iter().find(|(known, _)| *known == kind);
    found.map_or(Code::Internal, |(_, code)| *code)
}

/// The kind of a code; none for those that say nothing of a deriva: [`Code::Ok`], [`Code::OutOfRange`],
/// [`Code::Unauthenticated`] and [`Code::PermissionDenied`].
#[must_use]
pub fn kind_of(code: Code) -> Option<ErrorKind> {
    let found = CODES.iter().find(|(_, known)| *known == code);
    found.map(|(kind, _)| *kind)
}

/// An error as the answer to a call. Where it [is retryable](Error::is_retryable), it says so, after [`RETRY_AFTER`].
///
/// All of it comes back from [`error_of`], causes as text; but what does not fit into a header is cut, and says so.
///
/// ```
/// use deriva_api::{Error, ErrorKind};
/// use deriva_proto::{error_of, retry_after, status_of};
///
/// let error = Error::new(ErrorKind::Full, "no space is left").during("put").with("store", "sled:./data").hint("make room");
/// let status = status_of(&error);
/// assert_eq!((status.code(), retry_after(&status)), (tonic::Code::ResourceExhausted, None));
/// assert_eq!(status.message(), "full: no space is left (during put; store=sled:./data); next: make room");
/// assert_eq!(format!("{:#}", error_of(status)), format!("{error:#}"));
/// ```
#[must_use]
pub fn status_of(error: &Error) -> Status {
    status(error, error.is_retryable().then_some(RETRY_AFTER))
}

/// As [`status_of`], for an error after which the same call may succeed at that time, whatever its kind: where a server
/// has too much to do, for instance.
#[must_use]
pub fn status_with_retry(error: &Error, after: Duration) -> Status {
    status(error, Some(after))
}

fn status(error: &Error, retry_after: Option<Duration>) -> Status {
    let code = code_of(error.kind());
    let message = cut(line(error), MAX_LINE);
    let mut details = vec![Any {
        type_url: DETAIL.to_owned(),
        value: bounded(error.into()).encode_to_vec(),
    }];
    details.extend(retry_after.map(|after| Any {
        type_url: RETRY.to_owned(),
        value: retry_info(after).encode_to_vec(),
    }));
    let answer = pb::Status {
        code: code.into(),
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, answer.encode_to_vec().into())
}

/// What is told to clients that do not know the detail.
fn line(error: &Error) -> String {
    match error.advice() {
        Some(hint) => format!("{error}; next: {hint}"),
        None => error.to_string(),
    }
}

fn retry_info(after: Duration) -> pb::RetryInfo {
    let retry_delay = Some(prost_types::Duration {
        seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        nanos: after.subsec_nanos() as i32,
    });
    pb::RetryInfo { retry_delay }
}

/// The error that a status stands for. One that has no detail of deriva's, as it comes from a proxy, from the library, or
/// from the server's own door, is told as what it most likely means, with advice.
#[must_use]
pub fn error_of(status: Status) -> Error {
    let Some(mut detail) = detail::<v1::ErrorDetail>(&status, "/deriva.v1.ErrorDetail") else {
        return foreign::error_of(&status);
    };
    if number::<v1::ErrorKind, ErrorKind>("ErrorDetail.kind", detail.kind).is_err() {
        let kind = kind_of(status.code()).unwrap_or(ErrorKind::Internal);
        detail.kind = v1::ErrorKind::from(kind).into();
    }
    detail.into()
}

/// When the same call may be made again, where the status says that it may.
#[must_use]
pub fn retry_after(status: &Status) -> Option<Duration> {
    let retry = detail::<pb::RetryInfo>(status, "/google.rpc.RetryInfo")?;
    let delay = retry.retry_delay.unwrap_or_default();
    // Nobody can wait for a negative time.
    Some(Duration::new(
        u64::try_from(delay.seconds).unwrap_or(0),
        u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999),
    ))
}

/// The first detail of a type.
fn detail<M: Message + Default>(status: &Status, name: &str) -> Option<M> {
    let all = pb::Status::decode(status.details()).ok()?.details;
    let found = all.into_iter().find(|any| any.type_url.ends_with(name))?;
    M::decode(&*found.value).ok()
}
