//! `explain`, `diff`, `why` and timelines, as a user calls them.

use crate::common::{Bench, addr};
use serde_json::Value;

/// Upper case of a file, repeated.
fn recipe(bench: &Bench, text: &str, times: u32) -> String {
    bench.file("file", text);
    let leaf = addr(&bench.line(&["put", "file"]));
    let upper = bench.line(&["recipe", "text.upper/1", "--input", &leaf]);
    let times = format!("times:={times}");
    bench.line(&[
        "recipe",
        "bytes.repeat/1",
        "--input",
        &upper,
        "--param",
        &times,
    ])
}

#[test]
fn explain_foretells_what_a_request_takes() {
    let bench = Bench::new();
    let repeated = recipe(&bench, "hello", 2);
    let text = bench.ok(&["explain", &repeated, "--jobs", "3"]);
    for expected in [
        "expected time",
        "on critical path",
        "time per call",
        "estimated from",
        "looked up first",
        "no output recorded: computed",
        "critical path: ",
        "with 3 at a time",
        "and was not measured yet",
        "2 recipes would be computed",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    let forecast = bench.json(&["explain", &repeated, "--json", "-j", "1"])["forecast"].take();
    assert_eq!(forecast["computed"], 2);
    assert_eq!(forecast["critical_path"].as_array().unwrap().len(), 2);
    assert_eq!(forecast["wall_seconds"], forecast["work_seconds"]);
    assert_eq!(forecast["functions"][0]["cutoff"]["measured"], false);

    // Another process knows what the calls of this one took.
    bench.ok(&["get", &repeated]);
    let other = recipe(&bench, "world", 2);
    let forecast = bench.json(&["explain", &other, "--json"])["forecast"].take();
    let functions = forecast["functions"].as_array().unwrap();
    assert!(
        functions
            .iter()
            .all(|f| f["estimate"]["basis"] == "recorded"),
        "{forecast}"
    );
    assert_eq!(forecast["bytes"]["estimated"], 5 + 10);
}

#[test]
fn diff_names_what_changed_and_the_way_to_it() {
    let bench = Bench::new();
    let (before, after) = (recipe(&bench, "hello", 2), recipe(&bench, "world", 3));
    let text = bench.ok(&["diff", &before[..12], &after]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "bytes.repeat/1: param times changed: 2 -> 3");
    assert!(
        lines[1].starts_with("bytes.repeat/1 input 0 > text.upper/1 input 0 > blob changed: "),
        "{text}"
    );
    assert_eq!(lines[3], "2 differences in 3 compared pairs");

    let json = bench.json(&["diff", &before, &after, "--json", "--limit", "1"]);
    assert_eq!(
        (&json["equal"], &json["truncated"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    assert_eq!(json["differences"][0]["kind"], "param-changed");
    assert_eq!(json["differences"][0]["name"], "times");
    assert_eq!(
        bench.json(&["diff", &after, &after, "--json"])["equal"],
        true
    );
    assert!(
        bench
            .ok(&["diff", &after, &after])
            .starts_with("no difference")
    );
}

#[test]
fn why_tells_whether_it_would_be_computed_and_what_is_new() {
    let bench = Bench::new();
    let before = recipe(&bench, "hello", 2);
    bench.ok(&["get", &before]);
    assert!(bench.ok(&["why", &before]).contains("its output is there"));
    let after = recipe(&bench, "world", 2);
    let text = bench.ok(&["why", &after, "--previous", &before]);
    assert!(
        text.starts_with("would be computed: it never was") && text.contains("blob changed"),
        "{text}"
    );
    // An earlier name of the option.
    let json = bench.json(&["why", &after, "--than", &before, "--json"]);
    assert_eq!(json["than"], before.as_str());
    assert!(!bench.ok(&["why", "--help"]).contains("--than"));
    assert_eq!(
        (&json["standing"], &json["would_compute"]),
        (&"never-computed".into(), &true.into())
    );
    assert_eq!(json["diff"]["differences"][0]["kind"], "blob-changed");
}

fn slices(trace: &str, cat: &str) -> usize {
    let trace: Value = serde_json::from_str(trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    events
        .iter()
        .filter(|event| event["ph"] == "X" && event["cat"] == cat)
        .count()
}

#[test]
fn get_and_run_write_timelines() {
    let bench = Bench::new();
    let recipe = recipe(&bench, "hello", 2);
    assert_eq!(
        bench.ok(&["get", &recipe, "--timeline", "get.json"]),
        "HELLOHELLO"
    );
    assert_eq!(
        (
            slices(&bench.read("get.json"), "plan"),
            slices(&bench.read("get.json"), "light"),
            slices(&bench.read("get.json"), "step")
        ),
        (1, 1, 1)
    );

    bench.file("in/a.txt", "a");
    bench.file(
        "p.toml",
        "name = \"p\"\nroot = \"in\"\n[sources.files]\ninclude = [\"**/*\"]\n\
         [steps.packed]\nfunction = \"compress.gzip/1\"\neach = \"files\"\n[outputs]\n\"x.gz\" = \"packed\"\n",
    );
    bench.ok(&["run", "p.toml", "--timeline", "run.json"]);
    assert_eq!(slices(&bench.read("run.json"), "step"), 1);
    bench.fails(3, &["get", &"0".repeat(64), "--timeline", "none.json"]);
}
