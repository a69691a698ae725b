//! Pipeline files.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use deriva::functions::{FunctionRegistry, builtin};
use deriva_cli::foreign;

use crate::Read;
use crate::file::{check_wrong, path};

static FUNCTIONS: LazyLock<FunctionRegistry> = LazyLock::new(builtin);

/// Bytes as the text of a pipeline file, which names functions that come with deriva.
pub fn read(bytes: &[u8]) -> Read {
    let Ok(text) = str::from_utf8(bytes) else {
        return Read::Refused;
    };
    let read = || foreign::pipeline(path(), text, &FUNCTIONS);
    let says = match read() {
        Ok(says) => says,
        Err(wrong) => {
            check_wrong(text, &wrong);
            return Read::Refused;
        }
    };
    assert_eq!(read(), Ok(says.clone()));
    assert!(!says.sources.is_empty() && !says.steps.is_empty());
    let steps = says.steps.iter().map(|(name, _)| name);
    let names: BTreeSet<&String> = says.sources.iter().chain(steps).collect();
    assert_eq!(names.len(), says.sources.len() + says.steps.len());
    for (at, (name, reads)) in says.steps.iter().enumerate() {
        assert!(!reads.is_empty(), "{name}");
        let before = says.sources.len() + at;
        assert!(
            reads.iter().all(|from| *from < before),
            "{name} reads {reads:?}"
        );
    }
    for output in &says.outputs {
        let is_plain = |part: &str| !part.is_empty() && part != "..";
        let path = output.trim_end_matches('/');
        assert!(is_plain(path) && !path.starts_with('/') && path.split('/').all(|it| it != ".."));
    }
    Read::Taken
}
