use std::error::Error as _;

use deriva_api::{Params, Value};

use super::{list, one, refused, with};

const TABLE: &str = "name,city,price\nanna,Rome,3\nbert,\"Bonn, am Rhein\",10\ncarl,Rome,\n\"d \"\"x\"\"\",Bonn,2.5\n";

fn filter(column: &str, op: &str, value: impl Into<Value>) -> Params {
    with("column", column).with("op", op).with("value", value)
}

fn names_of(params: Params) -> String {
    let kept = super::run("csv.filter", &[TABLE], params).unwrap();
    one("csv.select", kept, with("columns", list(&["name"]))).replace(r"\n", " ")
}

#[test]
fn select_keeps_columns_in_the_order_asked() {
    assert_eq!(
        super::run(
            "csv.select",
            &[TABLE],
            with("columns", list(&["city", "name"]))
        )
        .unwrap(),
        "city,name\nRome,anna\n\"Bonn, am Rhein\",bert\nRome,carl\nBonn,\"d \"\"x\"\"\"\n"
    );
    assert_eq!(
        one(
            "csv.select",
            b"a;b\r\n\xff;,",
            with("columns", list(&["b", "a"])).with("delimiter", ";")
        ),
        r"b;a\n,;\xff\n"
    );
    assert_eq!(
        one("csv.select", "a,b\n", with("columns", list(&["a"]))),
        r"a\n"
    );
}

#[test]
fn an_unknown_column_is_answered_with_the_known_ones() {
    let error = refused("csv.select", TABLE, with("columns", list(&["prize"])));
    assert_eq!(error.context("param"), Some("columns"));
    assert_eq!(error.context("expected"), Some("one of name, city, price"));
    assert_eq!(error.advice(), Some("did you mean `price`?"));
    let error = refused("csv.filter", TABLE, filter("x", "eq", 1));
    assert_eq!(error.context("param"), Some("column"));
    let by = with("op", "count").with("group_by", list(&["x"]));
    assert_eq!(
        refused("csv.aggregate", TABLE, by).context("param"),
        Some("group_by")
    );
    refused("csv.select", "", with("columns", list(&["a"])));
}

#[test]
fn columns_and_delimiters_are_checked() {
    for columns in [vec![], vec![1.into()], list(&["a", "a"])] {
        let error = refused("csv.select", "a\n", with("columns", columns));
        assert_eq!(error.context("param"), Some("columns"));
    }
    for delimiter in ["", ";;", "\"", "\n", "é"] {
        let params = with("columns", list(&["a"])).with("delimiter", delimiter);
        let error = refused("csv.select", "a\n", params);
        assert_eq!(error.context("param"), Some("delimiter"), "{delimiter:?}");
    }
}

#[test]
fn a_ragged_record_is_refused_with_its_line() {
    let error = refused(
        "csv.select",
        "a,b\n1,2\n\n3\n",
        with("columns", list(&["a"])),
    );
    assert_eq!(error.context("line"), Some("4"));
    assert_eq!(
        (error.context("expected"), error.context("found")),
        (Some("2 fields"), Some("1"))
    );
    assert!(error.source().is_some());
}

#[test]
fn lines_are_right_with_every_kind_of_line_end() {
    for (table, line) in [
        ("g,n\r\na,1\r\nb,x\r\n", "3"),
        ("g,n\r\n\r\na,1\r\nb,x\r\n", "4"),
        ("g,n\n\n\na,1\n\nb,x", "6"),
        ("g,n\n\"a\n\n\",1\nb,x", "5"),
    ] {
        let error = refused("csv.aggregate", table, aggregate("sum"));
        assert_eq!(error.context("line"), Some(line), "{table:?}");
        let ragged = table.replace(",x", "");
        let error = refused("csv.aggregate", &ragged, aggregate("sum"));
        assert_eq!(error.context("line"), Some(line), "{ragged:?}");
    }
}

#[test]
fn filter_compares_numbers_as_numbers() {
    for (op, expected) in [
        ("eq", "name bert "),
        ("ne", r#"name anna carl \"d \"\"x\"\"\" "#),
        ("lt", r#"name anna \"d \"\"x\"\"\" "#),
        ("le", r#"name anna bert \"d \"\"x\"\"\" "#),
        ("gt", "name "),
        ("ge", "name bert "),
    ] {
        assert_eq!(names_of(filter("price", op, 10)), expected, "{op}");
        assert_eq!(names_of(filter("price", op, 10.0)), expected, "{op}");
    }
    assert_eq!(names_of(filter("price", "gt", 2.9)), "name anna bert ");
}

#[test]
fn filter_compares_text_by_bytes_parts_and_patterns() {
    for (op, value, expected) in [
        ("eq", "Rome", "name anna carl "),
        ("ne", "Rome", r#"name bert \"d \"\"x\"\"\" "#),
        ("lt", "Bonn, am Rhein", r#"name \"d \"\"x\"\"\" "#),
        ("ge", "Bonn, am Rhein", "name anna bert carl "),
        ("contains", "am R", "name bert "),
        ("contains", ".", "name "),
        ("matches", "^R|^Bonn$", r#"name anna carl \"d \"\"x\"\"\" "#),
    ] {
        assert_eq!(
            names_of(filter("city", op, value)),
            expected,
            "{op} {value}"
        );
    }
    assert_eq!(
        one("csv.filter", b"a\n\xff\nb\n", filter("a", "ne", "b")),
        r"a\n\xff\n"
    );
}

#[test]
fn filter_refuses_values_that_do_not_fit_the_op() {
    for (op, value) in [
        ("contains", Value::Int(1)),
        ("matches", true.into()),
        ("eq", Value::Null),
    ] {
        let error = refused("csv.filter", TABLE, filter("city", op, value));
        assert_eq!(error.context("param"), Some("value"));
    }
    let error = refused("csv.filter", TABLE, filter("city", "like", "x"));
    assert_eq!(error.context("param"), Some("op"));
    let error = refused("csv.filter", TABLE, filter("city", "matches", "a["));
    assert_eq!(
        (error.context("param"), error.context("position")),
        (Some("value"), Some("2"))
    );
}

fn aggregate(op: &str) -> Params {
    with("op", op)
        .with("column", "n")
        .with("group_by", list(&["g"]))
}

#[test]
fn aggregate_makes_sorted_groups() {
    let table = "g,n\nb,1\na,2\nb,5\nc,\na,0.5\n";
    for (op, expected) in [
        ("sum", r"g,sum_n\na,2.5\nb,6\nc,0\n"),
        ("count", r"g,count_n\na,2\nb,2\nc,0\n"),
        ("min", r"g,min_n\na,0.5\nb,1\nc,\n"),
        ("max", r"g,max_n\na,2\nb,5\nc,\n"),
        ("mean", r"g,mean_n\na,1.25\nb,3\nc,\n"),
    ] {
        assert_eq!(one("csv.aggregate", table, aggregate(op)), expected, "{op}");
    }
    let records = with("op", "count").with("group_by", list(&["g"]));
    assert_eq!(
        one("csv.aggregate", table, records),
        r"g,count\na,2\nb,2\nc,1\n"
    );
}

#[test]
fn aggregate_without_groups_makes_one_record() {
    assert_eq!(
        one(
            "csv.aggregate",
            "n\n1\n2\n",
            with("op", "sum").with("column", "n")
        ),
        r"sum_n\n3\n"
    );
    assert_eq!(
        one("csv.aggregate", "n\n", with("op", "count")),
        r"count\n0\n"
    );
    assert_eq!(
        one(
            "csv.aggregate",
            "n\n",
            with("op", "max").with("column", "n")
        ),
        "max_n\\n\\\"\\\"\\n"
    );
    assert_eq!(
        one("csv.aggregate", "g,n\n", aggregate("sum")),
        r"g,sum_n\n"
    );
}

#[test]
fn groups_of_two_columns_do_not_run_together() {
    let params = with("op", "count").with("group_by", list(&["a", "b"]));
    assert_eq!(
        one("csv.aggregate", "a,b\nx,yz\nxy,z\nx,yz\n", params),
        r"a,b,count\nx,yz,2\nxy,z,1\n"
    );
}

#[test]
fn whole_numbers_are_summed_exactly() {
    let table = "g,n\nx,9223372036854775807\nx,9223372036854775807\nx,1\n";
    assert_eq!(
        one("csv.aggregate", table, aggregate("sum")),
        r"g,sum_n\nx,18446744073709551615\n"
    );
}

#[test]
fn aggregate_refuses_what_is_no_number_with_line_and_column() {
    let error = refused("csv.aggregate", "g,n\na,1\nb,\"x\ny\"\n", aggregate("sum"));
    assert_eq!(
        (error.context("line"), error.context("column")),
        (Some("3"), Some("n"))
    );
    assert_eq!(error.context("found"), Some(r"`x\ny`"));
    refused("csv.aggregate", "g,n\na,1e308\na,1e308\n", aggregate("sum"));
    let error = refused("csv.aggregate", "g,n\n", with("op", "sum"));
    assert_eq!(error.context("param"), Some("column"));
    let error = refused("csv.aggregate", "g,n\n", with("op", "median"));
    assert_eq!(
        error.context("expected"),
        Some("one of sum, count, min, max, mean")
    );
}

#[test]
fn stray_quotes_are_refused_with_their_line_from_version_2_on() {
    let columns = || with("columns", list(&["b"]));
    for (table, line, found) in [
        ("a,b\n1,\"x\n2,y\n3,z\n", "2", "the end of the input"),
        ("a,b\n\"1\n\n\",\"x\n2,y\n", "4", "the end of the input"),
        ("a,b\n1,\"\"\"\n", "2", "the end of the input"),
        ("a,b\n1,\"x\"y\n", "2", r"`y\n`"),
        ("a,b\n\"1\" ,2\n", "2", r"` ,2\n`"),
        ("a,b\n1,x\"y\n", "2", r#"`\"y\n`"#),
        ("a,b\n1, \"x\"\n", "2", r#"`\"x\"\n`"#),
        ("a,\"b\n", "1", "the end of the input"),
    ] {
        let error = refused("csv.select/2", table, columns());
        assert_eq!(error.context("line"), Some(line), "{table:?}");
        assert_eq!(error.context("found"), Some(found), "{table:?}");
        assert!(error.advice().is_some());
        let by = with("op", "count");
        refused("csv.aggregate/2", table, by);
        refused("csv.filter/2", table, filter("b", "ne", 1));
    }
    // As ever: the rest of the table is one field.
    let kept = one("csv.select", "a,b\n1,\"x\n2,y\n", columns());
    assert_eq!(kept, r#"b\n\"x\n2,y\n\"\n"#);
}

#[test]
fn quotes_where_they_belong_are_read_alike_by_both_versions() {
    for table in [
        TABLE,
        "name,city,price",
        "\"name\",city,price\r\n\"\",\"\"\"\",\"a,b\r\nc\"\r\n\r\n1,2,\"3\"",
        "\u{feff}\"name\",city,price\n1,2,3\n",
        "name,city,price\r1,\"2\",3\r",
    ] {
        let params = || with("columns", list(&["price", "name"]));
        assert_eq!(
            one("csv.select/2", table, params()),
            one("csv.select", table, params())
        );
    }
}

#[test]
fn large_numbers_are_compared_exactly_from_version_2_on() {
    let table =
        "n\n9007199254740992\n9007199254740993\n9223372036854775808\n9223372036854775809\n0.1\nx\n";
    let kept = |op: &str, value: Value| one("csv.filter/2", table, filter("n", op, value));
    assert_eq!(
        kept("gt", 9_007_199_254_740_992.0.into()),
        r"n\n9007199254740993\n9223372036854775808\n9223372036854775809\n"
    );
    assert_eq!(
        kept("eq", 9_007_199_254_740_993_i64.into()),
        r"n\n9007199254740993\n"
    );
    assert_eq!(kept("eq", 0.1.into()), r"n\n0.1\n");
    assert!(kept("ne", 1.into()).ends_with(r"x\n"));
    // As ever: 2^53 + 1 is the float 2^53.
    let value = 9_007_199_254_740_992.0;
    let kept = one("csv.filter", table, filter("n", "eq", value));
    assert_eq!(kept, r"n\n9007199254740992\n9007199254740993\n");
}

#[test]
fn large_numbers_are_aggregated_exactly_from_version_2_on() {
    let of = |table: &str, op: &str| one("csv.aggregate/2", table, aggregate(op));
    let table = "g,n\na,9223372036854775808\na, 9223372036854775809 \na,9223372036854775808.5\n";
    assert_eq!(of(table, "max"), r"g,max_n\na,9223372036854775809\n");
    assert_eq!(of(table, "min"), r"g,min_n\na,9223372036854775808\n");
    let table = "g,n\na,9223372036854775808\na,9223372036854775809\nb,2.50\nb,1e1\nc,\n";
    assert_eq!(
        of(table, "sum"),
        r"g,sum_n\na,18446744073709551617\nb,12.5\nc,0\n"
    );
    assert_eq!(
        of(table, "min"),
        r"g,min_n\na,9223372036854775808\nb,2.50\nc,\n"
    );
    assert_eq!(of(table, "count"), r"g,count_n\na,2\nb,2\nc,0\n");
    assert_eq!(of("g,n\na,1\na,2\nb,\n", "mean"), r"g,mean_n\na,1.5\nb,\n");
    let records = with("op", "count").with("group_by", list(&["g"]));
    assert_eq!(
        one("csv.aggregate/2", "g,n\na,x\n", records),
        r"g,count\na,1\n"
    );
    let most = format!("g,n\na,{0}\na,{0}\n", i128::MAX);
    refused("csv.aggregate/2", &most, aggregate("sum"));
    refused("csv.aggregate/2", "g,n\na,x\n", aggregate("sum"));
    refused(
        "csv.aggregate/2",
        "g,n\na,1e308\na,1e308\n",
        aggregate("mean"),
    );
}
