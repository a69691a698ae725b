//! Recorded outputs, compared with what their recipes give now.

use super::{lied, object, pipeline};
use crate::common::{Bench, err};

#[test]
fn an_audit_finds_a_lie_and_says_where_it_is() {
    let (bench, made) = lied();
    let (upper, twice) = (made.upper.to_string(), made.twice.to_string());
    let dry = object(&bench, 5, &["audit", "--all", "--dry-run", "--json"]);
    assert_eq!(
        (&dry["outputs"], &dry["audited"], &dry["agreed"]),
        (&3.into(), &3.into(), &2.into())
    );
    assert_eq!(
        (&dry["violated"], &dry["dry_run"]),
        (&1.into(), &true.into())
    );
    assert_eq!(dry["violations"][0], upper);
    assert_eq!(bench.ok(&["ledger", "ls"]), "");
    assert_eq!(bench.ok(&["quarantine", "ls"]), "");
    assert!(bench.ok(&["get", &twice]).starts_with("0 REd\n"));

    // By function, by root, by what is above it.
    for what in [
        vec!["--function", "text.upper/1"],
        vec!["--root", "kept", "--jobs", "2"],
        vec![&twice[..12], "--no-perturb", "--rate", "1000"],
    ] {
        let args = [&["audit", "--dry-run"], &what[..]].concat();
        let told = bench.tells(5, &args);
        for expected in [
            &format!("x {upper} text.upper/1"),
            "first difference: byte 4, line 1: ",
            "1 recorded output not what the recipe gives now: nothing was entered or forgotten",
        ] {
            assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
        }
    }
    assert!(
        bench
            .ok(&["audit", &made.joined.to_string()])
            .contains("all agree")
    );

    let entered = [
        "audit",
        &twice,
        "--keep-evidence",
        "--quarantine-after",
        "1",
    ];
    let output = bench.run(&entered);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("entered into the ledger, and forgotten"),
        "{told}"
    );
    assert!(
        err(&output).contains("the ledger has 1 recipe of text.upper/1"),
        "{}",
        err(&output)
    );
    let again = bench.ok(&["audit", "--all"]);
    assert!(again.contains("computed 1 of 1 output again"), "{again}");
}

#[test]
fn an_audit_continues_at_a_cursor() {
    let bench = Bench::new();
    pipeline(&bench, 200);
    bench.ok(&["run", "p.toml"]);
    let (mut cursor, mut audited, mut parts) = (None::<String>, 0, 0);
    loop {
        let mut args = vec!["audit", "--all", "--limit", "1", "--json"];
        args.extend(cursor.iter().flat_map(|cursor| ["--resume", cursor]));
        let part = bench.json(&args);
        audited += part["audited"].as_u64().unwrap();
        parts += 1;
        match part["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert!(parts > 2, "{parts}");
    assert_eq!(audited, 600);
    let told = bench.ok(&["audit", "--all", "--limit", "1"]);
    assert!(told.contains("stopped at its limit: --resume "), "{told}");
}

#[test]
fn an_audit_of_a_store_that_is_only_read_tells_and_enters_nothing() {
    let (bench, made) = lied();
    let upper = made.upper.to_string();
    let store = ["--store", "read-only(sled:.deriva)"];
    let told = bench.tells(5, &[&["audit", "--all"], &store[..]].concat());
    assert!(
        told.contains(&upper) && told.contains("nothing was entered or forgotten"),
        "{told}"
    );
    assert_eq!(bench.ok(&["ledger", "ls"]), "");
}

#[test]
fn what_an_audit_cannot_compare_is_counted_with_the_reason() {
    let bench = Bench::new();
    bench.file("a", "a");
    let leaf = crate::common::addr(&bench.ok(&["put", "a"]));
    let upper = bench.line(&["recipe", "text.upper/1", "-i", &leaf]);
    let twice = bench.line(&["recipe", "bytes.repeat/1", "-i", &upper, "-p", "times:=2"]);
    bench.ok(&["get", &twice]);
    bench.ok(&["invalidate", &upper]);
    let told = bench.ok(&["audit", "--all"]);
    assert_eq!(
        told,
        "computed 0 of 1 output again (0 B)\n\
         1 output could not be compared: of 1 an input is not there\n\
         nothing was compared\n"
    );
}
