//! One step as it is written: its function, its params, and what it reads by name.

use std::ops::Range;
use std::sync::Arc;

use deriva::functions::{ComputeFunction, FunctionRegistry};
use deriva::{Determinism, Error, Params, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, suggest};
use super::read::{self, Located, table_of};

pub(super) type Functions<'a> = &'a FunctionRegistry;

/// A step as written: names not yet looked up.
pub(super) struct Draft {
    pub(super) name: Located<String>,
    pub(super) function: Option<Arc<dyn ComputeFunction>>,
    pub(super) params: Params,
    pub(super) over: Option<DraftOver>,
    pub(super) verify: Option<Determinism>,
    pub(super) at: Range<usize>,
}

pub(super) enum DraftOver {
    Each(Located<String>),
    All(Vec<Located<String>>, Option<usize>),
}

/// Reads a step and checks it against its function.
pub(super) fn step(
    name: Located<String>,
    value: &Spanned<DeValue<'_>>,
    functions: Functions<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Draft {
    let before = mistakes.len();
    let empty = DeTable::new();
    let mut table = table_of(value, &empty, "a step", &name, mistakes);
    let function = table
        .required("function", "\"text.upper/1\"", mistakes)
        .and_then(|id| function(&id, functions, mistakes));
    let params_value = table.take("params");
    let each = table.take("each");
    let inputs = table.texts("inputs", mistakes);
    let fan_in = table.take("fan_in");
    let fan_in_at = fan_in.map(Spanned::span);
    let fan_in = fan_in.and_then(|value| read::count(value, "`fan_in`", 2, mistakes));
    let verify = table.text("verify", mistakes);
    let verify = verify.and_then(|mode| verify_mode(&mode, mistakes));
    table.finish(mistakes);

    let params = params_value.map_or_else(Params::new, |value| {
        params(value, function.as_deref(), mistakes)
    });
    let at = each
        .map(Spanned::span)
        .or_else(|| inputs.as_ref().map(|i| i.at.clone()));
    let over = match (each, inputs) {
        (Some(each), None) => {
            if let Some(at) = fan_in_at {
                mistakes.push(Mistake::new(
                    at,
                    "`fan_in` goes with `inputs`, not with `each`",
                ));
            }
            read::text(each, "`each`", mistakes).map(DraftOver::Each)
        }
        (None, Some(inputs)) => Some(DraftOver::All(inputs.value, fan_in)),
        (Some(each), Some(_)) => {
            let message = "a step has either `each` or `inputs`";
            mistakes.push(
                Mistake::new(each.span(), message).help(
                    "`each` makes a recipe for every item, `inputs` one recipe over all items",
                ),
            );
            None
        }
        (None, None) => {
            let message = format!("the step `{}` needs `each` or `inputs`", name.value);
            mistakes.push(Mistake::new(name.at.clone(), message).help(
                "`each = \"files\"` makes a recipe for every item, `inputs = [\"files\"]` one over all items",
            ));
            None
        }
    };
    let at = at.unwrap_or_else(|| name.at.clone());
    // The number of inputs is known here for `each` only; the rest is checked when files are known.
    if let (Some(function), Some(DraftOver::Each(_))) = (&function, &over)
        && let Err(error) = function.check(1, &params)
    {
        let place = params_value.map_or_else(|| name.at.clone(), Spanned::span);
        let arity = error.context("param").is_none() && error.context("expected").is_some();
        let place = if arity { at.clone() } else { place };
        misfit(place, &error, before, mistakes);
    }
    Draft {
        name,
        function,
        params,
        over,
        verify,
        at,
    }
}

fn verify_mode(mode: &Located<String>, mistakes: &mut Vec<Mistake>) -> Option<Determinism> {
    match mode.value.parse() {
        Ok(mode) => Some(mode),
        Err(error) => {
            mistakes.push(Mistake::unfit(mode.at.clone(), &error));
            None
        }
    }
}

fn function(
    id: &Located<String>,
    functions: Functions<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Arc<dyn ComputeFunction>> {
    let (name, version) = match id.value.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (id.value.as_str(), None),
    };
    let versions: Vec<_> = functions.iter().filter(|f| f.id().name() == name).collect();
    if versions.is_empty() {
        let mut mistake = Mistake::new(id.at.clone(), format!("unknown function `{name}`"));
        mistake.help = match functions.absent_feature(name) {
            Some(feature) => Some(format!("build with the crate feature `{feature}`")),
            None => suggest(name, functions.iter().map(|f| f.id().name()))
                .map(|help| format!("{help} (`deriva functions` lists them all)")),
        };
        mistakes.push(mistake);
        return None;
    }
    let known: Vec<String> = versions.iter().map(|f| format!("`{}`", f.id())).collect();
    let found = match version {
        Some(version) => versions.iter().find(|f| f.id().version() == version),
        // A name alone is clear while there is one version; a recipe always carries the version.
        None if versions.len() == 1 => versions.first(),
        None => None,
    };
    if found.is_none() {
        let message = match version {
            Some(version) => format!("`{name}` has no version `{version}`"),
            None => format!("`{name}` has several versions"),
        };
        mistakes.push(
            Mistake::new(id.at.clone(), message).help(format!("known: {}", known.join(", "))),
        );
    }
    found.map(|function| Arc::clone(function))
}

fn params(
    value: &Spanned<DeValue<'_>>,
    function: Option<&dyn ComputeFunction>,
    mistakes: &mut Vec<Mistake>,
) -> Params {
    let mut params = Params::new();
    for (name, value) in read::entries(value, "`params`", mistakes) {
        let before = mistakes.len();
        let Some(found) = read::param(value, mistakes) else {
            // A param that cannot be read is not reported as missing too.
            debug_assert!(mistakes.len() > before);
            continue;
        };
        if let Some(function) = function {
            check_param(&name, &found, value, function, mistakes);
        }
        params.insert(name.value, found);
    }
    params
}

fn check_param(
    name: &Located<String>,
    found: &Value,
    value: &Spanned<DeValue<'_>>,
    function: &dyn ComputeFunction,
    mistakes: &mut Vec<Mistake>,
) {
    let docs = function.params();
    let Some(doc) = docs.iter().find(|doc| doc.name == name.value) else {
        // A function without documented params says for itself what it takes.
        if !docs.is_empty() {
            let message = format!("`{}` has no param `{}`", function.id(), name.value);
            let mut mistake = Mistake::new(name.at.clone(), message);
            mistake.help = suggest(&name.value, docs.iter().map(|doc| doc.name.as_ref()));
            mistakes.push(mistake);
        }
        return;
    };
    let kind = found.type_name();
    let fits = match doc.kind.as_ref() {
        "any" => true,
        "number" => matches!(kind, "int" | "float"),
        expected => expected == kind || (expected == "float" && kind == "int"),
    };
    if !fits {
        let message = format!("`{}` must be {}, found {kind}", name.value, doc.kind);
        mistakes.push(Mistake::new(value.span(), message).help(doc.description.to_string()));
    }
}

/// Adds what a function says of its inputs and params, unless the same place was complained of; mistakes
/// of this step begin at `from`.
fn misfit(at: Range<usize>, error: &Error, from: usize, mistakes: &mut Vec<Mistake>) {
    let inside = |mistake: &Mistake| at.start <= mistake.at.start && mistake.at.end <= at.end;
    if !mistakes[from..].iter().any(inside) {
        mistakes.push(Mistake::unfit(at, error));
    }
}
