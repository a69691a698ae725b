//! `graph`: what is drawn, to the byte.

use crate::common::{Bench, addr};

const STORE: &str = "split(blobs=files:media, dag=redb:graph)";

/// Runs on stores side by side, so that a blob can be lost.
fn ok(bench: &Bench, args: &[&str]) -> String {
    bench.ok(&[&["--store", STORE], args].concat())
}

fn recipe(bench: &Bench, function: &str, inputs: &[&str]) -> String {
    let mut args = vec!["recipe", function, "--allow-unknown"];
    args.extend(inputs.iter().flat_map(|input| ["--input", input]));
    ok(bench, &args).trim_end().to_owned()
}

#[test]
fn a_drawing_shows_what_is_stored_of_each_node() {
    let bench = Bench::new();
    bench.file("file", "hello");
    let leaf = addr(&ok(&bench, &["put", "file"]));
    let upper = recipe(&bench, "text.upper/1", &[&leaf]);
    let nowhere = "7".repeat(64);
    let absent = recipe(&bench, "bytes.concat/1", &[&upper, &nowhere, &upper]);
    let top = recipe(&bench, "my.own/1", &[&absent, &leaf]);
    let node = |n: u32, label: &str, state: &str, colours: (&str, &str)| {
        let (fill, border) = colours;
        format!(
            "  n{n} [label=\"{label}\", tooltip=\"{state}\", fillcolor=\"{fill}\", color=\"{border}\"];\n"
        )
    };
    let named = |function: &str, addr: &str| format!("{function} {}", &addr[..10]);
    let white = ("#ffffff", "#9a9a9a");
    let expected = [
        "digraph deriva {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\"];\n",
        // Drawn as what it is, whether or not its function is known here.
        &node(0, &named("my.own/1", &top), "not computed", white),
        &node(1, &named("bytes.concat/1", &absent), "not computed", white),
        &node(2, &leaf[..10], "source blob", ("#eceff4", "#7b88a1")),
        &node(3, &named("text.upper/1", &upper), "not computed", white),
        &node(4, &nowhere[..10], "missing", ("#f7d6e6", "#b03a75")),
        "  n1 -> n0;\n  n2 -> n0;\n  n3 -> n1;\n  n4 -> n1;\n  n3 -> n1;\n  n2 -> n3;\n}\n",
    ];
    assert_eq!(ok(&bench, &["graph", &top]), expected.concat());
    let json: serde_json::Value =
        serde_json::from_str(&ok(&bench, &["graph", &top, "--json"])).unwrap();
    assert_eq!((&json["nodes"], &json["edges"]), (&5.into(), &6.into()));

    // What was computed can be lost.
    ok(&bench, &["get", &upper]);
    let drawn = ok(&bench, &["graph", &upper]);
    assert!(drawn.contains("tooltip=\"output present\""), "{drawn}");
    std::fs::remove_dir_all(bench.path("media")).unwrap();
    ok(&bench, &["put", "file"]);
    let drawn = ok(&bench, &["graph", &upper]);
    assert!(
        drawn.contains("tooltip=\"output lost\", fillcolor=\"#fdeccb\"")
            && drawn.contains("tooltip=\"source blob\""),
        "{drawn}"
    );
    let drawn = ok(&bench, &["graph", &nowhere]);
    assert_eq!(drawn.matches("tooltip=").count(), 1);
    assert!(drawn.contains("tooltip=\"missing\""), "{drawn}");
}

#[test]
fn why_and_explain_agree_about_a_function_that_nobody_has() {
    let bench = Bench::new();
    bench.file("file", "hello");
    let leaf = addr(&ok(&bench, &["put", "file"]));
    let own = recipe(&bench, "my.own/1", &[&leaf]);
    let text = ok(&bench, &["why", &own]);
    assert_eq!(
        text,
        "a request would fail: its function is not known here\n"
    );
    let json = |verb: &str| -> serde_json::Value {
        serde_json::from_str(&ok(&bench, &[verb, &own, "--json"])).unwrap()
    };
    let why = json("why");
    assert_eq!(
        (&why["standing"], &why["would_compute"]),
        (&"unknown-function".into(), &false.into())
    );
    let explained = json("explain");
    assert_eq!(
        (&explained["nodes"][0]["state"], &explained["would_compute"]),
        (&"unknown-function".into(), &0.into())
    );
}
