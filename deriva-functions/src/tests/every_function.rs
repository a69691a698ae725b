use ::bytes::Bytes;
use deriva_api::{ErrorKind, ParamDoc, Params, Value};

use super::{list, noise, with};

/// Params with which each function that needs some can be called.
fn sample(name: &str) -> Params {
    match name {
        "bytes.repeat" => with("times", 2),
        "text.grep" => with("pattern", "a"),
        "text.replace" => with("pattern", "a+").with("with", "<$0>"),
        "text.top" => with("n", 2),
        "csv.select" => with("columns", list(&["a"])),
        "csv.filter" => with("column", "a").with("op", "ge").with("value", 2),
        "csv.aggregate" => with("op", "sum").with("column", "a"),
        "json.select" => with("pointer", "/a"),
        "bench.liar" => with("p", 0),
        _ => Params::new(),
    }
}

#[test]
fn the_library_is_the_one_that_was_promised() {
    let names: Vec<String> = crate::builtin()
        .iter()
        .map(|f| f.id().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "bench.burn/1",
            "bench.liar/1",
            "bench.mix/1",
            "bytes.concat/1",
            "bytes.identity/1",
            "bytes.repeat/1",
            "bytes.slice/1",
            "compress.gunzip/1",
            "compress.gunzip/2",
            "compress.gzip/1",
            "compress.unzstd/1",
            "compress.zstd/1",
            "csv.aggregate/1",
            "csv.aggregate/2",
            "csv.filter/1",
            "csv.filter/2",
            "csv.select/1",
            "csv.select/2",
            "hash.blake3/1",
            "hash.sha256/1",
            "json.merge/1",
            "json.select/1",
            "text.grep/1",
            "text.lines/1",
            "text.lower/1",
            "text.merge_counts/1",
            "text.replace/1",
            "text.replace/2",
            "text.sort/1",
            "text.top/1",
            "text.unique/1",
            "text.upper/1",
            "text.word_count/1",
        ]
    );
}

#[test]
fn each_says_what_it_does_in_one_sentence() {
    for function in crate::builtin().iter() {
        let id = function.id();
        let text = function.description();
        assert!(
            text.ends_with('.') && !text.contains(['\n', '|']),
            "{id}: {text}"
        );
        for doc in function.params() {
            assert!(
                doc.description.ends_with('.') && !doc.description.contains(['\n', '|']),
                "{id} {}",
                doc.name
            );
            let kinds = ["text", "int", "number", "bool", "list", "any"];
            assert!(kinds.contains(&&*doc.kind), "{id} {}", doc.kind);
        }
    }
}

#[test]
fn each_accepts_its_sample_and_refuses_what_is_unknown_missing_or_of_another_type() {
    for function in crate::builtin().iter() {
        let id = function.id();
        let good = sample(id.name());
        function.check(1, &good).unwrap();

        let error = function
            .check(1, &good.clone().with("nonsense", 1))
            .unwrap_err();
        assert_eq!(error.context("param"), Some("nonsense"), "{id}");

        for doc in function.params() {
            if doc.required {
                let without: Params = good
                    .iter()
                    .filter(|(k, _)| *k != doc.name)
                    .map(owned)
                    .collect();
                let error = function.check(1, &without).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert_eq!(error.context("param"), Some(&*doc.name), "{id}");
            }
            for wrong in wrong_values(doc) {
                let found = wrong.type_name();
                let error = function
                    .check(1, &good.clone().with(&*doc.name, wrong))
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert_eq!(error.context("function"), Some(&*id.to_string()));
                assert_eq!(error.context("param"), Some(&*doc.name), "{id}");
                assert!(error.context("expected").is_some());
                assert_eq!(error.context("found"), Some(found), "{id} {}", doc.name);
            }
        }
    }
}

fn owned((name, value): (&str, &Value)) -> (String, Value) {
    (name.to_owned(), value.clone())
}

fn wrong_values(doc: &ParamDoc) -> Vec<Value> {
    [
        Value::Null,
        Value::Map([].into()),
        true.into(),
        1.into(),
        0.5.into(),
        "1".into(),
        vec![].into(),
    ]
    .into_iter()
    .filter(|value| match &*doc.kind {
        "any" => matches!(
            value,
            Value::Null | Value::Map(_) | Value::Bool(_) | Value::List(_)
        ),
        "number" => !matches!(value, Value::Int(_) | Value::Float(_)),
        kind => value.type_name() != kind,
    })
    .collect()
}

#[test]
fn a_wrong_number_of_inputs_is_refused_before_the_params_are_read() {
    for function in crate::builtin().iter() {
        let id = function.id();
        let any = [
            "bench.burn",
            "bench.liar",
            "bench.mix",
            "bytes.concat",
            "text.merge_counts",
        ];
        let counts: &[usize] = match id.name() {
            name if any.contains(&name) => &[],
            "json.merge" => &[0],
            _ => &[0, 2, 100],
        };
        for count in counts {
            for params in [sample(id.name()), with("nonsense", 1)] {
                let error = function.check(*count, &params).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert_eq!(error.context("found"), Some(&*count.to_string()), "{id}");
            }
        }
        if counts.len() < 2 {
            function.check(100, &sample(id.name())).unwrap();
        }
    }
}

#[test]
fn no_bytes_make_one_panic_or_answer_twice_differently() {
    let inputs: Vec<Bytes> = (0..40_usize)
        .map(|i| noise(i * i, i as u64).into())
        .chain([Bytes::new(), Bytes::from("\n"), Bytes::from("a,b\n\"")])
        .collect();
    // Two registries, so that two keys of hash maps and two caches of patterns.
    let (first, second) = (crate::builtin(), crate::builtin());
    for function in first.iter().filter(|f| f.id().name() != "bench.burn") {
        let again = second.get(function.id()).unwrap();
        let params = sample(function.id().name());
        for input in &inputs {
            let input = std::slice::from_ref(input);
            match (function.call(input, &params), again.call(input, &params)) {
                (Ok(a), Ok(b)) => assert_eq!(a, b, "{}", function.id()),
                (Err(a), Err(b)) => {
                    assert_eq!(a.kind(), ErrorKind::Invalid, "{a:?}");
                    assert_eq!(a.to_string(), b.to_string());
                }
                (a, b) => panic!("{}: {a:?} and {b:?}", function.id()),
            }
        }
    }
}
