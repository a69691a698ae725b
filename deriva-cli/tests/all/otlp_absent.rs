//! `--otlp` where the command was built without it.

use crate::common::{Bench, err};

#[test]
fn who_asks_is_told_how_to_build_what_can_send() {
    let bench = Bench::new();
    for args in [
        &["status", "--otlp", "http://localhost:4317"][..],
        &["--otlp", "", "functions"],
    ] {
        let told = bench.fails(2, args);
        assert!(told.contains("--features otel"), "{told}");
    }
    let help = bench.ok(&["--help"]);
    assert!(
        help.contains("--otlp <URL>") && help.contains("lacks the feature"),
        "{help}"
    );
}

#[test]
fn a_variable_that_is_there_for_others_changes_nothing() {
    let bench = Bench::new();
    let output = bench
        .command(&["functions"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317")
        .env("TRACEPARENT", "nonsense")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(err(&output), "");
}
