//! What others wrote, read as the verbs read it: for tests from outside, such as those of `fuzz/`.

use std::path::Path;

use deriva::Value;
use deriva::functions::FunctionRegistry;

use crate::param;
use crate::pipeline::{Mistakes, Over, Pipeline, Ref};
use crate::verbs::serve_printed;

/// A file that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Each of its mistakes, by their places.
    pub mistakes: Vec<Mistake>,
    /// What people are told.
    pub told: String,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its line, counted from 1.
    pub line: usize,
    /// Its column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// What a pipeline file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// Its sources, by name.
    pub sources: Vec<String>,
    /// Its steps, each by its name, with what it reads by the place among all sources and then all steps.
    pub steps: Vec<(String, Vec<usize>)>,
    /// The paths of its outputs.
    pub outputs: Vec<String>,
}

/// Reads the text of a pipeline file, in which these functions may be named.
///
/// # Errors
/// All mistakes of the file.
pub fn pipeline(path: &Path, text: &str, functions: &FunctionRegistry) -> Result<Says, Wrong> {
    let read = Pipeline::parse(path, text, functions).map_err(|mistakes| wrong(&mistakes))?;
    let place = |from: &Ref| match from {
        Ref::Source(source) => *source,
        Ref::Step(step) => read.sources.len() + step,
    };
    let reads = |over: &Over| over.refs().iter().map(place).collect();
    let steps = read.steps.iter();
    let steps = steps.map(|step| (step.name.clone(), reads(&step.over)));
    Ok(Says {
        sources: read.sources.iter().map(|it| it.name.clone()).collect(),
        steps: steps.collect(),
        outputs: read.outputs.iter().map(|it| it.path.clone()).collect(),
    })
}

/// Reads the text of a file of settings for `deriva serve`, and answers with what `--print-config` prints.
///
/// # Errors
/// All mistakes of the file.
pub fn configuration(path: &Path, text: &str) -> Result<String, Wrong> {
    serve_printed(path, text).map_err(|mistakes| wrong(&mistakes))
}

/// Reads a param as it is written on the command line: its key and its value.
///
/// # Errors
/// What was expected, for people.
pub fn param(text: &str) -> Result<(String, Value), String> {
    param::parse(text).map(|param| (param.key, param.value))
}

fn wrong(mistakes: &Mistakes) -> Wrong {
    let list = mistakes.places().map(|(line, column, mistake)| Mistake {
        line,
        column,
        message: mistake.message.clone(),
    });
    Wrong {
        mistakes: list.collect(),
        told: format!("{}\n{}", mistakes.title(), mistakes.body()),
    }
}
