//! Families: what each has, and how they are found. They lie in `families/table.rs`.

mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use table::SECTIONS;

/// What sort of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size.
    Histogram(Buckets),
}

/// The bounds of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// Powers of four, from 64 ns to 275 s.
    Seconds,
    /// Powers of sixteen, from 16 B to 4 GiB.
    Bytes,
    /// Powers of four, from 1 to 1 million.
    Count,
}

impl Buckets {
    /// The powers of four that are bounds.
    pub(crate) const fn powers(self) -> &'static [usize] {
        match self {
            Self::Seconds => &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
            Self::Bytes => &[2, 4, 6, 8, 10, 12, 14, 16],
            Self::Count => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        }
    }

    /// What a number that was noted is in the unit of the family.
    pub(crate) fn in_unit(self, value: u64) -> f64 {
        match self {
            Self::Seconds => value as f64 / 1e9,
            Self::Bytes | Self::Count => value as f64,
        }
    }
}

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What sort of numbers it has.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// What some families are about together.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The families.
    pub families: &'static [Family],
}

/// The family of this name: each that is asked for is one of the table.
#[allow(clippy::expect_used, reason = "a test notes every family")]
pub(crate) fn family(name: &str) -> &'static Family {
    static BY_NAME: LazyLock<HashMap<&str, &Family>> =
        LazyLock::new(|| families().map(|family| (family.name, family)).collect());
    BY_NAME.get(name).expect("a family of the table")
}

/// All families.
pub fn families() -> impl Iterator<Item = &'static Family> {
    SECTIONS.iter().flat_map(|section| section.families)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    /// `docs/reference/metrics.md` says what the table says. `UPDATE_DOCS=1` writes it anew.
    #[test]
    fn the_reference_page_matches_the_table() {
        const OPENING: &str = "<!-- generated -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, _) = page.split_once(OPENING).unwrap();
        let mut expected = format!("{head}{OPENING}");
        for section in SECTIONS {
            writeln!(expected, "\n## {}\n", section.title).unwrap();
            expected.push_str("| family | type | labels | what it means |\n|---|---|---|---|\n");
            for family in section.families {
                let kind = match family.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram(Buckets::Seconds) => "histogram, seconds",
                    Kind::Histogram(Buckets::Bytes) => "histogram, bytes",
                    Kind::Histogram(Buckets::Count) => "histogram, numbers",
                };
                let labels: Vec<String> = (family.labels.iter())
                    .map(|label| format!("`{label}`"))
                    .collect();
                let (name, labels, help) = (family.name, labels.join(", "), family.help);
                writeln!(expected, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
            }
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, expected).unwrap();
            return;
        }
        let what = "docs/reference/metrics.md is out of date: run this test with UPDATE_DOCS=1";
        assert!(page == expected, "{what}");
    }

    /// Prometheus's conventions, as `promtool check metrics` has them, and some of our own.
    #[test]
    fn names_and_help_keep_to_the_conventions() {
        let mut names = std::collections::BTreeSet::new();
        for family in families() {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("deriva_"), "{name}");
            let is_total = name.ends_with("_total");
            assert_eq!(is_total, family.kind == Kind::Counter, "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            match family.kind {
                Kind::Histogram(Buckets::Seconds) => assert!(name.ends_with("_seconds"), "{name}"),
                Kind::Histogram(Buckets::Bytes) => assert!(name.ends_with("_bytes"), "{name}"),
                _ => {}
            }
        }
    }
}
