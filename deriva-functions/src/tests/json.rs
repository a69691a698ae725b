use std::error::Error as _;

use deriva_api::Params;

use super::{one, refused, run, with};

fn merge(documents: &[&str]) -> String {
    let merged = run("json.merge", documents, Params::new()).unwrap();
    String::from_utf8(merged.to_vec()).unwrap()
}

#[test]
fn select_follows_a_pointer() {
    let document = r#" {"b": [1, {"x/y": "é"}], "a": null, "m~n": 8, "": 0} "#;
    for (pointer, expected) in [
        ("", r#"{"":0,"a":null,"b":[1,{"x/y":"é"}],"m~n":8}"#),
        ("/b/1", r#"{"x/y":"é"}"#),
        ("/b/1/x~1y", r#""é""#),
        ("/m~0n", "8"),
        ("/", "0"),
        ("/a", "null"),
    ] {
        let selected = run("json.select", &[document], with("pointer", pointer)).unwrap();
        assert_eq!(selected, expected, "{pointer}");
    }
}

#[test]
fn select_says_how_far_the_pointer_reached() {
    let document = r#"{"a": {"b": [1]}}"#;
    for (pointer, reached) in [
        ("/x", "only the whole document"),
        ("/a/x", "only /a"),
        ("/a/b/1", "only /a/b"),
        ("/a/b/0/c/d", "only /a/b/0"),
    ] {
        let error = refused("json.select", document, with("pointer", pointer));
        assert_eq!(error.context("found"), Some(reached));
        assert_eq!(error.context("expected"), Some(pointer));
    }
    let error = refused("json.select", document, with("pointer", "a/b"));
    assert_eq!(error.context("param"), Some("pointer"));
}

/// The cases of RFC 7386, appendix A.
#[test]
fn merge_follows_the_rfc() {
    for (target, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(merge(&[target, patch]), expected, "{target} and {patch}");
    }
}

#[test]
fn merge_takes_one_or_many_and_sorts_keys_at_every_depth() {
    assert_eq!(
        merge(&[r#"{"b":{"d":1,"c":2},"a":[{"z":1,"y":2}]}"#]),
        r#"{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1}}"#
    );
    assert_eq!(
        merge(&["{}", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":null}"#]),
        r#"{"b":2}"#
    );
}

#[test]
fn numbers_come_out_as_they_went_in() {
    let numbers = "[18446744073709551615,-9223372036854775808,0.1,1e+300,5e-324,2.0]";
    assert_eq!(merge(&[numbers]), numbers);
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (input, line, column) in [
        (&b""[..], "1", "0"),
        (b"{\n \"a\": }", "2", "7"),
        (b"1 2", "1", "3"),
        (b"\"\xff\"", "1", "2"),
        (b"1e999", "1", "5"),
    ] {
        let error = refused("json.select", input, with("pointer", ""));
        assert_eq!(
            (error.context("line"), error.context("column")),
            (Some(line), Some(column)),
            "{error}"
        );
        assert!(error.source().is_some());
    }
    let error = run("json.merge", &["{}", "{"], Params::new()).unwrap_err();
    assert_eq!(error.context("input"), Some("2"));
    refused("json.select", "[".repeat(100_000), with("pointer", ""));
    assert_eq!(one("json.select", "true", with("pointer", "")), "true");
}
