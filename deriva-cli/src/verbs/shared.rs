//! What several verbs share.

use deriva::determinism::Violation;
use deriva::functions::FunctionRegistry;
use deriva::{Error, ErrorKind, FunctionId, Result, Value};
use futures::TryStreamExt;

use crate::handle::Handle;
use crate::term::{Style, plain};

/// None of the functions has this name; `otherwise` says what can be done where that is right.
pub(super) fn unknown_function(
    functions: &FunctionRegistry,
    id: &FunctionId,
    otherwise: &str,
) -> Error {
    let hint = match (functions.absent_feature(id.name()), functions.nearest(id)) {
        (Some(feature), _) => format!("build with the crate feature `{feature}`; {otherwise}"),
        (_, Some(near)) => {
            format!("did you mean `{near}`? `deriva functions` lists all; {otherwise}")
        }
        _ => format!("`deriva functions` lists those that are there; {otherwise}"),
    };
    Error::new(ErrorKind::NotFound, "the function is not known here")
        .with("function", id)
        .hint(hint)
}

/// Fails where a function is neither known here nor used by any recipe; `otherwise` as above.
pub(super) async fn known_or_used(handle: &Handle, id: &FunctionId, otherwise: &str) -> Result<()> {
    let functions = handle.functions().await?;
    if functions.get(id).is_some() {
        return Ok(());
    }
    // A program's own functions are not known here, but their recipes are.
    match handle.dag().by_function(id, None).try_next().await? {
        Some(_) => Ok(()),
        None => Err(unknown_function(&functions, id, otherwise)),
    }
}

/// The value of a param, as it is written after `:=`.
pub(super) fn literal(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}

/// A violation as people read it in a list: the recipe, what was seen, where that differs.
pub(super) fn violation_lines(violation: &Violation, style: Style) -> Vec<String> {
    let (recipe, function) = (violation.recipe, &violation.function);
    let answers = violation.answers.iter();
    let answers: Vec<String> = answers.map(|answer| plain(&answer.to_string())).collect();
    let mut lines = vec![
        format!("{} {recipe} {function}", style.error("x")),
        format!("    {} {}", style.dim("gave:"), answers.join(", now ")),
    ];
    if let Some(difference) = &violation.difference {
        lines.push(format!(
            "    {} {difference}",
            style.dim("first difference:")
        ));
    }
    lines
}
