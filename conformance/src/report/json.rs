//! One line of JSON for each case and store.

use std::fmt::Write;

use serde_json::json;

use super::word;
use crate::results::Results;

/// One object a line: `store`, `case`, `level`, `outcome`, `seconds`, `detail` (null where there is
/// nothing to say), and `layers`, `subject`, `promise`. Where durability was proved, its line has
/// `declared` and `proved` too.
#[must_use]
pub fn json(results: &Results) -> String {
    let mut text = String::new();
    for (i, column) in results.columns.iter().enumerate() {
        for row in &results.rows {
            let Some(Some(cell)) = row.cells.get(i) else {
                continue;
            };
            let mut line = json!({
                "store": column.store,
                "layers": column.layers,
                "case": row.case,
                "level": row.level.to_string(),
                "subject": row.subject.to_string(),
                "promise": row.promise.trim(),
                "outcome": word(cell.outcome),
                "seconds": cell.seconds,
                "detail": cell.detail,
            });
            if let (crate::check::PROOF, Some(proved)) = (row.case.as_str(), &column.proved) {
                line["declared"] = json!(column.declared);
                line["proved"] = json!(proved.class);
            }
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{line}");
        }
    }
    text
}
