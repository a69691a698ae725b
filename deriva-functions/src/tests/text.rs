use deriva_api::Params;
use std::error::Error as _;

use super::{one, refused, with};

#[test]
fn case_is_changed_for_ascii_letters_alone() {
    let input = b"aZ1 \xc3\xa9\xff\n";
    assert_eq!(
        one("text.upper", input, Params::new()),
        r"AZ1 \xc3\xa9\xff\n"
    );
    assert_eq!(
        one("text.lower", input, Params::new()),
        r"az1 \xc3\xa9\xff\n"
    );
    assert_eq!(one("text.upper", "", Params::new()), "");
    assert_eq!(one("text.lower", "", Params::new()), "");
}

#[test]
fn sort_is_by_bytes_and_ends_every_line() {
    assert_eq!(
        one("text.sort", b"b\n\xff\na\n\nB", Params::new()),
        r"\nB\na\nb\n\xff\n"
    );
    assert_eq!(one("text.sort", "", Params::new()), "");
    let reverse = with("reverse", true);
    assert_eq!(one("text.sort", "a\nc\nb\n", reverse), r"c\nb\na\n");
}

#[test]
fn numeric_sort_compares_exactly_and_ties_by_bytes() {
    let numeric = with("numeric", true);
    let sorted = one(
        "text.sort",
        "10\n9\n-3\n-20\nx\n0.5\n 7 z\n",
        numeric.clone(),
    );
    assert_eq!(sorted, r"-20\n-3\nx\n0.5\n 7 z\n9\n10\n");
    let large = "100000000000000000000002\n100000000000000000000001\n1.10\n1.1\n-0\n0\n+1\n";
    assert_eq!(
        one("text.sort", large, numeric.clone()),
        r"-0\n0\n+1\n1.1\n1.10\n100000000000000000000001\n100000000000000000000002\n"
    );
    assert_eq!(
        one(
            "text.sort",
            "-1.5\n-1.25\n1\n",
            numeric.with("reverse", true)
        ),
        r"1\n-1.25\n-1.5\n"
    );
}

#[test]
fn unique_keeps_the_first_of_the_whole() {
    let input = b"b\na\nb\n\xff\na\nb";
    assert_eq!(one("text.unique", input, Params::new()), r"b\na\n\xff\n");
    assert_eq!(
        one("text.unique", input, with("count", true)),
        r"b\t3\na\t2\n\xff\t1\n"
    );
    assert_eq!(one("text.unique", "", Params::new()), "");
    assert_eq!(one("text.unique", "\n\n", Params::new()), r"\n");
}

#[test]
fn grep_keeps_lines_that_match_or_not() {
    let input = b"one\ntwo\r\nth\xffree";
    let pattern = with("pattern", r"o$|\r$");
    assert_eq!(one("text.grep", input, pattern.clone()), r"two\r\n");
    assert_eq!(
        one("text.grep", input, pattern.with("invert", true)),
        r"one\nth\xffree\n"
    );
    assert_eq!(
        one("text.grep", input, with("pattern", r"(?-u:\xff)")),
        r"th\xffree\n"
    );
    assert_eq!(one("text.grep", "", with("pattern", "")), "");
    assert_eq!(one("text.grep", "x", with("pattern", "")), r"x\n");
}

#[test]
fn a_wrong_pattern_is_refused_with_position_reason_and_source() {
    for name in ["text.grep", "text.replace"] {
        let mut params = with("pattern", "a(b");
        if name == "text.replace" {
            params.insert("with", "");
        }
        let error = refused(name, "", params);
        assert_eq!(error.context("param"), Some("pattern"));
        assert_eq!(error.context("found"), Some("a(b"));
        assert_eq!(error.context("position"), Some("2"));
        assert_eq!(error.context("reason"), Some("unclosed group"));
        assert!(error.source().is_some());
    }
    let many_lines = refused("text.grep", "", with("pattern", "(?x)\n a ["));
    assert_eq!(
        many_lines.context("reason"),
        Some("unclosed character class")
    );
    let huge = refused("text.grep", "", with("pattern", "(a{1000}){1000}"));
    assert!(huge.source().is_some());
}

#[test]
fn replace_expands_groups_and_takes_literals_as_they_are() {
    let params = |pattern: &str, with_: &str| with("pattern", pattern).with("with", with_);
    let swap = params(r"(\w+)=(?<value>\w+)", "${value}=$1$$");
    assert_eq!(one("text.replace", "a=1, b=2", swap), "1=a$, 2=b$");
    assert_eq!(one("text.replace", b"a\xffa", params("a", "b")), r"b\xffb");
    assert_eq!(one("text.replace", "ab", params("", "-")), "-a-b-");
    let literal = params("a.", "$0").with("literal", true);
    assert_eq!(one("text.replace", "a.ab", literal), "$0ab");
    assert_eq!(one("text.replace", "", params("a", "b")), "");
    let error = refused("text.replace", "", params("", "x").with("literal", true));
    assert_eq!(error.context("param"), Some("pattern"));
}

#[test]
fn replace_ends_before_the_memory_does() {
    let params = with("pattern", "a").with("with", "b".repeat(1 << 20));
    let error = refused("text.replace", "a".repeat(1025), params);
    assert_eq!(error.context("expected"), Some("at most 1073741824 bytes"));
}

#[test]
fn one_function_serves_several_patterns() {
    for pattern in ["a", "b", "a"] {
        let expected = format!(r"{pattern}\n");
        assert_eq!(one("text.grep", "a\nb", with("pattern", pattern)), expected);
    }
}

#[test]
fn lines_are_counted_from_1() {
    let input = b"a\nb\xff\nc";
    assert_eq!(one("text.lines", input, Params::new()), r"a\nb\xff\nc\n");
    assert_eq!(one("text.lines", input, with("count", 1)), r"a\n");
    assert_eq!(
        one("text.lines", input, with("start", 2).with("count", 9)),
        r"b\xff\nc\n"
    );
    assert_eq!(one("text.lines", input, with("start", i64::MAX)), "");
    assert_eq!(one("text.lines", input, with("count", 0)), "");
    assert_eq!(one("text.lines", "", Params::new()), "");
    let error = refused("text.lines", input, with("start", 0));
    assert_eq!(error.context("expected"), Some("1 or more"));
}

#[test]
fn a_group_that_is_not_there_is_refused_from_version_2_on() {
    let params = |with_: &str| with("pattern", r"(\w)(?P<rest>\w*)").with("with", with_);
    for (with_, found, hint) in [
        ("$2_$1", "$2_", "for group 2 before `_` write `${2}_`"),
        ("${3}", "$3", "`$$` stands for a dollar"),
        ("$1x", "$1x", "for group 1 before `x` write `${1}x`"),
        ("$other", "$other", "`$$` stands for a dollar"),
        ("$99999999999999999999", "$99999999999999999999", "`$$`"),
    ] {
        let error = refused("text.replace/2", "ab", params(with_));
        assert_eq!(error.context("param"), Some("with"));
        assert_eq!(error.context("found"), Some(found));
        assert_eq!(
            error.context("expected"),
            Some("groups of the pattern: 0 to 2, rest")
        );
        assert!(error.advice().unwrap().starts_with(hint), "{error:?}");
    }
    for (with_, expected) in [
        ("${2}_$1", "b_a"),
        ("$rest-$0", "b-ab"),
        ("$$3 $", "$3 $"),
        ("", ""),
    ] {
        assert_eq!(one("text.replace/2", "ab", params(with_)), expected);
        assert_eq!(one("text.replace", "ab", params(with_)), expected);
    }
    assert_eq!(one("text.replace", "ab", params("$2_$1")), "a", "as ever");
    let literal = with("pattern", "b")
        .with("with", "$9")
        .with("literal", true);
    assert_eq!(one("text.replace/2", "ab", literal), "a$9");
}
