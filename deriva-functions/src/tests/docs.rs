//! `docs/reference/functions.md` says what the registry says. `UPDATE_DOCS=1` writes its tables anew.

use std::fmt::Write;
use std::path::Path;

use deriva_api::{ComputeFunction, Params, Weight};

#[test]
fn the_reference_page_matches_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/functions.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let expected = filled(&page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "docs/reference/functions.md is out of date: run this test with UPDATE_DOCS=1"
    );
}

#[test]
fn the_reference_page_has_a_place_for_every_family() {
    let page = include_str!("../../../docs/reference/functions.md");
    for function in crate::builtin().iter() {
        let family = family(&**function);
        assert!(page.contains(&opening(&family)), "no place for {family}.*");
        assert!(page.contains(&format!("### {}\n", function.id())));
    }
}

fn opening(family: &str) -> String {
    format!("<!-- generated: {family} -->\n")
}

const CLOSING: &str = "<!-- end -->\n";

fn family(function: &dyn ComputeFunction) -> String {
    function.id().name().split('.').next().unwrap().to_owned()
}

/// The page with what stands between its marks made anew.
fn filled(page: &str) -> String {
    let mut rest = page;
    let mut out = String::new();
    while let Some(at) = rest.find("<!-- generated: ") {
        let line_end = at + rest[at..].find('\n').unwrap() + 1;
        let name = rest[at..line_end].trim_start_matches("<!-- generated: ");
        let name = name.trim_end().trim_end_matches(" -->");
        out.push_str(&rest[..line_end]);
        out.push_str(&section(name));
        let end = rest.find(CLOSING).expect("a generated part must end");
        out.push_str(CLOSING);
        rest = &rest[end + CLOSING.len()..];
    }
    out.push_str(rest);
    out
}

fn section(name: &str) -> String {
    let functions = crate::builtin();
    let mut out = String::new();
    for function in functions.iter().filter(|f| family(&***f) == name) {
        let weight = match function.weight() {
            Weight::Light => "light",
            Weight::Heavy => "heavy",
        };
        write!(
            out,
            "\n### {}\n\n{} Inputs: {}; {weight}.\n",
            function.id(),
            function.description(),
            inputs(&**function)
        )
        .unwrap();
        if !function.params().is_empty() {
            out.push_str("\n| param | type | | meaning |\n|---|---|---|---|\n");
        }
        for doc in function.params() {
            let need = if doc.required { "needed" } else { "optional" };
            writeln!(
                out,
                "| `{}` | {} | {need} | {} |",
                doc.name, doc.kind, doc.description
            )
            .unwrap();
        }
    }
    out.push('\n');
    out
}

/// The number of inputs, as the function itself says it when it gets another.
fn inputs(function: &dyn ComputeFunction) -> String {
    match function.check(0, &Params::new()) {
        Err(error) if error.context("param").is_none() => {
            error.context("expected").unwrap().to_owned()
        }
        _ => "any number".to_owned(),
    }
}
