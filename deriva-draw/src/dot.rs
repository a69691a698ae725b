//! DOT, the language of Graphviz.

use std::fmt::Write;

use crate::Drawing;

/// The drawing in DOT; with more than `limit` nodes, its summary.
#[must_use]
pub fn dot(drawing: Drawing, limit: usize) -> String {
    let layered = drawing.layered(limit);
    let mut out = String::from(
        "digraph deriva {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\"];\n",
    );
    for (i, node) in layered.nodes.iter().enumerate() {
        let (fill, border) = node.state.colours();
        let detail = node.detail();
        let gap = if detail.is_empty() { "" } else { "\\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  n{i} [label=\"{}{gap}{}\", tooltip=\"{}\", fillcolor=\"{fill}\", color=\"{border}\"];",
            escape(&node.label),
            escape(&detail),
            node.state.label(),
        );
    }
    for (from, to, count) in &layered.edges {
        let label = if *count > 1 {
            format!(" [label=\"{count}\"]")
        } else {
            String::new()
        };
        let _ = writeln!(out, "  n{from} -> n{to}{label};");
    }
    out.push_str("}\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::tests::grid;

    #[test]
    fn quotes_are_escaped_and_every_edge_is_there() {
        let mut drawing = grid(2, 2);
        drawing.nodes[0].label = "a \"b\" \\".to_owned();
        let text = dot(drawing, 10);
        assert!(text.contains(r#"label="a \"b\" \\\n1.00 ms""#), "{text}");
        assert_eq!(text.matches(" -> ").count(), 4);
        assert!(text.starts_with("digraph") && text.ends_with("}\n"));
    }
}
