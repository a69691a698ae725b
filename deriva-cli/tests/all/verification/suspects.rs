//! Functions of which too much is known.

use super::lied;

#[test]
fn functions_that_are_suspect_are_listed_refused_and_disowned() {
    let (bench, made) = lied();
    let outputs = bench.ok(&["quarantine", "outputs", "text.upper/1"]);
    assert!(outputs.starts_with(&made.upper.to_string()), "{outputs}");
    let json = bench.json(&["quarantine", "outputs", "text.upper/1", "--json"]);
    assert_eq!(json[0]["recipe"], made.upper.to_string());
    let told = bench.ok(&["quarantine", "outputs", "text.upper/1", "--forget"]);
    assert!(told.starts_with("forgot 2 outputs"), "{told}");
    assert_eq!(bench.ok(&["quarantine", "outputs", "text.upper/1"]), "");
    assert!(
        bench
            .ok(&["get", &made.twice.to_string()])
            .starts_with("0 RED\n")
    );

    let (bench, made) = lied();
    bench.tells(5, &["audit", "--all"]);
    let listed = bench.ok(&["quarantine", "ls"]);
    assert!(
        listed.contains("text.upper/1") && listed.ends_with("-\n"),
        "{listed}"
    );
    for (after, state, quarantined) in [("1", "in quarantine", true), ("2", "computed", false)] {
        let args = ["quarantine", "ls", "--quarantine-after", after];
        assert!(bench.ok(&args).contains(state), "{after}");
        let json = bench.json(&[&args[..], &["--json"]].concat());
        assert_eq!(json[0]["function"], "text.upper/1");
        assert_eq!(json[0]["entries"][0], made.upper.to_string());
        assert_eq!(json[0]["quarantined"], quarantined);
    }
    // Another recipe of the function is computed, or it is not.
    bench.file("other", "other");
    let leaf = crate::common::addr(&bench.ok(&["put", "other"]));
    let other = bench.line(&["recipe", "text.upper/1", "-i", &leaf]);
    let refused = bench.fails(5, &["get", &other, "--quarantine-after", "1"]);
    assert!(refused.contains("in quarantine"), "{refused}");
    assert_eq!(
        bench.ok(&["get", &other, "--quarantine-after", "2"]),
        "OTHER"
    );

    let misspelt = bench.fails(3, &["quarantine", "release", "text.uper/1"]);
    assert!(
        misspelt.contains("did you mean `text.upper/1`?"),
        "{misspelt}"
    );
    let told = bench.ok(&["quarantine", "release", "text.upper/1"]);
    assert_eq!(told, "released 1 recipe of text.upper/1\n");
    bench.fails(3, &["quarantine", "release", "text.upper/1"]);
    bench.ok(&["get", &made.twice.to_string(), "-o", "out"]);
}
