//! What a store acknowledged is there in the disk states that a loss of power may leave.

use std::collections::BTreeSet;
use std::io::Write;

use conformance::proof::prover;
use deriva_testkit::power::SyncKind::{Fdatasync, FileSystem, Folder, Fsync};
use deriva_testkit::power::{Model, Power, PowerReport, Scenario, SyncKind};
use rstest::rstest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conformance");

/// States of each store. The command looks at thousands.
const STATES: u64 = 90;

/// What came of it, or nothing where no process can be traced, which is said aloud.
fn replayed(power: &Power) -> Option<PowerReport> {
    match power.run(|_| {}) {
        Err(broken) => panic!("{broken}"),
        Ok(Ok(report)) => Some(report),
        Ok(Err(why)) => {
            // Past the capture of test output.
            writeln!(std::io::stderr(), "NOT CHECKED: power: {why}").expect("stderr is there");
            None
        }
    }
}

#[rstest]
#[case("sled")]
#[case("sled?durability=buffered")]
#[case("redb")]
#[case("redb?durability=buffered")]
#[case("files")]
#[case("files?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
#[cfg_attr(feature = "rocksdb", case("rocksdb?durability=buffered"))]
fn nothing_acknowledged_is_lost_with_the_power(#[case] store: &str) {
    let power = Power::new(prover(PROGRAM, store), STATES, 1);
    let Some(report) = replayed(&power) else {
        return;
    };
    assert!(report.held(), "{store}\n{report}");
    assert_eq!(report.states(), STATES, "{store}\n{report}");
    for model in Model::ALL {
        assert!(report.total(model).acknowledged > 100, "{store}\n{report}");
    }
    let scenarios: BTreeSet<Scenario> = report
        .tallies
        .keys()
        .map(|(scenario, _)| *scenario)
        .collect();
    assert_eq!(scenarios, Scenario::ALL.into(), "{store}");
}

/// The replay itself: it misses each sync that an acknowledgement of a durable store, or a flush of a buffered one,
/// needs.
#[rstest]
#[case("sled", &[Fsync, Fdatasync, Folder])]
#[case("sled?durability=buffered", &[FileSystem])]
#[case("redb", &[Fsync, Fdatasync, Folder])]
#[case("redb?durability=buffered", &[FileSystem])]
#[case("files", &[Fsync, Fdatasync, Folder])]
#[case("files?durability=buffered", &[FileSystem])]
#[cfg_attr(feature = "rocksdb", case("rocksdb", &[Fsync, Fdatasync, Folder]))]
#[cfg_attr(feature = "rocksdb", case("rocksdb?durability=buffered", &[FileSystem]))]
fn a_sync_that_is_taken_out_is_missed(#[case] store: &str, #[case] needed: &[SyncKind]) {
    let mut power = Power::new(prover(PROGRAM, store), 0, 1);
    power.scenarios = vec![Scenario::Life];
    let Some(report) = replayed(&power) else {
        return;
    };
    let used: BTreeSet<SyncKind> = report.syncs;
    if !needed.contains(&FileSystem) {
        // A flush may ask for more than is left to be done.
        let others = used.iter().filter(|kind| **kind != FileSystem);
        assert!(others.eq(needed), "{store} asks for {used:?}");
    }
    for kind in needed {
        assert!(used.contains(kind), "{store} asks for no {kind}");
        power.states = 300;
        power.scenarios = match kind {
            FileSystem => vec![Scenario::Life],
            _ => vec![Scenario::Creation],
        };
        power.without = Some(*kind);
        power.until_failed = true;
        let Some(report) = replayed(&power) else {
            return;
        };
        assert!(
            !report.held(),
            "{store} without {kind}: nothing was missed\n{report}"
        );
    }
}

#[test]
fn the_command_prints_a_line_for_each_store_model_and_scenario() {
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["power", "--stores", "files", "--states", "12", "--json"]);
        let output = command
            .args(["--scenarios", "creation"])
            .args(more)
            .output();
        let output = output.expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    };
    let (output, said) = run(&[]);
    if said.contains("NOT CHECKED") {
        writeln!(std::io::stderr(), "{said}").expect("stderr is there");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lines = String::from_utf8(output.stdout).expect("JSON is text");
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let number = |key: &str| {
            line[key]
                .as_u64()
                .unwrap_or_else(|| panic!("no {key}: {line}"))
        };
        assert_eq!(line["store"], "files");
        assert_eq!(line["scenario"], "creation");
        assert!(["strict", "ext4-like"].contains(&line["model"].as_str().expect("a model")));
        let sum: u64 = ["ok", "refused", "lost", "wrong", "hung"]
            .into_iter()
            .map(number)
            .sum();
        assert_eq!(sum, number("states"), "{line}");
        number("acknowledged");
    }
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let wrong = std::process::Command::new(PROGRAM)
        .args(["power", "--stores", "sleds"])
        .output();
    assert_eq!(wrong.expect("the command runs").status.code(), Some(2));
}
