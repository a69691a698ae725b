//! Runs of pipelines that check what they compute.

use std::process::Output;

use serde_json::Value;

use super::{PIPELINE, pipeline};
use crate::common::{Bench, err};

#[test]
fn a_run_checks_what_it_computes_and_counts_that() {
    for (mode, verified) in [
        ("dual", 30),
        ("quorum:2/3", 30),
        ("sampled:1", 30),
        ("sampled:0", 0),
        ("off", 0),
    ] {
        let bench = Bench::new();
        pipeline(&bench, 10);
        let run = bench.json(&["run", "p.toml", "--verify", mode, "--json"]);
        assert_eq!(
            (&run["verified"], &run["violations"]),
            (&verified.into(), &0.into()),
            "{mode}: {run}"
        );
        assert_eq!(run["computed"], 30);
        // What is there is not computed, so nothing is checked.
        let again = bench.json(&["run", "p.toml", "--verify", mode, "--json"]);
        assert_eq!(
            (&again["verified"], &again["computed"]),
            (&0.into(), &0.into())
        );
    }
    let bench = Bench::new();
    pipeline(&bench, 10);
    let told = bench.ok(&["run", "p.toml", "--verify", "dual", "--no-perturb"]);
    assert!(
        told.contains("\nverified 30 recipes: all agree\n"),
        "{told}"
    );
    assert!(!bench.ok(&["run", "p.toml"]).contains("verified"));
    let upper = bench.json(&["root", "ls", "--json"]);
    let upper = upper.as_array().unwrap().iter();
    let root = upper
        .clone()
        .find(|root| root["name"] == "pipeline/p/upper/3.txt");
    let addr = root.unwrap()["addr"].as_str().unwrap().to_owned();
    bench.ok(&["invalidate", &addr, "--cascade"]);
    assert_eq!(bench.ok(&["get", &addr, "--verify", "dual"]), "3");
}

#[test]
fn a_step_says_how_it_is_checked() {
    let run = |bench: &Bench, verify: &str, args: &[&str]| {
        let text = PIPELINE.replace(
            "function = \"text.upper/1\"",
            &format!("function = \"text.upper/1\"\nverify = \"{verify}\""),
        );
        bench.file("p.toml", text);
        let run = bench.json(&[&["run", "p.toml", "--json"], args].concat());
        run["verified"].as_u64().unwrap()
    };
    for (verify, args, verified) in [
        ("dual", &[][..], 5),
        ("quorum:3/4", &[], 5),
        ("off", &[], 0),
        // The stricter of the two.
        ("off", &["--verify", "dual"], 15),
        ("dual", &["--verify", "sampled:0"], 5),
    ] {
        let bench = Bench::new();
        pipeline(&bench, 5);
        assert_eq!(run(&bench, verify, args), verified, "{verify} {args:?}");
    }
}

#[test]
fn two_steps_that_make_one_recipe_check_it_as_the_stricter_says() {
    let bench = Bench::new();
    bench.file("in/a.txt", "a");
    for (first, second) in [("off", "dual"), ("dual", "off")] {
        bench.file(
            "p.toml",
            format!(
                "name = \"p\"\nroot = \"in\"\n[sources.f]\ninclude = [\"*\"]\n\
                 [steps.a]\nfunction = \"text.upper/1\"\neach = \"f\"\nverify = \"{first}\"\n\
                 [steps.b]\nfunction = \"text.upper/1\"\neach = \"f\"\nverify = \"{second}\"\n"
            ),
        );
        let run = bench.json(&["--store", "memory:", "run", "p.toml", "--json"]);
        assert_eq!((&run["computed"], &run["verified"]), (&1.into(), &1.into()));
    }
}

#[test]
fn who_has_the_key_samples_the_same() {
    let sampled = |key: Option<&str>, option: Option<&str>| {
        let bench = Bench::new();
        pipeline(&bench, 40);
        let mut args = vec!["run", "p.toml", "--json", "--verify", "sampled:0.5"];
        args.extend(option.iter().flat_map(|key| ["--sampling-key", key]));
        let mut command = bench.command(&args);
        if let Some(key) = key {
            command.env("DERIVA_SAMPLING_KEY", key);
        }
        let output: Output = command.output().unwrap();
        assert!(output.status.success(), "{}", err(&output));
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        run["verified"].as_u64().unwrap()
    };
    let key = "0123456789abcdef".repeat(4);
    let counts = [
        sampled(Some(&key), None),
        sampled(Some(&key.to_uppercase()), None),
        sampled(None, Some(&key)),
        // What is said with the call counts.
        sampled(Some(&"00".repeat(32)), Some(&key)),
    ];
    assert!(counts[0] > 30 && counts[0] < 90, "{counts:?}");
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}
