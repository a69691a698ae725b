//! Mistakes in a pipeline file: where they are, what was expected, and how they are shown.

use std::ops::Range;
use std::path::{Path, PathBuf};

use deriva::Error;
use deriva::authors::nearest;

/// The first N are told; the others are counted.
const MOST_TOLD: usize = 20;
/// Names are suggested for the first N mistakes of a file.
pub(crate) const MOST_SUGGESTED: usize = 100;

/// One mistake, at a place in the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Bytes of the text that are wrong.
    pub(crate) at: Range<usize>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead, where something can be said.
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
        }
    }

    /// What a function says of inputs or params that do not fit.
    pub(crate) fn unfit(at: Range<usize>, error: &Error) -> Self {
        let details: Vec<String> = error
            .contexts()
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        let mistake = match details.as_slice() {
            [] => Self::new(at, error.message()),
            _ => Self::new(at, format!("{} ({})", error.message(), details.join(", "))),
        };
        match error.advice() {
            Some(advice) => mistake.help(advice),
            None => mistake,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All mistakes of one file, with the text that they point into.
#[derive(Clone, Debug)]
pub(crate) struct Mistakes {
    path: PathBuf,
    text: String,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// Sorts by place; the same complaint at the same place is kept once.
    pub(crate) fn new(path: &Path, text: &str, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|mistake| (mistake.at.start, mistake.at.end));
        list.dedup();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            list,
        }
    }

    /// The heading: the file and how many mistakes it has.
    pub(crate) fn title(&self) -> String {
        let path = self.path.display();
        match self.list.len() {
            1 => format!("{path} has a mistake"),
            n => format!("{path} has {n} mistakes"),
        }
    }

    /// Everything below the heading: for each mistake its place, the line quoted, and the help.
    pub(crate) fn body(&self) -> String {
        let told = self.list.iter().take(MOST_TOLD);
        let mut parts: Vec<String> = told.map(|mistake| self.quote(mistake)).collect();
        match self.list.len().saturating_sub(MOST_TOLD) {
            0 => {}
            more => parts.push(format!("and {more} more\n")),
        }
        parts.join("\n")
    }

    /// Each mistake with its line and column, counted from 1.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize, &Mistake)> {
        self.list.iter().map(|mistake| {
            let (line, column, _) = self.place(mistake.at.start);
            (line, column, mistake)
        })
    }

    fn quote(&self, mistake: &Mistake) -> String {
        let (line, column, text) = self.place(mistake.at.start);
        let width = self.text[mistake.at.clone()]
            .lines()
            .next()
            .map_or(1, |marked| marked.chars().count().max(1));
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the marker stands under what it marks.
        let indent: String = text
            .chars()
            .take(column - 1)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let mut out = format!(
            "{}:{line}:{column}: {}\n  {number} | {text}\n  {margin} | {indent}{}\n",
            self.path.display(),
            mistake.message,
            "^".repeat(width),
        );
        if let Some(help) = &mistake.help {
            out.push_str(&format!("  {margin} = {help}\n"));
        }
        out
    }

    fn place(&self, offset: usize) -> (usize, usize, &str) {
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count() + 1;
        let text = self.text[start..].lines().next().unwrap_or_default();
        (line, column, text)
    }
}

/// "did you mean" for `found` among `known`, or else the list of what is known.
pub(crate) fn suggest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(found, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => {
            let list: Vec<String> = known.iter().take(MOST).map(|k| format!("`{k}`")).collect();
            let more = match known.len().saturating_sub(MOST) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            Some(format!("known here: {}{more}", list.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "a = 1\n\tß = \"é\" # x\n";
        let at = text.find("\"é\"").unwrap();
        let mistakes = Mistakes::new(
            Path::new("p.toml"),
            text,
            vec![Mistake::new(at..at + 4, "bad").help("good")],
        );
        assert_eq!(
            mistakes.body(),
            "p.toml:2:6: bad\n  2 | \tß = \"é\" # x\n    | \t    ^^^\n    = good\n"
        );
    }

    #[test]
    fn a_mistake_at_the_end_of_the_text_has_a_place() {
        let mistakes = Mistakes::new(Path::new("p"), "", vec![Mistake::new(0..0, "empty")]);
        assert!(mistakes.body().starts_with("p:1:1: empty"));
    }

    #[test]
    fn near_names_are_suggested_and_others_listed() {
        assert_eq!(
            suggest("wrods", ["words", "top"]).unwrap(),
            "did you mean `words`?"
        );
        assert_eq!(
            suggest("zzz", ["words", "top"]).unwrap(),
            "known here: `words`, `top`"
        );
        assert_eq!(suggest("zzz", []), None);
    }
}
