//! A call that is cut by a kill is there as a whole or not at all: at system calls that change files, and at random
//! moments between a call and its answer.

use std::io::Write;

use conformance::proof::{Calls, prover};
use rstest::rstest;

/// Of each sort. The verb `calls` kills at every system call.
const KILLS: u64 = 24;

#[rstest]
#[case("sled")]
#[case("sled?durability=buffered")]
#[case("redb")]
#[case("redb?durability=buffered")]
#[case("files")]
#[case("files?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[cfg_attr(feature = "rocksdb", case("rocksdb?durability=buffered"))]
fn killed_calls_are_whole_or_absent(#[case] store: &str) {
    let calls = Calls {
        prover: prover(env!("CARGO_BIN_EXE_conformance"), store),
        kills: KILLS,
        seed: 1,
    };
    let report = calls.run().unwrap_or_else(|broken| panic!("{broken}"));
    // A buffered store is killed after an answer, and its calls are short.
    assert!(report.within > 0 || store.contains("buffered"), "{report}");
    match &report.not_checked {
        // Said aloud, past the capture of test output.
        Some(why) => {
            writeln!(std::io::stderr(), "NOT CHECKED: {store}: {why}").expect("stderr is there")
        }
        None => assert!(report.at_system_calls > KILLS / 2, "{report}"),
    }
}
