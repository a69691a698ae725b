//! `deriva state-digest`.

use deriva::Deriva;
use serde_json::json;

use crate::exit::Outcome;
use crate::term::Out;

/// Prints one hash over all that is stored.
pub(crate) async fn state_digest(deriva: &Deriva, out: &mut Out) -> Outcome {
    let digest = deriva.state_digest().await?;
    match out.json() {
        true => out.value(&json!({ "digest": digest })),
        false => out.line(digest),
    }
}
