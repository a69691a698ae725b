//! Wrong calls of all that has to do with verification.

use super::lied;
use crate::common::{Bench, err};

#[test]
fn wrong_calls_are_told_what_was_expected() {
    let (bench, made) = lied();
    let (twice, leaf) = (made.twice.to_string(), made.leaf.to_string());
    for mode in [
        "dua",
        "sampled:2",
        "sampled:x",
        "quorum:1/1",
        "quorum:2/4",
        "",
    ] {
        for verb in [["get", &twice], ["run", "p.toml"]] {
            let error = bench.fails(2, &[verb[0], verb[1], "--verify", mode]);
            assert!(
                [
                    "a verification mode is off, dual",
                    "a rate from 0 to 1",
                    "a quorum AGREE/OF"
                ]
                .iter()
                .any(|expected| error.contains(expected)),
                "{mode}: {error}"
            );
        }
    }
    for key in ["", "00", "zz", &"0".repeat(63)] {
        let error = bench.fails(2, &["get", &twice, "--sampling-key", key]);
        assert!(error.contains("64 hex digits"), "{key}: {error}");
    }
    let mut command = bench.command(&["get", &twice]);
    let output = command
        .env("DERIVA_SAMPLING_KEY", "secret")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));

    let none = bench.fails(2, &["audit"]);
    for what in ["ADDR", "--function", "--root", "--all"] {
        assert!(none.contains(what), "{what}: {none}");
    }
    let unknown = "0".repeat(64);
    for (code, args) in [
        (2, vec!["audit", "--all", "--root", "kept"]),
        (2, vec!["audit", &leaf]),
        (2, vec!["audit", "--all", "--rate", "0"]),
        (2, vec!["audit", "--all", "--jobs", "0"]),
        (2, vec!["audit", "--all", "--jobs", "1025"]),
        (2, vec!["audit", "--all", "--resume", "nowhere"]),
        (2, vec!["audit", "--all", "--quarantine-after", "0"]),
        (2, vec!["get", &twice, "--on-violation", "shrug"]),
        (3, vec!["audit", &unknown]),
        (3, vec!["audit", "--root", "nothing"]),
        (3, vec!["ledger", "show", &unknown]),
        (3, vec!["ledger", "release", &twice]),
        (3, vec!["ledger", "show", "ab"]),
        (2, vec!["ledger", "show", "xyz"]),
        (3, vec!["quarantine", "release", "text.upper/1"]),
        (2, vec!["bisect"]),
        (3, vec!["bisect", "sled:nowhere"]),
        (2, vec!["bisect", "nowhere"]),
        (3, vec!["bisect", "sled:.deriva", "sled:nowhere"]),
        (2, vec!["bisect", "sled:.deriva", "redb:x", "--fresh"]),
        (2, vec!["bisect", "sled:.deriva", &twice, "redb:x"]),
        (2, vec!["bisect", "sled:.deriva", &leaf]),
        (3, vec!["bisect", "sled:.deriva", &unknown]),
    ] {
        bench.fails(code, &args);
    }
    for verb in [
        vec!["audit", "--function", "text.uper/1"],
        vec!["quarantine", "outputs", "text.uper/1"],
        vec!["quarantine", "outputs", "text.uper/1", "--forget"],
    ] {
        let error = bench.fails(3, &verb);
        assert!(error.contains("did you mean `text.upper/1`?"), "{error}");
    }
    let rootless = Bench::new();
    rootless.file("a", "a");
    rootless.ok(&["put", "a"]);
    let error = rootless.fails(2, &["bisect", "sled:.deriva"]);
    assert!(error.contains("no root"), "{error}");
}
