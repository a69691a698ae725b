use deriva_api::Params;

use super::{one, refused, run, with};

#[test]
fn identity_gives_back_what_it_gets() {
    assert_eq!(
        one("bytes.identity", b"a\xff\0", Params::new()),
        r"a\xff\x00"
    );
    assert_eq!(one("bytes.identity", b"", Params::new()), "");
}

#[test]
fn concat_joins_in_order_with_a_separator_between() {
    let three = ["a", "", "\u{e9}"];
    assert_eq!(
        run("bytes.concat", &three, Params::new()).unwrap(),
        "a\u{e9}"
    );
    let params = with("separator", ", ");
    assert_eq!(
        run("bytes.concat", &three, params.clone()).unwrap(),
        "a, , \u{e9}"
    );
    assert_eq!(run("bytes.concat", &["a"], params.clone()).unwrap(), "a");
    assert_eq!(run("bytes.concat", &[""; 0], params).unwrap(), "");
}

#[test]
fn slice_reaches_as_far_as_the_input() {
    for (offset, len, expected) in [
        (Some(1), Some(2), "bc"),
        (None, Some(1), "a"),
        (Some(2), None, "cde"),
        (None, None, "abcde"),
        (Some(4), Some(9), "e"),
        (Some(9), Some(9), ""),
        (Some(i64::MAX), Some(i64::MAX), ""),
        (Some(0), Some(0), ""),
    ] {
        let params = [("offset", offset), ("len", len)];
        let params: Params = params
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        assert_eq!(one("bytes.slice", "abcde", params), expected);
    }
}

#[test]
fn negative_positions_are_refused() {
    for (name, param) in [
        ("bytes.slice", "offset"),
        ("bytes.slice", "len"),
        ("bytes.repeat", "times"),
    ] {
        let error = refused(name, "abc", with(param, -1));
        assert_eq!(error.context("param"), Some(param));
        assert_eq!(error.context("expected"), Some("0 or more"));
        assert_eq!(error.context("found"), Some("-1"));
    }
}

#[test]
fn repeat_ends_before_the_memory_does() {
    assert_eq!(one("bytes.repeat", "ab", with("times", 3)), "ababab");
    assert_eq!(one("bytes.repeat", "ab", with("times", 0)), "");
    assert_eq!(one("bytes.repeat", "", with("times", i64::MAX)), "");
    for times in [(1 << 29) + 1, i64::MAX] {
        let error = refused("bytes.repeat", "ab", with("times", times));
        assert_eq!(error.context("expected"), Some("at most 1073741824 bytes"));
    }
}
