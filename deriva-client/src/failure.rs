//! Calls that failed, and which of them are made again.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use backon::ExponentialBackoff;
use deriva_api::{Error, ErrorKind, Result};
use deriva_proto::{error_of, retry_after};
use tonic::{Code, Status};

use crate::link::Link;

/// The longest time that a server can make a call wait: who is told to come again later than that is told so.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether another attempt may do better, and the time before which it will not.
    again: Option<Duration>,
    /// Whether the server itself says so. Else it is a library here, or something between.
    is_told: bool,
}

impl Failure {
    pub(crate) fn of(status: Status, link: &Link) -> Self {
        let is_told = !status.details().is_empty();
        let after = retry_after(&status);
        if !is_told
            && let Some(error) = untrusted(&status, link).or_else(|| homeless(&status, link))
        {
            return error.into();
        }
        let mut error = error_of(status);
        if !is_told {
            error = error.with("server", &link.server);
        }
        Self {
            again: after.or(error.is_retryable().then_some(Duration::ZERO)),
            error,
            is_told,
        }
    }

    /// An error after which the call may be made again, whatever its kind.
    pub(crate) fn passing(error: Error) -> Self {
        Self {
            error,
            again: Some(Duration::ZERO),
            is_told: false,
        }
    }

    /// The error, with the operation that failed. What the server itself says stays as it is, so that it is what an embedded deriva says.
    pub(crate) fn named(self, operation: &'static str) -> Error {
        match self.is_told {
            true => self.error,
            false => self.error.during(operation),
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// Whether the time of the call was over, by the clock of this end.
    pub(crate) fn is_late(&self) -> bool {
        !self.is_told && self.kind() == ErrorKind::Timeout
    }

    /// Whether the call may be made again.
    pub(crate) fn is_passing(&self) -> bool {
        self.again.is_some()
    }
}

/// What is found here is found again.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            again: None,
            is_told: false,
        }
    }
}

/// A connection that TLS refused: it will be refused again.
fn untrusted(status: &Status, link: &Link) -> Option<Error> {
    let mut cause = status.source();
    while let Some(source) = cause {
        if let Some(io) = source.downcast_ref::<io::Error>() {
            // So TLS tells of certificates and of what is no TLS.
            if io.kind() == io::ErrorKind::InvalidData {
                let what = "no secure connection to the server could be made";
                return Some(
                    Error::new(ErrorKind::Invalid, what)
                        .with("server", &link.server)
                        .with("said", io)
                        .hint("see that the server has TLS, and that `ca`, `server_name`, `cert` and `key` fit its certificate"),
                );
            }
        }
        cause = source.source();
    }
    None
}

/// A connection whose runtime has ended: it is never made again.
fn homeless(status: &Status, link: &Link) -> Option<Error> {
    // tonic has no better word for it.
    let is_so =
        status.code() == Code::Unknown && status.message().starts_with("Service was not ready");
    is_so.then(|| {
        let what = "the runtime in which this client connected has ended";
        Error::new(ErrorKind::Invalid, what)
            .with("server", &link.server)
            .with("said", status.message())
            .hint(
                "connect within a tokio runtime that lives as long as the client, or connect again",
            )
    })
}

/// Whether this server refused a call because who made it has no role that may make it; that it was refused itself, elsewhere, is
/// something else.
pub(crate) fn is_forbidden(error: &Error, link: &Link) -> bool {
    error.context("code") == Some("PermissionDenied")
        && error.context("server") == Some(link.server.as_str())
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    link: &'a Link,
    operation: &'static str,
    delays: Option<ExponentialBackoff>,
}

impl<'a> Attempts<'a> {
    /// Of a call that errors name in this way.
    pub(crate) fn new(link: &'a Link, operation: &'static str) -> Self {
        Self {
            link,
            operation,
            delays: None,
        }
    }

    /// Waits until the call may be made again.
    ///
    /// # Errors
    /// The failure, where another attempt would not help, or was made as often as allowed.
    pub(crate) async fn again(&mut self, failure: Failure) -> Result<()> {
        let (again, is_told) = (failure.again, failure.is_told);
        let error = failure.named(self.operation);
        let Some(after) = again else {
            return Err(error);
        };
        if after > MAX_WAIT {
            return Err(error.with("retry_after", humantime::format_duration(after)));
        }
        let delays = self.delays.get_or_insert_with(|| self.link.delays());
        let Some(delay) = delays.next() else {
            self.link.retries.spent.add(1);
            return Err(match is_told {
                true => error,
                false => error.with("attempts", self.link.attempts),
            });
        };
        self.link.clock.sleep(delay.max(after)).await;
        self.link.retries.again.add(1);
        Ok(())
    }

    /// Something of the call was done for good: further failures count anew.
    pub(crate) fn progressed(&mut self) {
        self.delays = None;
    }
}
