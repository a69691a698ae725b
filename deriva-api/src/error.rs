//! One error type for all crates.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::CAddr;

/// `Result` with deriva's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not there, and nothing is known that could make it.
    NotFound,
    /// The request itself is wrong; the same request will always fail.
    Invalid,
    /// This store or executor does not have the capability.
    Unsupported,
    /// The request contradicts what is stored; change one of the two.
    Conflict,
    /// Somebody else holds the store; close it there, or choose another path.
    Locked,
    /// Stored data is damaged. What can be recomputed will be; the rest needs a backup.
    Corrupt,
    /// No space is left, or a quota is used up; make room and try again.
    Full,
    /// A passing fault. The one kind that is worth a retry.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// The request was given up before it was done.
    Cancelled,
    /// A function gave different results for the same inputs.
    Nondeterministic,
    /// A function failed or panicked.
    Function,
    /// A defect in deriva, or an error that no other kind describes.
    Internal,
}

impl ErrorKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::NotFound,
        Self::Invalid,
        Self::Unsupported,
        Self::Conflict,
        Self::Locked,
        Self::Corrupt,
        Self::Full,
        Self::Unavailable,
        Self::Timeout,
        Self::Cancelled,
        Self::Nondeterministic,
        Self::Function,
        Self::Internal,
    ];

    /// The kind in words, as it stands at the head of a message.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Conflict => "conflict",
            Self::Locked => "locked",
            Self::Corrupt => "corrupt",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Nondeterministic => "nondeterministic",
            Self::Function => "function failed",
            Self::Internal => "internal error",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An error of any part of deriva: one pointer wide, cheap to clone, so that all who wait for one
/// computation can be told the same.
///
/// [`Error::kind`] says what to do next, the message what happened, the context where, and
/// [`std::error::Error::source`] why. `Display` prints all of these but the source, on one line; with
/// `{:#}`, and in `Debug`, which is what `fn main() -> Result<()>` prints, also the causes and the advice.
///
/// ```
/// use deriva_api::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Full, "no space left").during("put").with("store", "sled:./data");
/// assert_eq!(error.to_string(), "full: no space left (during put; store=sled:./data)");
/// assert!(!error.is_retryable());
/// let error = error.hint("make room");
/// assert_eq!(format!("{error:#}"), "full: no space left (during put; store=sled:./data); next: make room");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Repr>);

#[derive(Clone)]
struct Repr {
    kind: ErrorKind,
    operation: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    context: Vec<(Cow<'static, str>, String)>,
    hint: Option<Cow<'static, str>>,
    path: Vec<CAddr>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what happened, or what was expected.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Repr {
            kind,
            operation: None,
            message: message.into(),
            context: Vec::new(),
            hint: None,
            path: Vec::new(),
            source: None,
        }))
    }

    /// Names the operation that failed (`put`, `insert`). The innermost name stays.
    #[must_use]
    pub fn during(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        if self.0.operation.is_none() {
            Arc::make_mut(&mut self.0).operation = Some(operation.into());
        }
        self
    }

    /// Adds a context pair, such as `addr`, `store` or `function`. The innermost value of a key stays.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        let key = key.into();
        if self.context(&key).is_none() {
            Arc::make_mut(&mut self.0)
                .context
                .push((key, value.to_string()));
        }
        self
    }

    /// Says what the user should do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).hint.get_or_insert(hint.into());
        self
    }

    /// As [`Error::hint`], in place of what was said before: for who knows better what the user can do.
    #[must_use]
    pub fn hint_instead(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Some(Arc::from(source.into()));
        let_go(std::mem::replace(
            &mut Arc::make_mut(&mut self.0).source,
            source,
        ));
        self
    }

    /// Says how the failed node hangs below the requested address: first the request, last the node.
    #[must_use]
    pub fn along(mut self, path: Vec<CAddr>) -> Self {
        Arc::make_mut(&mut self.0).path = path;
        self
    }

    /// What the caller can do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed, where it is known.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The message alone, without kind and context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The context value under `key`.
    #[must_use]
    pub fn context(&self, key: &str) -> Option<&str> {
        self.0
            .context
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All context pairs, innermost first.
    pub fn contexts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(k, v)| (k.as_ref(), v.as_str()))
    }

    /// What the user should do next, in words, where something can be said.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The path from the requested address (first) to the node that failed (last); empty where the
    /// error did not come from a materialization.
    #[must_use]
    pub fn path(&self) -> &[CAddr] {
        &self.0.path
    }

    /// Whether the same call may succeed when it is made again: true for [`ErrorKind::Unavailable`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }

    /// Maps an I/O error: a full disk is `Full`, missing permission and read-only media are
    /// `Invalid` with advice, interruptions are `Unavailable`, the rest `Internal`.
    #[must_use]
    pub fn io(source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let (kind, message, hint) = match source.kind() {
            Io::StorageFull | Io::QuotaExceeded => (
                ErrorKind::Full,
                "no space is left",
                Some("make room and try again"),
            ),
            Io::PermissionDenied => (
                ErrorKind::Invalid,
                "permission denied",
                Some("change the permissions, or choose another path"),
            ),
            Io::ReadOnlyFilesystem => (
                ErrorKind::Invalid,
                "the file system is read-only",
                Some("choose a path on a writable file system"),
            ),
            Io::Interrupted | Io::WouldBlock | Io::TimedOut => (
                ErrorKind::Unavailable,
                "the system was interrupted or busy",
                None,
            ),
            Io::NotFound => (ErrorKind::NotFound, "no such file or folder", None),
            Io::UnexpectedEof => (
                ErrorKind::Corrupt,
                "a file is shorter than it should be",
                None,
            ),
            _ => (
                ErrorKind::Internal,
                "an input/output operation failed",
                None,
            ),
        };
        let error = Self::new(kind, message).caused_by(source);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl Drop for Repr {
    fn drop(&mut self) {
        let_go(self.source.take());
    }
}

/// Lets go of a cause. Errors end anywhere, also on threads where a panic would end the process, and a cause is
/// code of others: should it panic as it goes, nobody is left to be told.
fn let_go(source: Option<Arc<dyn StdError + Send + Sync>>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(source))) {
        // Its own end might panic as well.
        std::mem::forget(panic);
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)?;
        let operation = self.operation().map(|op| format!("during {op}"));
        let pairs = self
            .0
            .context
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let details: Vec<String> = operation.into_iter().chain(pairs).collect();
        if !details.is_empty() {
            write!(f, " ({})", details.join("; "))?;
        }
        match f.alternate() {
            true => self.why_and_next(f),
            false => Ok(()),
        }
    }
}

impl Error {
    /// The causes, outermost first, and the advice.
    fn why_and_next(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            write!(f, "; caused by: {cause}")?;
            source = cause.source();
        }
        match self.advice() {
            Some(hint) => write!(f, "; next: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if !self.0.path.is_empty() {
            write!(f, "; path {:?}", self.0.path)?;
        }
        self.why_and_next(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_innermost_context_stays_and_the_source_is_kept() {
        let error = Error::io(std::io::Error::from(std::io::ErrorKind::StorageFull))
            .during("commit")
            .with("store", "inner")
            .during("put")
            .with("store", "outer");
        assert_eq!(error.kind(), ErrorKind::Full);
        assert_eq!(
            (error.operation(), error.context("store")),
            (Some("commit"), Some("inner"))
        );
        assert!(StdError::source(&error).is_some() && error.advice().is_some());
    }

    #[test]
    fn names_may_come_from_elsewhere() {
        let (operation, key) = ("put".to_owned(), "store".to_owned());
        let error = Error::new(ErrorKind::Full, "x")
            .during(operation)
            .with(key, "sled:./data")
            .with("store", "unheard");
        assert_eq!(error.operation(), Some("put"));
        assert!(error.contexts().eq([("store", "sled:./data")]));
    }

    #[test]
    fn a_program_that_ends_with_an_error_shows_causes_and_advice() {
        let cause = Error::new(ErrorKind::NotFound, "no such folder")
            .caused_by(std::io::Error::other("gone"))
            .hint("unheard: the outer advice counts");
        let error = Error::new(ErrorKind::Invalid, "unknown store scheme")
            .with("found", "sledd")
            .caused_by(cause)
            .hint("use one of sled, redb");
        let why =
            "; caused by: not found: no such folder; caused by: gone; next: use one of sled, redb";
        let short = "invalid: unknown store scheme (found=sledd)";
        assert_eq!(error.to_string(), short);
        assert_eq!(format!("{error:#}"), format!("{short}{why}"));
        assert_eq!(format!("{error:?}"), format!("{short}{why}"));
    }

    #[test]
    fn another_hint_leaves_all_else_as_it_is() {
        let error = Error::new(ErrorKind::Locked, "another process has it")
            .during("open")
            .with("store", "x")
            .along(vec![CAddr::MIN])
            .caused_by(std::io::Error::other("flock"))
            .hint("close it there");
        let told = error.clone().hint_instead("add --wait");
        assert_eq!(
            format!("{told:?}"),
            format!("{error:?}").replace("close it there", "add --wait")
        );
        assert!(StdError::source(&told).is_some() && told.advice() == Some("add --wait"));
    }

    #[test]
    fn a_cause_that_panics_as_it_goes_hurts_nobody() {
        #[derive(Debug)]
        struct Bad(bool);
        impl fmt::Display for Bad {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bad")
            }
        }
        impl StdError for Bad {}
        impl Drop for Bad {
            fn drop(&mut self) {
                if self.0 {
                    // The payload panics as well.
                    self.0 = false;
                    std::panic::panic_any(Bad(true));
                }
            }
        }
        let error = || Error::new(ErrorKind::Function, "x").caused_by(Bad(true));
        let other = error().clone().with("key", "value");
        drop(other.caused_by(Bad(true)));
        let source = error();
        let source = StdError::source(&source).and_then(|it| it.downcast_ref::<Bad>());
        assert!(source.is_some(), "the cause is the very one");
    }

    #[test]
    fn only_unavailable_is_retryable() {
        for kind in ErrorKind::ALL {
            assert_eq!(
                Error::new(kind, "x").is_retryable(),
                kind == ErrorKind::Unavailable
            );
        }
    }
}
