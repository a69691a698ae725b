//! What is promised of the mistakes of a file: each has its place within it, and is told.

use std::path::Path;

use deriva_cli::foreign::Wrong;

/// The file that inputs are the text of. It is not read.
pub(crate) fn path() -> &'static Path {
    Path::new("given.toml")
}

/// Each mistake lies in the text, says something, and is told with its place.
pub(crate) fn check_wrong(text: &str, wrong: &Wrong) {
    assert!(!wrong.mistakes.is_empty());
    assert!(wrong.told.starts_with("given.toml has "), "{}", wrong.told);
    let lines: Vec<&str> = text.split('\n').collect();
    for (at, mistake) in wrong.mistakes.iter().enumerate() {
        let (line, column) = (mistake.line, mistake.column);
        assert!((1..=lines.len()).contains(&line), "{mistake:?}");
        let columns = lines[line - 1].chars().count() + 1;
        assert!((1..=columns).contains(&column), "{mistake:?}");
        assert!(!mistake.message.trim().is_empty(), "{mistake:?}");
        let told = format!("given.toml:{line}:{column}: {}", mistake.message);
        assert!(
            at >= 20 || wrong.told.contains(&told),
            "{told} in {}",
            wrong.told
        );
    }
}
