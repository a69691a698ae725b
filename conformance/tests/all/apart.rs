//! Cases in which a store may end the process run in one of their own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use conformance::UriFixture;
use deriva_api::{OpenedStore, Result, async_trait};
use deriva_testkit::proof::Program;
use deriva_testkit::{Fixture, Outcome, Report, Subject, Suite};
use rustix::process::{Signal, getpid, kill_process};

/// A store that dies as one that maps its files does, where they were cut off under it.
#[derive(Debug)]
struct Mapped {
    inner: UriFixture,
    mapped: AtomicU64,
    /// What it declares.
    notices_damage: bool,
}

#[async_trait]
impl Fixture for Mapped {
    async fn open(&self) -> Result<OpenedStore> {
        let bytes = self.folder().map_or(0, |folder| bytes_below(&folder));
        if bytes < self.mapped.fetch_max(bytes, Ordering::SeqCst) {
            // Rust takes the first one for itself, and leaves the next to the system.
            loop {
                kill_process(getpid(), Signal::BUS).expect("a process may kill itself");
                std::thread::yield_now();
            }
        }
        self.inner.open().await
    }

    fn persistent(&self) -> bool {
        true
    }

    fn folder(&self) -> Option<PathBuf> {
        self.inner.folder()
    }

    fn notices_damage(&self) -> bool {
        self.notices_damage
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// Runs cases about damage, those that need it in processes that come to the test `name`.
fn run(name: &str, notices_damage: bool) -> Report {
    let program =
        Program::this_test(&format!("{}::{name}", module_path!())).expect("a test binary");
    let suite = Suite::new().subject(Subject::Blobs).apart(program);
    let cases = ["the_empty_blob_is_a_blob", "a_lost_file_is_noticed"];
    let suite = suite.cases(&cases).expect("these are cases");
    suite.run(move || Mapped {
        inner: UriFixture::of("files", "none"),
        mapped: AtomicU64::new(0),
        notices_damage,
    })
}

#[test]
fn a_store_that_dies_of_a_signal_fails_its_case_and_no_other() {
    let report = run(
        "a_store_that_dies_of_a_signal_fails_its_case_and_no_other",
        true,
    );
    let [held, died] = &report.cases[..] else {
        panic!("two cases: {report}");
    };
    assert_eq!(held.outcome, Outcome::Held, "{report}");
    assert_eq!(died.outcome, Outcome::Failed, "{report}");
    let detail = died.detail.as_deref().unwrap_or_default();
    assert!(detail.contains("SIGBUS"), "{detail}");
}

#[test]
fn a_store_that_does_not_notice_damage_declares_it_and_the_report_says_so() {
    let name = "a_store_that_does_not_notice_damage_declares_it_and_the_report_says_so";
    let report = run(name, false);
    let [_, undeclared] = &report.cases[..] else {
        panic!("two cases: {report}");
    };
    assert_eq!(undeclared.outcome, Outcome::Unsupported, "{report}");
    let detail = undeclared.detail.as_deref().unwrap_or_default();
    assert!(detail.contains("damage: not declared"), "{detail}");
}
