//! What others see of each crate, held to the list beside this file: who changes it sees so in the list, and so does who
//! reviews it. It is read from the sources, so that it takes no other compiler and nothing is built for it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod printed;
mod source;
mod surface;

use std::fs;
use std::path::Path;

use similar::{ChangeTag, TextDiff};
use source::{Source, on_disk, written};
use surface::surface;

/// Set to write the lists anew.
const UPDATE: &str = "UPDATE_API";

fn holds(name: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("..").join(name).join("src/lib.rs");
    let found = surface(&Source::read(&root, &on_disk));
    let list = here.join(format!("tests/public_api/{name}.txt"));
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&list, found).unwrap();
        return;
    }
    let listed = fs::read_to_string(&list).unwrap_or_default();
    if let Some(difference) = difference(&listed, &found) {
        panic!(
            "what others see of {name} is not what is listed (- listed, + found):\n{difference}\n\
             If that is intended, write the list anew and say in CHANGELOG.md what users have to change:\n\
             {UPDATE}=1 cargo test -p conformance --no-default-features --test public_api\n"
        );
    }
}

/// The lines that two texts do not share.
fn difference(listed: &str, found: &str) -> Option<String> {
    let diff = TextDiff::from_lines(listed, found);
    let changed = diff.iter_all_changes();
    let changed = changed.filter(|change| change.tag() != ChangeTag::Equal);
    let lines: Vec<String> = changed
        .map(|change| format!("{} {}", change.tag(), change.value().trim_end()))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[test]
fn deriva_api() {
    holds("deriva-api");
}

#[test]
fn deriva_backends() {
    holds("deriva-backends");
}

#[test]
fn deriva_client() {
    holds("deriva-client");
}

#[test]
fn deriva_draw() {
    holds("deriva-draw");
}

#[test]
fn deriva_functions() {
    holds("deriva-functions");
}

#[test]
fn deriva_layers() {
    holds("deriva-layers");
}

#[test]
fn deriva_metrics() {
    holds("deriva-metrics");
}

#[test]
fn deriva_otel() {
    holds("deriva-otel");
}

#[test]
fn deriva_proto() {
    holds("deriva-proto");
}

#[test]
fn deriva_runtime() {
    holds("deriva-runtime");
}

#[test]
fn deriva_server() {
    holds("deriva-server");
}

#[test]
fn deriva_testkit() {
    holds("deriva-testkit");
}

#[test]
fn deriva() {
    holds("deriva");
}

/// Every crate that is published has a list, but for the command, whose library promises nothing.
#[test]
fn every_crate_that_others_depend_on_is_listed() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .unwrap();
    for package in metadata.workspace_packages() {
        let is_library = package.targets.iter().any(cargo_metadata::Target::is_lib);
        let is_published = package.publish.is_none() && package.name != "deriva-cli";
        let list = format!("tests/public_api/{}.txt", package.name);
        let is_listed = Path::new(env!("CARGO_MANIFEST_DIR")).join(&list).exists();
        assert_eq!(is_library && is_published, is_listed, "{list}");
    }
}

/// A crate that a test changes.
const LIB: &str = r#"
//! A crate.
mod store;
mod words;
#[cfg(test)]
mod tests;
pub mod deep;

pub use store::{Store, open};
pub use other::Name as Renamed;
"#;

const STORE: &str = r#"
use crate::words::Word;

/// A store.
#[derive(Debug)]
pub struct Store {
    /// How many.
    pub len: u64,
    path: String,
}

impl Store {
    /// Puts.
    pub fn put(&mut self, mut word: Word) -> bool {
        word.clear();
        self.grow()
    }

    fn grow(&mut self) -> bool {
        true
    }
}

pub fn open() -> Store {
    Store { len: 0, path: String::new() }
}

pub fn never_exported() {}
"#;

const WORDS: &str = r#"
pub struct Word(String);
"#;

const DEEP: &str = r#"
pub trait Engine {
    fn get(&self, key: &[u8]) -> Option<u64>;
    fn flush(&self) {
        let _ = self;
    }
}

impl Engine for crate::store::Store {
    fn get(&self, _: &[u8]) -> Option<u64> {
        None
    }
}

macro_rules! setter {
    ($name:ident) => {
        impl Deep {
            /// Sets.
            pub fn $name(self) -> Self {
                self
            }
        }
    };
}

pub struct Deep;
setter!(fast);
"#;

fn of(changes: &[(&str, &str, &str)]) -> String {
    let mut files = [
        ("src/lib.rs", LIB.to_owned()),
        ("src/store.rs", STORE.to_owned()),
        ("src/words.rs", WORDS.to_owned()),
        ("src/deep/mod.rs", DEEP.to_owned()),
    ];
    for (path, from, to) in changes {
        let file = files.iter_mut().find(|(known, _)| known == path).unwrap();
        assert!(file.1.contains(from), "{path} has no {from}");
        file.1 = file.1.replace(from, to);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    surface(&Source::read(Path::new("src/lib.rs"), &written(&files)))
}

#[test]
fn what_is_listed_is_what_others_see() {
    let expected = "\
pub use other::Name as Renamed;
#[derive(Debug)]
pub struct Store {
    pub len: u64,
    // and private ones
}
impl Store {
    pub fn put(&mut self, word: Word) -> bool;
}
impl Engine for crate::store::Store {}
pub fn open() -> Store;
pub mod deep {
    pub struct Deep;
    pub trait Engine {
        fn flush(&self) {}
        fn get(&self, key: &[u8]) -> Option<u64>;
    }
}
macro_rules! setter {
    ($name:ident) => {
        impl Deep { pub fn $name (self) -> Self { self } }
    };
}
setter!(fast);
";
    assert_eq!(of(&[]), expected);
}

/// A change, and what shows it: lines that go and lines that come.
#[track_caller]
fn shows(path: &str, from: &str, to: &str, expected: &str) {
    let shown = difference(&of(&[]), &of(&[(path, from, to)]));
    assert_eq!(shown.as_deref(), Some(expected));
}

#[test]
fn a_changed_signature_is_seen() {
    shows(
        "src/store.rs",
        "mut word: Word) -> bool {",
        "word: &Word) -> bool {",
        "-     pub fn put(&mut self, word: Word) -> bool;\n+     pub fn put(&mut self, word: &Word) -> bool;",
    );
    shows(
        "src/store.rs",
        "pub fn open() -> Store {",
        "pub async fn open() -> Store {",
        "- pub fn open() -> Store;\n+ pub async fn open() -> Store;",
    );
    shows(
        "src/deep/mod.rs",
        "-> Option<u64>;",
        "-> Result<u64>;",
        "-         fn get(&self, key: &[u8]) -> Option<u64>;\n+         fn get(&self, key: &[u8]) -> Result<u64>;",
    );
}

#[test]
fn a_method_more_or_less_is_seen() {
    shows(
        "src/store.rs",
        "    fn grow",
        "    pub fn grow",
        "+     pub fn grow(&mut self) -> bool;",
    );
    shows(
        "src/store.rs",
        "    pub fn put",
        "    pub(crate) fn put",
        "- impl Store {\n-     pub fn put(&mut self, word: Word) -> bool;\n- }",
    );
    // A default that goes: who implements the trait has to write it.
    shows(
        "src/deep/mod.rs",
        "fn flush(&self) {\n        let _ = self;\n    }",
        "fn flush(&self);",
        "-         fn flush(&self) {}\n+         fn flush(&self);",
    );
}

#[test]
fn a_name_that_is_gone_is_seen() {
    shows(
        "src/lib.rs",
        "{Store, open}",
        "Store",
        "- pub fn open() -> Store;",
    );
    shows(
        "src/lib.rs",
        "pub use other::Name as Renamed;",
        "",
        "- pub use other::Name as Renamed;",
    );
    shows("src/store.rs", "pub len", "len", "-     pub len: u64,");
    shows("src/store.rs", "#[derive(Debug)]", "", "- #[derive(Debug)]");
    shows(
        "src/store.rs",
        "#[derive(Debug)]",
        "impl From<u64> for Store {}\n#[derive(Debug)]",
        "+ impl From<u64> for Store {}",
    );
    shows(
        "src/lib.rs",
        "pub use other",
        "#[doc(hidden)]\npub use other",
        "- pub use other::Name as Renamed;",
    );
}

#[test]
fn what_a_macro_makes_is_seen_by_its_calls() {
    shows(
        "src/deep/mod.rs",
        "setter!(fast)",
        "setter!(faster)",
        "- setter!(fast);\n+ setter!(faster);",
    );
}

#[test]
fn what_others_do_not_see_is_not_listed() {
    for (path, from, to) in [
        (
            "src/store.rs",
            "fn grow(&mut self)",
            "fn grow_more(&mut self)",
        ),
        ("src/store.rs", "self.grow()", "self.grow() || true"),
        ("src/store.rs", "/// A store.", "/// Another store."),
        ("src/store.rs", "path: String,", "path: std::path::PathBuf,"),
        ("src/store.rs", "never_exported", "never"),
        ("src/words.rs", "Word(String)", "Word(Vec<u8>)"),
        (
            "src/words.rs",
            "pub struct",
            "impl From<Word> for crate::store::Store {}\npub struct",
        ),
        ("src/deep/mod.rs", "let _ = self;", ""),
        ("src/deep/mod.rs", "/// Sets.", "/// Sets it."),
    ] {
        assert_eq!(of(&[]), of(&[(path, from, to)]), "{from}");
    }
}

#[test]
fn an_item_of_two_names_is_shown_once() {
    let both = of(&[(
        "src/deep/mod.rs",
        "pub struct Deep;",
        "pub use crate::store::Store;\npub struct Deep;",
    )]);
    let shown = difference(&of(&[]), &both);
    assert_eq!(shown.as_deref(), Some("+     pub use crate::Store;"));
}

#[test]
#[should_panic(expected = "nothing is found under `pub use store::gone`")]
fn an_export_of_nothing_is_refused() {
    of(&[("src/lib.rs", "{Store, open}", "gone")]);
}
