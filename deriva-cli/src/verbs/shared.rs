//! What several verbs share.

use deriva::{Deriva, Error, ErrorKind, FunctionId, Value};

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

/// The value of a param, as it is written after `:=`.
pub(super) fn literal(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}
