//! What several verbs share.

use deriva::determinism::Violation;
use deriva::{Deriva, Error, ErrorKind, FunctionId, Result, Value};
use futures::TryStreamExt;

use crate::term::{Style, plain};

/// Nothing here has a function of this name; `otherwise` says what can be done where that is right.
pub(super) fn unknown_function(deriva: &Deriva, id: &FunctionId, otherwise: &str) -> Error {
    let functions = deriva.functions();
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
pub(super) async fn known_or_used(deriva: &Deriva, id: &FunctionId, otherwise: &str) -> Result<()> {
    if deriva.functions().get(id).is_some() {
        return Ok(());
    }
    // A program's own functions are not known here, but their recipes are.
    match deriva.dag().by_function(id, None).try_next().await? {
        Some(_) => Ok(()),
        None => Err(unknown_function(deriva, id, otherwise)),
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
