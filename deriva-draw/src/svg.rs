//! SVG, drawn without other programs: layers from left to right, inputs on the left.

use std::fmt::Write;

use crate::drawing::{Drawing, Layered, Node, State};
use crate::layers;

const BOX_HEIGHT: f64 = 40.0;
/// Boxes are as wide as the longest label needs, within these.
const BOX_WIDTH: (f64, f64) = (190.0, 420.0);
/// Between a box's sides and the text in it.
const PADDING: f64 = 10.0;
/// Fewer boxes than these are not drawn side by side in a layer.
const SHORT: usize = 40;
const GAP: (f64, f64) = (70.0, 14.0);
/// Sizes of the letters.
const LABEL: f64 = 12.0;
const DETAIL: f64 = 10.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 74.0;

/// The drawing as SVG; with more than `limit` nodes, its summary.
#[must_use]
pub fn svg(drawing: Drawing, limit: usize, title: &str) -> String {
    svg_zoomed(drawing, limit, title, 1.0)
}

/// As [`svg`], in another size: with a `zoom` of 2, twice as wide and twice as high. All else is the same.
#[must_use]
pub fn svg_zoomed(drawing: Drawing, limit: usize, title: &str, zoom: f64) -> String {
    let layered = drawing.layered(limit);
    let texts = layered.nodes.iter().map(|node| {
        let detail = width_of(&node.detail()) * DETAIL / LABEL;
        width_of(&node.label).max(detail) + 2.0 * PADDING
    });
    let wide = texts.fold(BOX_WIDTH.0, f64::max).min(BOX_WIDTH.1).ceil();
    // A high layer stands in several columns, so that the picture is about as wide as it is high.
    let shape = (wide + GAP.0) / (BOX_HEIGHT + GAP.1);
    let most = SHORT.max((layered.nodes.len() as f64 * shape).sqrt() as usize);
    let ordered = layers::ordered(&layered.layer, &layered.edges);
    let rows: Vec<&[u32]> = ordered
        .iter()
        .flat_map(|layer| {
            layer.chunks(
                layer
                    .len()
                    .div_ceil(layer.len().div_ceil(most).max(1))
                    .max(1),
            )
        })
        .collect();
    let tallest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let legend_width = 130.0 * State::ALL.len() as f64;
    let width = (2.0 * MARGIN + rows.len() as f64 * (wide + GAP.0) - GAP.0)
        .max(2.0 * MARGIN + legend_width);
    let height = HEAD + tallest as f64 * (BOX_HEIGHT + GAP.1) + MARGIN;
    let mut place = vec![(0.0, 0.0); layered.nodes.len()];
    for (x, row) in rows.iter().enumerate() {
        // Short columns are centred.
        let top = HEAD + (tallest - row.len()) as f64 * (BOX_HEIGHT + GAP.1) / 2.0;
        for (y, node) in row.iter().enumerate() {
            let left = MARGIN + x as f64 * (wide + GAP.0);
            place[*node as usize] = (left, top + y as f64 * (BOX_HEIGHT + GAP.1));
        }
    }
    let mut out = String::new();
    head(&mut out, (width, height), zoom, title, &layered);
    for (from, to, count) in &layered.edges {
        let ends = (place[*from as usize], place[*to as usize]);
        edge(&mut out, ends, wide, *count);
    }
    for (node, at) in layered.nodes.iter().zip(&place) {
        draw(&mut out, node, *at, wide);
    }
    out.push_str("</svg>\n");
    out
}

// Writing to a String cannot fail, so the results of `write!` below carry nothing.

fn head(out: &mut String, (width, height): (f64, f64), zoom: f64, title: &str, layered: &Layered) {
    let (wide, high) = (width * zoom, height * zoom);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n\
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

fn edge(out: &mut String, (from, to): ((f64, f64), (f64, f64)), wide: f64, count: u64) {
    let (x1, y1) = (from.0 + wide, from.1 + BOX_HEIGHT / 2.0);
    // To the left side of a box further right, and round to the right side of another.
    let right = to.0 > from.0;
    let (x2, y2) = (
        if right { to.0 } else { to.0 + wide },
        to.1 + BOX_HEIGHT / 2.0,
    );
    let (bend, back) = match right {
        true => ((x2 - x1) / 2.0, (x2 - x1) / 2.0),
        false => (GAP.0 / 2.0, -GAP.0 / 2.0),
    };
    // Thicker for more edges, but not in proportion: 1000 edges are four times as thick as one.
    let thick = 1.0 + (count as f64).log10();
    let _ = writeln!(
        out,
        "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#9aa5b8\" stroke-width=\"{thick:.1}\" opacity=\"0.75\"/>",
        x1 + bend,
        x2 - back
    );
}

fn draw(out: &mut String, node: &Node, (x, y): (f64, f64), wide: f64) {
    let (fill, border) = node.state.colours();
    let detail = node.detail();
    let dash = if node.state == State::Absent {
        " stroke-dasharray=\"4 3\""
    } else {
        ""
    };
    if let Some(link) = &node.link {
        let _ = write!(out, "<a href=\"{}\">", escape(link));
    }
    let _ = write!(
        out,
        "<g><title>{}\n{}{}{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"7\" fill=\"{fill}\" stroke=\"{border}\"{dash}/>\
         <text x=\"{}\" y=\"{}\" font-size=\"{LABEL}\" text-anchor=\"middle\">{}</text>\
         <text x=\"{}\" y=\"{}\" font-size=\"{DETAIL}\" text-anchor=\"middle\" fill=\"#555\">{}</text></g>",
        escape(&node.label),
        node.state.label(),
        if detail.is_empty() { "" } else { ": " },
        escape(&detail),
        wide,
        BOX_HEIGHT,
        x + wide / 2.0,
        y + if detail.is_empty() { 24.0 } else { 18.0 },
        escape(&shorten(&node.label, wide - 2.0 * PADDING)),
        x + wide / 2.0,
        y + 32.0,
        escape(&detail),
    );
    out.push_str(match node.link {
        Some(_) => "</a>\n",
        None => "\n",
    });
}

/// About as wide as a text is in the size of labels, rather too much than too little: no font is at hand.
fn width_of(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ',' | ':' | ';' | '/' | ' ' | '|' | '\'' => 5.0,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 11.5,
        c if c.is_uppercase() => 9.0,
        c if c.is_ascii() => 7.2,
        '\u{80}'..='\u{24f}' | '\u{2026}' => 8.5,
        // As wide as high: the characters of East Asia.
        _ => 12.0,
    }
}

/// What fits: the beginning names a function or a step, the end of a path tells more than its middle.
fn shorten(label: &str, width: f64) -> String {
    if width_of(label) <= width {
        return label.to_owned();
    }
    let dots = '\u{2026}';
    let fitting = |width: f64, chars: &mut dyn Iterator<Item = char>| -> Vec<char> {
        let mut left = width;
        chars
            .take_while(|c| {
                left -= char_width(*c);
                left >= 0.0
            })
            .collect()
    };
    let room = width - char_width(dots);
    let head: String = fitting(room * 0.4, &mut label.chars())
        .into_iter()
        .collect();
    let tail = fitting(room * 0.6, &mut label.chars().rev());
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}{dots}{tail}")
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
    use super::*;
    use crate::drawing::tests::grid;

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

    /// The number behind ` name="` in the tag of the picture.
    fn number(text: &str, name: &str) -> f64 {
        let start = text.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        let rest = &text[start..];
        rest[..rest.find('"').unwrap()].parse().unwrap()
    }

    #[test]
    fn a_wide_layer_is_no_tower() {
        let text = svg(grid(2, 1500), 3000, "t");
        assert_eq!(text.matches("<g>").count(), 3000);
        let (width, height) = (number(&text, "width"), number(&text, "height"));
        assert!(height < 10_000.0 && width < 20_000.0, "{width} x {height}");
    }

    #[test]
    fn a_name_is_whole_where_there_is_room_and_keeps_both_ends_where_not() {
        let mut drawing = grid(2, 3);
        drawing.nodes[0].label = "counts: some/folder/of/a/project.rs".to_owned();
        let text = svg(drawing.clone(), 100, "t");
        assert!(text.contains(">counts: some/folder/of/a/project.rs</text>"));
        let long = format!("counts: {}/end.rs", "folder/".repeat(40));
        drawing.nodes[0].label = long.clone();
        let text = svg(drawing, 100, "t");
        assert!(text.contains(">counts: fol") && text.contains("/end.rs</text>"));
        let room = BOX_WIDTH.1 - 2.0 * PADDING;
        assert!(width_of(&shorten(&long, room)) <= room);
        assert!(width_of(&shorten(&"W".repeat(99), room)) <= room);
    }

    #[test]
    fn a_zoom_changes_the_size_and_nothing_else() {
        let (text, large) = (
            svg(grid(3, 3), 100, "t"),
            svg_zoomed(grid(3, 3), 100, "t", 2.0),
        );
        for name in ["width", "height"] {
            assert_eq!(number(&large, name), 2.0 * number(&text, name));
        }
        let rest = |text: &str| text[text.find(" viewBox").unwrap()..].to_owned();
        assert_eq!(rest(&large), rest(&text));
    }

    #[test]
    fn a_node_leads_where_it_is_said_and_a_group_leads_nowhere() {
        let mut drawing = grid(2, 3);
        for node in &mut drawing.nodes {
            node.link = Some("/a?b=1&c=\"2\"".to_owned());
        }
        let text = svg(drawing.clone(), 100, "t");
        assert_eq!(
            text.matches("<a href=\"/a?b=1&amp;c=&quot;2&quot;\"><g>")
                .count(),
            6
        );
        assert_eq!(text.matches("</g></a>").count(), 6);
        assert!(!svg(drawing, 2, "t").contains("<a "));
    }

    #[test]
    fn an_empty_drawing_is_still_a_picture() {
        assert!(svg(Drawing::default(), 10, "none").ends_with("</svg>\n"));
    }
}
