//! Words, links and numbers that several pages share.

use deriva::admin::NodeState;
use deriva::{CAddr, FunctionId, Value};
use form_urlencoded::Serializer;
use maud::{Markup, html};

/// A path with a query, whatever stands in its values.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut encoded = Serializer::new(String::new());
    encoded.extend_pairs(query);
    format!("{path}?{}", encoded.finish())
}

/// A link to the page of an address, which shows its first digits.
pub(super) fn short(addr: &CAddr) -> Markup {
    html! { a href={ "/address/" (addr) } { code.short { (addr.short()) } } }
}

/// A link to the page of a function.
pub(super) fn function(id: &FunctionId) -> Markup {
    let id = id.to_string();
    html! { a href=(link("/function", &[("id", &id)])) { code { (id) } } }
}

/// What is known of a node, as a word in a colour.
pub(super) fn badge(state: NodeState) -> Markup {
    let (class, word) = match state {
        NodeState::Leaf => ("good", "blob"),
        NodeState::Present => ("good", "present"),
        NodeState::Lost => ("warn", "output lost"),
        NodeState::Absent => ("quiet", "not computed"),
        NodeState::InFlight => ("busy", "being computed"),
        NodeState::UnknownFunction => ("warn", "unknown function"),
        NodeState::Condemned => ("bad", "condemned"),
        NodeState::Missing => ("bad", "missing"),
        _ => ("quiet", "unknown"),
    };
    html! { span class={ "badge " (class) } { (word) } }
}

/// The beginning of a text that may be long, of so much as `most` characters and a remark.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => isolated(text),
        Some((end, _)) => format!(
            "{}... ({} bytes in all)",
            isolated(&text[..end]),
            text.len()
        ),
    }
}

/// As much of a text as fits into a field of a form.
pub(super) fn fitting(text: &str) -> String {
    isolated(text).chars().take(80).collect()
}

/// Without the characters that turn the direction of what stands around them: they are shown by their numbers.
pub(super) fn isolated(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match turns(c) {
            true => out.push_str(&format!("[U+{:04X}]", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// The value of a param, as JSON, cut off.
pub(super) fn literal(value: &Value) -> String {
    let text = serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"));
    shortened(&text, 2048)
}

/// A number with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number that is not always known.
pub(super) fn known(n: Option<u64>) -> String {
    n.map_or_else(|| "not known".to_owned(), grouped)
}

/// Where a list goes on.
pub(super) fn more(next: Option<String>) -> Markup {
    html! {
        @if let Some(next) = next {
            p.more { a href=(next) rel="next" { "Next page" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_wrote_does_not_leave_its_place_in_a_link() {
        let link = link(
            "/function",
            &[("id", "a&b=\"c\"#<d>"), ("x", "javascript:1")],
        );
        assert_eq!(
            link,
            "/function?id=a%26b%3D%22c%22%23%3Cd%3E&x=javascript%3A1"
        );
    }

    #[test]
    fn long_texts_and_turned_ones_are_told_to_be_so() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("\u{e4}bcd", 2), "\u{e4}b... (5 bytes in all)");
        assert_eq!(isolated("a\u{202e}b"), "a[U+202E]b");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
