//! What was checked is known to the calls that come later.

use serde_json::json;

use super::{compute, object, pipeline};
use crate::common::Bench;

#[test]
fn what_a_run_checked_is_in_the_status_of_the_next_call() {
    let bench = Bench::new();
    pipeline(&bench, 10);
    assert_eq!(bench.json(&["run", "p.toml", "--json"])["computed"], 30);
    let status = bench.json(&["status", "--json"]);
    let none = json!([
        &status["roots"],
        &status["verification"]["checked"],
        &status["verification"]["rate_at_most"]
    ]);
    assert_eq!(none, json!([20, 0, 1.0]));
    assert!(!bench.ok(&["status"]).contains("verification"));
    let digest = bench.line(&["state-digest"]);

    let checked = Bench::new();
    pipeline(&checked, 10);
    let run = checked.json(&["run", "p.toml", "--verify", "dual", "--json"]);
    assert_eq!(run["verified"], 30);
    let status = checked.json(&["status", "--json"]);
    let verification = &status["verification"];
    assert_eq!(
        json!([
            &status["roots"],
            &verification["checked"],
            &verification["agreed"],
            &verification["violated"]
        ]),
        json!([20, 30, 30, 0])
    );
    assert_eq!(verification["last_violation_millis"], json!(null));
    // 1 - 0.05^(1/30)
    let most = verification["rate_at_most"].as_f64().unwrap();
    assert!((most - 0.095_034).abs() < 1e-6, "{most}");
    let functions = verification["functions"].as_array().unwrap();
    let named = functions
        .iter()
        .map(|it| json!([&it[0], &it[1]["checked"]]));
    let expected = json!([
        ["bytes.concat/1", 10],
        ["hash.sha256/1", 10],
        ["text.upper/1", 10]
    ]);
    assert_eq!(named.collect::<serde_json::Value>(), expected);
    let text = checked.ok(&["status"]);
    let words = "30 computations checked, 0 violated: at most 9.50 % disagree (95 % confidence)";
    assert!(text.contains(words), "{text}");
    // To check changes no content.
    assert_eq!(checked.line(&["state-digest"]), digest);

    // Others add to it: an audit, and a run of what is new.
    assert_eq!(
        object(&checked, 0, &["audit", "--all", "--json"])["audited"],
        30
    );
    let counted =
        |checked: &Bench| checked.json(&["status", "--json"])["verification"]["checked"].clone();
    assert_eq!(counted(&checked), 60);
    checked.file("in/10.txt", "10");
    checked.ok(&["run", "p.toml", "--verify", "dual"]);
    assert_eq!(counted(&checked), 63);
    checked.ok(&["audit", "--all", "--dry-run"]);
    assert_eq!(counted(&checked), 96);
    checked.ok(&["collect"]);
    assert_eq!(counted(&checked), 96);
}

#[test]
fn a_violation_is_counted_with_its_time() {
    let bench = Bench::new();
    compute(&bench, ".deriva", true);
    object(&bench, 5, &["audit", "--all", "--json"]);
    let status = bench.json(&["status", "--json"]);
    let verification = &status["verification"];
    assert_eq!(
        json!([
            &verification["violated"],
            &verification["ledger_entries"],
            &status["roots"]
        ]),
        json!([1, 1, 1])
    );
    assert!(verification["last_violation_millis"].as_u64().unwrap() > 1_600_000_000_000);
}
