use ::bytes::Bytes;
use deriva_api::Params;

use super::{noise, one, refused, run, with};

#[test]
fn words_are_runs_of_letters_and_digits_in_any_encoding() {
    let input = "The cat, the \u{e9}t\u{e9}; the_2nd cat's\ttail".as_bytes();
    assert_eq!(
        one("text.word_count", input, Params::new()),
        r"2nd\t1\nThe\t1\ncat\t2\ns\t1\ntail\t1\nthe\t2\n\xc3\xa9t\xc3\xa9\t1\n"
    );
    assert_eq!(
        one("text.word_count", b"a\xff b", with("kind", "words")),
        r"a\xff\t1\nb\t1\n"
    );
    assert_eq!(one("text.word_count", "", Params::new()), "");
    assert_eq!(one("text.word_count", " ,\n", Params::new()), "");
}

#[test]
fn identifiers_begin_with_no_digit() {
    let code = "let x_1 = 0x1F + _y; x_1 += 10u32;";
    assert_eq!(
        one("text.word_count", code, with("kind", "identifiers")),
        r"_y\t1\nlet\t1\nx_1\t2\n"
    );
}

#[test]
fn lines_are_counted_whole() {
    assert_eq!(
        one("text.word_count", "b\n\na\tx\nb", with("kind", "lines")),
        r"\t1\na\tx\t1\nb\t2\n"
    );
}

#[test]
fn an_unknown_kind_is_answered_with_the_known_ones() {
    let error = refused("text.word_count", "", with("kind", "letters"));
    assert_eq!(error.context("param"), Some("kind"));
    assert_eq!(
        error.context("expected"),
        Some("one of words, identifiers, lines")
    );
    assert_eq!(error.context("found"), Some("letters"));
}

#[test]
fn counts_are_added_up_and_sorted() {
    let tables: [&[u8]; 4] = [b"b\t2\na\t1\n", b"", b"b\t3\n\xff\t1\n", b"a\tx\t4"];
    let merged = run("text.merge_counts", &tables, Params::new()).unwrap();
    assert_eq!(merged, &b"a\t1\na\tx\t4\nb\t5\n\xff\t1\n"[..]);
    assert_eq!(
        run("text.merge_counts", &[""; 0], Params::new()).unwrap(),
        ""
    );
}

#[test]
fn what_is_no_table_is_refused_with_input_and_line() {
    let error = run("text.merge_counts", &["a\t1\n", "b\t1\nc\n"], Params::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid: the input is no table of counts (input=2; line=2; expected=a text, a tab and a whole number below 2^64; found=`c`; function=text.merge_counts/1)"
    );
    refused("text.top", "x\n", with("n", 1));
}

#[test]
fn counts_that_overflow_are_refused() {
    let tables = ["a\t18446744073709551615\n", "a\t1\n"];
    let error = run("text.merge_counts", &tables, Params::new()).unwrap_err();
    assert_eq!(
        (error.context("word"), error.context("input")),
        (Some("`a`"), Some("2"))
    );
    let most = run("text.merge_counts", &tables[..1], Params::new()).unwrap();
    assert_eq!(most, tables[0]);
}

#[test]
fn top_is_by_count_and_then_by_word() {
    let table = "c\t2\na\t2\nd\t9\nb\t1\n";
    for (n, expected) in [
        (0, ""),
        (2, r"d\t9\na\t2\n"),
        (3, r"d\t9\na\t2\nc\t2\n"),
        (9, r"d\t9\na\t2\nc\t2\nb\t1\n"),
    ] {
        assert_eq!(one("text.top", table, with("n", n)), expected);
    }
    assert_eq!(one("text.top", "", with("n", 5)), "");
    refused("text.top", "", with("n", -1));
}

#[test]
fn parts_counted_and_merged_equal_the_whole_counted() {
    // Words of few letters, so that they repeat across the parts.
    let text: Vec<u8> = noise(200_000, 7)
        .iter()
        .map(|byte| b"ab c"[usize::from(byte & 3)])
        .collect();
    let count = |text: &[u8]| run("text.word_count", &[text], Params::new()).unwrap();
    let parts: Vec<Bytes> = text
        .split_inclusive(|byte| *byte == b' ')
        .collect::<Vec<_>>()
        .chunks(999)
        .map(|words| count(&words.concat()))
        .collect();
    assert!(parts.len() > 10);
    let merged = run("text.merge_counts", &parts, Params::new()).unwrap();
    assert_eq!(merged, count(&text));
}
