//! What is told when a plan cannot be carried out.

use std::collections::BTreeSet;

use deriva_api::{Error, ErrorKind, FunctionId, FunctionRegistry};

use super::{NodeId, Plan};

/// How many missing addresses an error lists by name; the rest is counted.
const LISTED: usize = 20;

/// Functions that recipes of a plan apply and that cannot run.
#[derive(Debug, Default)]
pub(super) struct Unable {
    /// Those that nobody has.
    pub(super) unknown: BTreeSet<FunctionId>,
    /// Those that are registered and that the executor lacks.
    pub(super) lacking: BTreeSet<FunctionId>,
}

/// The error that lists all that a plan lacks; `None` where it lacks nothing.
pub(super) fn incomplete(
    plan: &Plan,
    missing: &[NodeId],
    unable: &Unable,
    functions: &FunctionRegistry,
) -> Option<Error> {
    let Unable { unknown, lacking } = unable;
    let mut error = match (missing.first(), unknown.is_empty(), lacking.is_empty()) {
        (None, true, true) => return None,
        (Some(first), _, _) => Error::new(
            ErrorKind::NotFound,
            "neither a blob nor a recipe is stored under an address that is needed",
        )
        .hint("put the missing blobs or insert the missing recipes, then ask again")
        .with("missing", list(missing.iter().map(|node| plan.addr(*node))))
        .along(plan.path(*first)),
        (None, false, _) => Error::new(
            ErrorKind::Unsupported,
            "recipes need functions that are not registered",
        )
        .hint(how_to_have(unknown, functions)),
        (None, true, false) => Error::new(
            ErrorKind::Unsupported,
            "recipes need heavy functions that the executor does not have",
        )
        .hint("give the builder an executor that has them, or register them as light functions"),
    };
    if !unknown.is_empty() {
        error = error.with("unknown_functions", list(unknown.iter()));
    }
    if !lacking.is_empty() {
        error = error.with("not_in_executor", list(lacking.iter()));
    }
    Some(error)
}

/// What to do for functions that are not registered.
fn how_to_have(unknown: &BTreeSet<FunctionId>, functions: &FunctionRegistry) -> String {
    let feature = |id: &FunctionId| functions.absent_feature(id.name());
    let features: BTreeSet<String> = unknown
        .iter()
        .filter_map(feature)
        .map(|feature| format!("`{feature}`"))
        .collect();
    let own = "a program registers functions of its own; the command has those that `deriva functions` lists";
    if features.is_empty() {
        return own.to_owned();
    }
    let named = list(features.iter());
    let build = match features.len() {
        1 => format!("build with the crate feature {named}"),
        _ => format!("build with the crate features {named}"),
    };
    match unknown.iter().all(|id| feature(id).is_some()) {
        true => build,
        false => format!("{build}; {own}"),
    }
}

fn list(items: impl ExactSizeIterator<Item = impl ToString>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let listed: Vec<String> = items.take(LISTED).map(|item| item.to_string()).collect();
    let listed = listed.join(", ");
    match more {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
