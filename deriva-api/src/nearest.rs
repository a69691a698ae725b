//! What somebody meant who misspelt a name.

/// The one of `known` that is most like `text` (Jaro-Winkler), where one is like enough to be meant; of equals the
/// first. For messages that ask "did you mean".
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this likeness a suggestion confuses more than it helps; found by trying misspellings.
    const LIKE_ENOUGH: f64 = 0.8;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_nonsense_is_not() {
        let known = ["memory", "sled", "redb", "sledge"];
        assert_eq!(nearest("slde", known), Some("sled"));
        assert_eq!(nearest("memry", known), Some("memory"));
        assert_eq!(nearest("sledg", known), Some("sledge"));
        assert_eq!(nearest("postgres", known), None);
        assert_eq!(nearest("sled", []), None);
    }
}
