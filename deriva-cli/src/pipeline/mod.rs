//! The pipeline file: what it says, checked completely before anything runs.
//!
//! [`Pipeline::parse`] either answers with a pipeline in which every name is known and every param
//! fits its function, or with all mistakes at once. What only the files on disk can tell (a pattern
//! that matches nothing, a function over too many inputs) is found when the pipeline is expanded, and
//! reported in the same form.

mod check;
mod mistake;
mod order;
mod read;
mod step;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deriva::functions::{ComputeFunction, FunctionRegistry};
use deriva::{Determinism, Params};
use globset::GlobSet;

pub(crate) use mistake::{Mistake, Mistakes, suggest};

/// A pipeline without mistakes.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Its name: roots begin with it.
    pub(crate) name: String,
    /// Where the sources' root is: absolute, or relative to the file.
    pub(crate) root: PathBuf,
    /// Where outputs go: absolute, or relative to the file.
    pub(crate) output: Option<PathBuf>,
    /// Sources, in the order of the file.
    pub(crate) sources: Vec<Source>,
    /// Steps, each after those that it reads.
    pub(crate) steps: Vec<Step>,
    /// Outputs, in the order of the file.
    pub(crate) outputs: Vec<OutputFile>,
    path: PathBuf,
    text: String,
}

/// A list of files.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name.
    pub(crate) name: String,
    /// Files that belong to it, by their path relative to the root.
    pub(crate) include: GlobSet,
    /// Files that do not, though they are included.
    pub(crate) exclude: GlobSet,
    /// Folders of which `exclude` leaves nothing.
    pub(crate) excluded_folders: GlobSet,
    /// Place of the `include` patterns in the file.
    pub(crate) at: Range<usize>,
}

/// A function applied to items.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: String,
    /// What it runs.
    pub(crate) function: Arc<dyn ComputeFunction>,
    /// With which params.
    pub(crate) params: Params,
    /// On what.
    pub(crate) over: Over,
    /// How its recipes are checked, where the file says so.
    pub(crate) verify: Option<Determinism>,
    /// Place of `each` or `inputs` in the file.
    pub(crate) at: Range<usize>,
}

/// On what a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// One recipe for each item.
    Each(Ref),
    /// One recipe over all items of these, in order; with `fan_in`, a tree of recipes over at most
    /// that many inputs each.
    All {
        /// Where the items come from.
        from: Vec<Ref>,
        /// The most inputs of one recipe.
        fan_in: Option<usize>,
    },
}

impl Over {
    /// What is read.
    pub(crate) fn refs(&self) -> &[Ref] {
        match self {
            Self::Each(from) => std::slice::from_ref(from),
            Self::All { from, .. } => from,
        }
    }
}

/// A source or a step, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ref {
    /// A source.
    Source(usize),
    /// A step.
    Step(usize),
}

/// A result that is written.
#[derive(Clone, Debug)]
pub(crate) struct OutputFile {
    /// The file, or the folder where the step has an item for each of several; relative, with `/`.
    pub(crate) path: String,
    /// What is written.
    pub(crate) from: Ref,
    /// Place of the path in the file.
    pub(crate) at: Range<usize>,
}

impl Pipeline {
    /// Reads a pipeline file's text. `functions` are those that may be named in it.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub(crate) fn parse(
        path: &Path,
        text: &str,
        functions: &FunctionRegistry,
    ) -> Result<Self, Mistakes> {
        check::parse(path, text, functions)
    }

    /// Mistakes that were found later, as they are shown.
    pub(crate) fn mistakes(&self, list: Vec<Mistake>) -> Mistakes {
        Mistakes::new(&self.path, &self.text, list)
    }

    /// The pipeline file.
    pub(crate) fn file(&self) -> &Path {
        &self.path
    }

    /// The folder of the pipeline file; relative paths in it begin there.
    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Whether the items of `from` are many by nature: a source, or a step for each of many.
    pub(crate) fn is_many(&self, from: Ref) -> bool {
        match from {
            Ref::Source(_) => true,
            Ref::Step(step) => match &self.steps[step].over {
                Over::Each(from) => self.is_many(*from),
                Over::All { .. } => false,
            },
        }
    }

    /// The name of a source or step.
    pub(crate) fn name_of(&self, from: Ref) -> &str {
        match from {
            Ref::Source(source) => &self.sources[source].name,
            Ref::Step(step) => &self.steps[step].name,
        }
    }
}
