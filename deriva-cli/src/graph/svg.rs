//! SVG, drawn without other programs: layers from left to right, inputs on the left.

use std::fmt::Write;

use super::{Drawing, Layered, Node, State, layers};

const BOX: (f64, f64) = (190.0, 40.0);
const GAP: (f64, f64) = (70.0, 14.0);
const MARGIN: f64 = 24.0;
const HEAD: f64 = 74.0;
/// Characters that fit into a box.
const FIT: usize = 27;

/// The drawing as SVG; with more than `limit` nodes, its summary.
pub(crate) fn svg(drawing: Drawing, limit: usize, title: &str) -> String {
    let layered = drawing.layered(limit);
    let rows = layers::ordered(&layered.layer, &layered.edges);
    let tallest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let legend_width = 130.0 * State::ALL.len() as f64;
    let width = (2.0 * MARGIN + rows.len() as f64 * (BOX.0 + GAP.0) - GAP.0)
        .max(2.0 * MARGIN + legend_width);
    let height = HEAD + tallest as f64 * (BOX.1 + GAP.1) + MARGIN;
    let mut place = vec![(0.0, 0.0); layered.nodes.len()];
    for (x, row) in rows.iter().enumerate() {
        // Short columns are centred.
        let top = HEAD + (tallest - row.len()) as f64 * (BOX.1 + GAP.1) / 2.0;
        for (y, node) in row.iter().enumerate() {
            let left = MARGIN + x as f64 * (BOX.0 + GAP.0);
            place[*node as usize] = (left, top + y as f64 * (BOX.1 + GAP.1));
        }
    }
    let mut out = String::new();
    head(&mut out, width, height, title, &layered);
    for (from, to, count) in &layered.edges {
        edge(&mut out, place[*from as usize], place[*to as usize], *count);
    }
    for (node, at) in layered.nodes.iter().zip(&place) {
        draw(&mut out, node, *at);
    }
    out.push_str("</svg>\n");
    out
}

// Writing to a String cannot fail, so the results of `write!` below carry nothing.

fn head(out: &mut String, width: f64, height: f64, title: &str, layered: &Layered) {
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"28\" font-size=\"16\" font-weight=\"600\">{}</text>",
        escape(title),
    );
    if let Some(nodes) = layered.summary_of {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"28\" font-size=\"12\" text-anchor=\"end\" fill=\"#666\">{nodes} nodes, drawn in groups</text>",
            width - MARGIN
        );
    }
    for (i, state) in State::ALL.iter().enumerate() {
        let (fill, border) = state.colours();
        let x = MARGIN + 130.0 * i as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"42\" width=\"14\" height=\"14\" rx=\"3\" fill=\"{fill}\" stroke=\"{border}\"/>\
             <text x=\"{}\" y=\"53\" font-size=\"12\">{}</text>",
            x + 20.0,
            state.label()
        );
    }
}

fn edge(out: &mut String, from: (f64, f64), to: (f64, f64), count: u64) {
    let (x1, y1) = (from.0 + BOX.0, from.1 + BOX.1 / 2.0);
    let (x2, y2) = (to.0, to.1 + BOX.1 / 2.0);
    let bend = (x2 - x1) / 2.0;
    // Thicker for more edges, but not in proportion: 1000 edges are four times as thick as one.
    let thick = 1.0 + (count as f64).log10();
    let _ = writeln!(
        out,
        "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#9aa5b8\" stroke-width=\"{thick:.1}\" opacity=\"0.75\"/>",
        x1 + bend,
        x2 - bend
    );
}

fn draw(out: &mut String, node: &Node, (x, y): (f64, f64)) {
    let (fill, border) = node.state.colours();
    let detail = node.detail();
    let dash = if node.state == State::Absent {
        " stroke-dasharray=\"4 3\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<g><title>{}\n{}{}{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"7\" fill=\"{fill}\" stroke=\"{border}\"{dash}/>\
         <text x=\"{}\" y=\"{}\" font-size=\"12\" text-anchor=\"middle\">{}</text>\
         <text x=\"{}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\" fill=\"#555\">{}</text></g>",
        escape(&node.label),
        node.state.label(),
        if detail.is_empty() { "" } else { ": " },
        escape(&detail),
        BOX.0,
        BOX.1,
        x + BOX.0 / 2.0,
        y + if detail.is_empty() { 24.0 } else { 18.0 },
        escape(&shorten(&node.label)),
        x + BOX.0 / 2.0,
        y + 32.0,
        escape(&detail),
    );
}

// The end of a path tells more than its beginning.
fn shorten(label: &str) -> String {
    let length = label.chars().count();
    if length <= FIT {
        return label.to_owned();
    }
    let tail: String = label.chars().skip(length - (FIT - 1)).collect();
    format!("\u{2026}{tail}")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Control characters are not allowed in XML at all.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::grid;
    use super::*;

    #[test]
    fn boxes_and_edges_are_drawn_and_text_is_escaped() {
        let mut drawing = grid(3, 3);
        drawing.nodes[0].label = "<a> & \u{1}".to_owned();
        let text = svg(drawing, 100, "t & u");
        assert_eq!(text.matches("<g>").count(), 9);
        assert_eq!(text.matches("<path").count(), 12);
        assert!(text.contains("t &amp; u") && text.contains("&lt;a&gt; &amp;  "));
        assert!(!text.contains("drawn in groups"));
    }

    #[test]
    fn a_summary_says_how_many_nodes_it_stands_for() {
        let text = svg(grid(3, 300), 400, "t");
        assert_eq!(text.matches("<g>").count(), 3);
        assert!(text.contains("900 nodes, drawn in groups") && text.contains("300 nodes"));
    }

    #[test]
    fn an_empty_drawing_is_still_a_picture() {
        assert!(svg(Drawing::default(), 10, "none").ends_with("</svg>\n"));
    }
}
