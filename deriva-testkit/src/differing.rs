//! Where two answers go apart, for people: of long lists the first item that differs, and how long they are.
//!
//! It looks at what `Debug` printed, so that it serves whatever can be compared, and costs nothing while
//! all is well.

use std::fmt;

/// The longest text that is shown of an answer, in characters.
const LONGEST: usize = 400;

/// What was answered and what was expected, as `Debug` prints them, where they are not the same.
pub(crate) struct Differing<'a> {
    /// Who answered, and what it answered.
    pub(crate) found: (&'a str, &'a str),
    /// Who is right, and what it says.
    pub(crate) expected: (&'a str, &'a str),
}

impl fmt::Display for Differing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut found, mut expected) = (self.found.1, self.expected.1);
        // A list may hold lists.
        while let (Some(of_found), Some(of_expected)) = (List::of(found), List::of(expected)) {
            if of_found.around != of_expected.around || of_found.items == of_expected.items {
                break;
            }
            let items = of_found.items.iter().zip(&of_expected.items);
            let at = items
                .take_while(|(found, expected)| found == expected)
                .count();
            let (len, wanted) = (of_found.items.len(), of_expected.items.len());
            writeln!(
                f,
                "item {at} is the first that differs, of {len} where {wanted} were expected"
            )?;
            found = of_found.items.get(at).copied().unwrap_or("nothing");
            expected = of_expected.items.get(at).copied().unwrap_or("nothing");
        }
        let width = self.found.0.len().max(self.expected.0.len());
        writeln!(f, "{:>width$}: {}", self.found.0, cut(found, expected))?;
        write!(f, "{:>width$}: {}", self.expected.0, cut(expected, found))
    }
}

/// The first list in a text, and what stands around it.
struct List<'a> {
    around: (&'a str, &'a str),
    items: Vec<&'a str>,
}

impl<'a> List<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let start = text.find('[')? + 1;
        let (mut depth, mut quoted, mut escaped) = (0, false, false);
        let (mut items, mut item) = (Vec::new(), start);
        for (at, c) in text[start..].char_indices().map(|(at, c)| (start + at, c)) {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '[' | '(' | '{' => depth += 1,
                ']' if depth == 0 => {
                    items.extend((item < at).then(|| text[item..at].trim()));
                    let around = (&text[..start], &text[at..]);
                    return Some(Self { around, items });
                }
                ']' | ')' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    items.push(text[item..at].trim());
                    item = at + 1;
                }
                _ => {}
            }
        }
        None
    }
}

/// A text as it is, or of a long one what lies around the place where it leaves the other.
fn cut(text: &str, other: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let same = text.chars().zip(other.chars());
    let same = same.take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(LONGEST / 4);
    let shown: String = text.chars().skip(from).take(LONGEST).collect();
    let before = if from > 0 { "…" } else { "" };
    let rest = if from + LONGEST < text.chars().count() {
        "…"
    } else {
        ""
    };
    format!("{before}{shown}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(found: &impl fmt::Debug, expected: &impl fmt::Debug) -> String {
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        let differing = Differing {
            found: ("the store", &found),
            expected: ("expected", &expected),
        };
        differing.to_string()
    }

    #[test]
    fn of_lists_the_first_difference_is_told() {
        let expected: Vec<Option<u32>> = (0..300).map(Some).collect();
        let mut found = expected.clone();
        found[64] = Some(63);
        assert_eq!(
            tell(&found, &expected),
            "item 64 is the first that differs, of 300 where 300 were expected\n\
             the store: Some(63)\n expected: Some(64)"
        );
        assert_eq!(
            tell(&found[..64].to_vec(), &expected),
            "item 64 is the first that differs, of 64 where 300 were expected\n\
             the store: nothing\n expected: Some(64)"
        );
    }

    #[test]
    fn lists_in_lists_and_in_answers_are_looked_into() {
        let found = Some(vec![("a, ]", vec![1, 2]), ("b", vec![3])]);
        let expected = Some(vec![("a, ]", vec![1, 2]), ("b", vec![])]);
        assert_eq!(
            tell(&found, &expected),
            "item 1 is the first that differs, of 2 where 2 were expected\n\
             item 0 is the first that differs, of 1 where 0 were expected\n\
             the store: 3\n expected: nothing"
        );
    }

    #[test]
    fn long_texts_are_shown_where_they_go_apart() {
        let told = tell(&format!("{}x", "-".repeat(5000)), &"-".repeat(6000));
        assert!(told.contains("-x\""), "{told}");
        assert!(told.len() < 1200, "{told}");
        assert_eq!(tell(&1, &2), "the store: 1\n expected: 2");
    }
}
