//! The list of promises, for people and for programs.

use std::fmt::Write;

use deriva_testkit::{Case, Level, Subject, Suite};
use serde_json::json;

/// One line of JSON for each case: `case`, `promise`, `level`, `subject`.
#[must_use]
pub fn json() -> String {
    let mut text = String::new();
    for case in Suite::new().selected() {
        let line = json!({
            "case": case.name,
            "promise": case.promise,
            "level": case.level.to_string(),
            "subject": case.subject.to_string(),
        });
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The cases by subject and level, as they are printed.
#[must_use]
pub fn list() -> String {
    let mut text = String::new();
    for (subject, level, cases) in groups() {
        let _ = writeln!(text, "{}, {level}", title(subject));
        for case in cases {
            let _ = writeln!(text, "  {}\n      {}", case.name, case.promise);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{} cases", Suite::new().selected().count());
    text
}

/// The part of the reference page on promises that is made from the cases.
#[must_use]
pub fn page() -> String {
    let mut text = String::new();
    let mut last = None;
    for (subject, level, cases) in groups() {
        if last.replace(subject) != Some(subject) {
            let _ = writeln!(text, "\n## {}", title(subject));
        }
        let _ = writeln!(
            text,
            "\n### {}: {level}\n\n| promise | case |\n|---|---|",
            title(subject)
        );
        for case in cases {
            let promise = case.promise.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(text, "| {promise} | `{}` |", case.name);
        }
    }
    text.push('\n');
    text
}

fn title(subject: Subject) -> &'static str {
    match subject {
        Subject::Blobs => "Blob stores",
        Subject::Dag => "DAG stores",
        Subject::Executor => "Executors",
        Subject::Materializer => "Materializers",
    }
}

/// The cases of each subject and level, where there are any.
fn groups() -> impl Iterator<Item = (Subject, Level, Vec<&'static Case>)> {
    let pairs = Subject::ALL.iter().flat_map(|subject| {
        let levels = Level::ALL.iter();
        levels.map(|level| (*subject, *level))
    });
    pairs.filter_map(|(subject, level)| {
        let of = |case: &&Case| (case.subject, case.level) == (subject, level);
        let cases: Vec<_> = Suite::new().selected().filter(of).collect();
        (!cases.is_empty()).then_some((subject, level, cases))
    })
}
