//! How the command ends: exit codes, and errors as people read them.

use std::borrow::Cow;

use deriva::determinism::Violation;
use deriva::stores::DagStore;
use deriva::{CAddr, Error, ErrorKind};

use crate::pipeline::Mistakes;
use crate::term::{Style, note, plain};

/// Why the command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the store or the runtime; `path` is its path with functions, as lines.
    Error { error: Error, path: Vec<String> },
    /// The pipeline file is wrong.
    Mistakes(Mistakes),
    /// The call is wrong in several places, which are told one after the other.
    Several(Vec<Failure>),
    /// The work was done but for some parts, which were reported already.
    Partly(ErrorKind),
}

/// The result of a verb.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Exit code after an interruption by a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit codes as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed: a function, a time limit, a conflict, a defect
  2  usage: the command line, an address, a pipeline file
  3  not found
  4  corrupt: stored data is damaged
  5  determinism violation
  6  locked by another process, or unavailable
  7  full: no space is left
130  interrupted";

/// The exit code for a kind of error.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid | ErrorKind::Unsupported => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Corrupt => 4,
        ErrorKind::Nondeterministic => 5,
        ErrorKind::Locked | ErrorKind::Unavailable => 6,
        ErrorKind::Full => 7,
        ErrorKind::Cancelled => INTERRUPTED,
        _ => 1,
    }
}

impl Failure {
    /// What kind of failure it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Error { error, .. } => error.kind(),
            Self::Mistakes(_) | Self::Several(_) => ErrorKind::Invalid,
            Self::Partly(kind) => *kind,
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            // A call that is wrong in itself is the caller's; a recipe that was run has failed.
            Self::Error { error, .. }
                if error.kind() == ErrorKind::Invalid && !error.path().is_empty() =>
            {
                1
            }
            Self::Partly(ErrorKind::Invalid) => 1,
            Self::Error { error, .. } => code(error.kind()),
            Self::Mistakes(_) | Self::Several(_) => 2,
            Self::Partly(kind) => code(*kind).max(1),
        }
    }

    /// Tells it on stderr. A terminal that has gone is no reason to fail again.
    pub(crate) fn report(&self) {
        match self {
            Self::Error { error, path } => tell(error, path),
            Self::Mistakes(mistakes) => {
                let (error, title) = (Style::stderr().error("error:"), mistakes.title());
                note(format!("{error} {title}\n\n{}", mistakes.body().trim_end()));
            }
            Self::Several(failures) => failures.iter().for_each(Self::report),
            Self::Partly(_) => {}
        }
    }

    /// What is wrong with a call, all of it.
    ///
    /// # Errors
    /// The only failure as it is, and several as one.
    pub(crate) fn all(mut failures: Vec<Self>) -> Outcome {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Self::Several(failures)),
        }
    }
}

/// An error in how the command was called.
pub(crate) fn usage(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error {
            error,
            path: Vec::new(),
        }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

/// Tells an error on stderr, with its path as lines.
pub(crate) fn tell(error: &Error, path: &[String]) {
    note(describe(error, path, Style::stderr()));
}

/// An error as lines: what happened, its context, its sources, the path, the next step.
fn describe(error: &Error, path: &[String], style: Style) -> String {
    let mut lines = vec![format!("{} {}", style.error("error:"), error.message())];
    for (key, value) in error.contexts() {
        let value = plain(value);
        lines.push(format!("  {} {value}", style.dim(&format!("{key}:"))));
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // What was seen is in the context already.
        if cause.is::<Violation>() {
            break;
        }
        // An error of ours prints its kind first, which says little below another one.
        let cause_text = match cause.downcast_ref::<Error>() {
            Some(ours) => ours.message().to_owned(),
            None => cause.to_string(),
        };
        let cause_text = cause_text.replace('\n', "\n    ");
        lines.push(format!("  {} {cause_text}", style.dim("cause:")));
        source = cause.source();
    }
    if !path.is_empty() {
        lines.push(format!("  {}", style.dim("path:")));
        lines.extend(path.iter().map(|line| format!("    {line}")));
    }
    if let Some(hint) = error.advice() {
        lines.push(format!("{} {hint}", style.accent("next:")));
    }
    lines.join("\n")
}

/// The path of a failed materialization as lines, with the name of each function; the middle of a
/// long one is left out.
pub(crate) async fn path_lines(
    error: &Error,
    dag: &dyn DagStore,
    label: impl Fn(CAddr) -> Option<String>,
) -> Vec<String> {
    const ENDS: usize = 6;
    let path = error.path();
    let cut = path.len() > 2 * ENDS;
    let shown: Vec<CAddr> = match cut {
        true => path[..ENDS]
            .iter()
            .chain(&path[path.len() - ENDS..])
            .copied()
            .collect(),
        false => path.to_vec(),
    };
    // A store that fails now must not hide the error that is being told.
    let nodes = dag.get_many(&shown).await.unwrap_or_default();
    let mut lines = Vec::new();
    for (i, addr) in shown.iter().enumerate() {
        if cut && i == ENDS {
            lines.push(format!("... {} more", path.len() - 2 * ENDS));
        }
        let function = nodes
            .get(i)
            .and_then(Option::as_ref)
            .map(|node| node.recipe.function());
        let what = function.map_or_else(|| "a blob".to_owned(), |id| id.to_string());
        let label = label(*addr)
            .map(|label| format!("  {}", plain(&label)))
            .unwrap_or_default();
        let arrow = if i == 0 { "" } else { "<- " };
        lines.push(format!("{arrow}{} {what}{label}", addr.short()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_and_none_is_success() {
        for kind in ErrorKind::ALL {
            assert_ne!(code(kind), 0, "{kind}");
        }
        assert_eq!(code(ErrorKind::Locked), 6);
        assert_eq!(code(ErrorKind::Full), 7);
    }

    #[test]
    fn an_error_is_told_from_the_cause_to_the_next_step() {
        let error = Error::new(ErrorKind::Full, "no space is left")
            .with("store", "sled:x")
            .caused_by(std::io::Error::other("quota"))
            .hint("make room");
        let text = describe(&error, &["ab f/1".to_owned()], Style::plain());
        assert_eq!(
            text,
            "error: no space is left\n  store: sled:x\n  cause: quota\n  path:\n    ab f/1\nnext: make room"
        );
    }

    #[test]
    fn a_wrong_call_is_usage_and_a_wrong_node_is_a_failure() {
        let error = Error::new(ErrorKind::Invalid, "x");
        assert_eq!(Failure::from(error.clone()).code(), 2);
        let deep = error.along(vec![CAddr::MIN, CAddr::MIN]);
        assert_eq!(Failure::from(deep).code(), 1);
    }
}
