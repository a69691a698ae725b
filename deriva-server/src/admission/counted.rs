//! How calls are counted: by method, and by the code that they end with.

use deriva::metrics::ServedCall;
use http::HeaderMap;
use tonic::Code;

/// A call that is counted, where anything is.
#[derive(Debug)]
pub(super) struct Counted(pub(super) Option<ServedCall>);

impl Counted {
    /// The call ends with this code.
    pub(super) fn ends(&mut self, code: Code) {
        if let Some(call) = &mut self.0 {
            call.ends(label(code));
        }
    }

    /// The call ends as these headers or trailers say, if they do.
    pub(super) fn told(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.ends(Code::from_bytes(status.as_bytes()));
        }
    }
}

/// The label of a code.
fn label(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
