//! The golden vectors of `docs/reference/addresses.md`, made anew with this code and compared.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use deriva_api::{Blob, Bytes, CAddr, FunctionId, Params, Recipe, Value};
use serde_json::{Value as Json, json};

#[test]
fn every_address_is_what_it_always_was() {
    let page = std::fs::read_to_string(page_path()).unwrap();
    let made: Vec<Json> = blobs().into_iter().chain(recipes()).collect();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let lines: String = made.iter().map(|vector| ascii(vector) + "\n").collect();
        let (head, tail) = around_block(&page);
        std::fs::write(page_path(), format!("{head}{lines}{tail}")).unwrap();
        return;
    }
    let kept: Vec<Json> = block(&page)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        kept.len() > 60,
        "the page holds only {} vectors",
        kept.len()
    );
    for (kept, made) in kept.iter().zip(&made) {
        assert_eq!(
            kept, made,
            "an address moved; see docs/reference/addresses.md"
        );
    }
    assert_eq!(
        kept.len(),
        made.len(),
        "a vector was added or removed: UPDATE_DOCS=1 writes the page"
    );
}

#[test]
fn kept_canonical_bytes_read_back_under_their_addresses() {
    let page = std::fs::read_to_string(page_path()).unwrap();
    let mut read = 0;
    for line in block(&page).lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        let Some(canonical) = vector["canonical"].as_str() else {
            continue;
        };
        let addr: CAddr = vector["address"].as_str().unwrap().parse().unwrap();
        let recipe = Recipe::verify(addr, hex::decode(canonical).unwrap().into()).unwrap();
        assert_eq!(
            recipe.function().to_string(),
            vector["function"].as_str().unwrap()
        );
        assert_eq!(
            tagged_map(recipe.params().unwrap().iter()),
            vector["params"]
        );
        read += 1;
    }
    assert!(read > 50, "only {read} canonical forms were read");
}

fn blobs() -> Vec<Json> {
    let cases: [(&str, &[u8], usize); 9] = [
        ("the empty blob", b"", 1),
        ("one zero byte", b"\0", 1),
        ("hello", b"hello", 1),
        ("1023 bytes, below a BLAKE3 chunk", b"a", 1023),
        ("1024 bytes, one BLAKE3 chunk", b"a", 1024),
        ("1025 bytes, above a BLAKE3 chunk", b"a", 1025),
        ("all bytes", &ALL_BYTES, 1),
        ("64 KiB of 0xff", b"\xff", 65_536),
        ("1 MiB and one byte", b"deriva", 174_763),
    ];
    cases
        .into_iter()
        .map(|(case, piece, times)| {
            let addr = Blob::new(piece.repeat(times)).addr();
            json!({"case": case, "repeat": [hex::encode(piece), times], "address": addr})
        })
        .collect()
}

const ALL_BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut i = 0;
    while i < 256 {
        all[i] = i as u8;
        i += 1;
    }
    all
};

fn recipes() -> Vec<Json> {
    let mut made = vec![
        recipe(
            "no inputs, no params",
            "f/1",
            Inputs::First(0),
            Params::new(),
        ),
        recipe(
            "the longest name",
            &format!("{}/1", "n".repeat(128)),
            Inputs::First(0),
            Params::new(),
        ),
        recipe(
            "the longest version",
            &format!("f/{}", "v".repeat(64)),
            Inputs::First(0),
            Params::new(),
        ),
        recipe(
            "every kind of character in a name",
            "a.B_c-d+e9/1.0-rc+x_y",
            Inputs::First(1),
            Params::new(),
        ),
        recipe(
            "a name of 23 bytes",
            &format!("{}/1", "n".repeat(23)),
            Inputs::First(1),
            Params::new(),
        ),
        recipe(
            "a name of 24 bytes",
            &format!("{}/1", "n".repeat(24)),
            Inputs::First(1),
            Params::new(),
        ),
    ];
    for count in [1, 2, 23, 24, 255, 256, 65_535, 65_536] {
        made.push(recipe(
            "a number of inputs",
            "bench.mix/1",
            Inputs::First(count),
            Params::new(),
        ));
    }
    let [a, b] = [b"a", b"b"].map(|bytes| CAddr::of_blob(bytes));
    made.push(recipe(
        "inputs a, b",
        "f/1",
        Inputs::These(vec![a, b]),
        Params::new(),
    ));
    made.push(recipe(
        "inputs b, a",
        "f/1",
        Inputs::These(vec![b, a]),
        Params::new(),
    ));
    made.push(recipe(
        "one input twice",
        "f/1",
        Inputs::These(vec![a, a]),
        Params::new(),
    ));
    let below = Recipe::new(&"f/1".parse().unwrap(), &[a], &Params::new()).unwrap();
    made.push(recipe(
        "a recipe as input",
        "f/1",
        Inputs::These(vec![below.addr()]),
        Params::new(),
    ));
    for (case, value) in values() {
        made.push(recipe(
            case,
            "f/1",
            Inputs::First(1),
            Params::new().with("x", value),
        ));
    }
    made.push(recipe(
        "keys sorted by length, then by bytes",
        "f/1",
        Inputs::First(0),
        keys(),
    ));
    let spread: Params = (0..300).map(|i| (format!("k{i}"), i)).collect();
    made.push(recipe("300 params", "f/1", Inputs::First(0), spread));
    made
}

fn values() -> Vec<(&'static str, Value)> {
    let mut values = vec![
        ("null", Value::Null),
        ("false", Value::Bool(false)),
        ("true", Value::Bool(true)),
    ];
    let ints = [
        0,
        1,
        23,
        24,
        255,
        256,
        65_535,
        65_536,
        4_294_967_295,
        4_294_967_296,
        i64::MAX,
        -1,
        -24,
        -25,
        -256,
        -257,
        -65_536,
        -65_537,
        -4_294_967_296,
        -4_294_967_297,
        i64::MIN,
    ];
    values.extend(ints.map(|int| ("an int", Value::Int(int))));
    let floats = [
        ("zero", 0.0),
        ("negative zero", -0.0),
        ("one is not the int 1", 1.0),
        ("1.5 fits 16 bits", 1.5),
        ("the greatest of 16 bits", 65_504.0),
        ("just above 16 bits", 65_505.0),
        ("65520 would round to infinity in 16 bits", 65_520.0),
        ("the smallest normal of 16 bits", 6.103_515_625e-5),
        (
            "the smallest subnormal of 16 bits",
            5.960_464_477_539_063e-8,
        ),
        ("half of it: 32 bits", 2.980_232_238_769_531_3e-8),
        ("100000 needs 32 bits", 100_000.0),
        ("0.1 needs 64 bits", 0.1),
        ("the greatest of 32 bits", f32::MAX.into()),
        ("the smallest normal of 32 bits", f32::MIN_POSITIVE.into()),
        (
            "the smallest subnormal of 32 bits",
            f64::from(f32::from_bits(1)),
        ),
        ("half of it: 64 bits", f64::from(f32::from_bits(1)) / 2.0),
        ("the greatest of 64 bits", f64::MAX),
        ("the least of 64 bits", f64::MIN),
        ("the smallest normal of 64 bits", f64::MIN_POSITIVE),
        ("the smallest subnormal of 64 bits", f64::from_bits(1)),
        ("two to the 53rd and two", 9_007_199_254_740_994.0),
        ("pi", std::f64::consts::PI),
    ];
    values.extend(floats.map(|(case, float)| (case, Value::Float(float))));
    values.extend([
        ("empty text", Value::from("")),
        ("text of 23 bytes", Value::from("t".repeat(23))),
        ("text of 24 bytes", Value::from("t".repeat(24))),
        ("text of 256 bytes", Value::from("t".repeat(256))),
        ("text composed (NFC)", Value::from("\u{e9}")),
        ("text decomposed (NFD)", Value::from("e\u{301}")),
        (
            "text outside the basic plane, with NUL and newline",
            Value::from("\u{1f980}\0\n\"\\"),
        ),
        ("empty bytes", Value::Bytes(Bytes::new())),
        ("all bytes", Value::Bytes(Bytes::from_static(&ALL_BYTES))),
        ("an empty list", Value::List(vec![])),
        (
            "a list keeps its order",
            Value::List([2, 1, 2].map(Value::from).to_vec()),
        ),
        ("an empty map", Value::Map(BTreeMap::new())),
        (
            "a map inside, with sorted keys",
            Value::Map(
                keys()
                    .iter()
                    .map(|(k, v)| (k.to_owned(), v.clone()))
                    .collect(),
            ),
        ),
        (
            "nested 60 deep",
            (0..60).fold(Value::Null, |inner, _| Value::List(vec![inner])),
        ),
        (
            "every type in one",
            Value::List(vec![
                Value::Null,
                Value::from(true),
                Value::from(-7),
                Value::from(0.5),
                Value::from("x"),
                Value::Bytes(Bytes::from_static(b"x")),
                Value::Map(BTreeMap::from([(
                    "y".to_owned(),
                    Value::List(vec![Value::Null]),
                )])),
            ]),
        ),
    ]);
    values
}

/// By bytes alone `aa` would precede `b`; by its encoding, with the length in front, it follows.
fn keys() -> Params {
    [
        "",
        "b",
        "aa",
        "\u{e9}",
        "z",
        "ab",
        "k23-bytes-0123456789ab",
        "k24-bytes-0123456789abcd",
        "A",
    ]
    .into_iter()
    .zip(0..)
    .collect()
}

enum Inputs {
    First(u64),
    These(Vec<CAddr>),
}

fn recipe(case: &str, function: &str, inputs: Inputs, params: Params) -> Json {
    let (shown, addrs) = match inputs {
        Inputs::First(count) => (
            json!(count),
            (0..count)
                .map(|i| CAddr::of_blob(&i.to_le_bytes()))
                .collect(),
        ),
        Inputs::These(addrs) => (json!(addrs), addrs),
    };
    let id: FunctionId = function.parse().unwrap();
    let recipe = Recipe::new(&id, &addrs, &params).unwrap();
    let mut vector = json!({
        "case": case, "function": function, "inputs": shown, "params": tagged_map(params.iter()),
        "canonical_len": recipe.canonical().len(), "address": recipe.addr(),
    });
    if recipe.canonical().len() <= 512 {
        vector["canonical"] = json!(hex::encode(recipe.canonical()));
    }
    vector
}

fn tagged_map<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>) -> Json {
    entries
        .map(|(key, value)| (key.to_owned(), tagged(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn tagged(value: &Value) -> Json {
    let content = match value {
        Value::Null => Json::Null,
        Value::Bool(x) => json!(x),
        Value::Int(x) => json!(x.to_string()),
        Value::Float(x) => json!(format!("{:016x}", x.to_bits())),
        Value::Text(x) => json!(x),
        Value::Bytes(x) => json!(hex::encode(x)),
        Value::List(items) => items.iter().map(tagged).collect(),
        Value::Map(map) => tagged_map(map.iter().map(|(key, value)| (key.as_str(), value))),
    };
    json!({value.type_name(): content})
}

/// JSON in ASCII, so that no editor normalises what the vectors are about.
fn ascii(value: &Json) -> String {
    let mut units = [0; 2];
    let text = value.to_string();
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
        out
    })
}

fn page_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/addresses.md")
}

fn around_block(page: &str) -> (&str, &str) {
    let start = page.find("```jsonl\n").unwrap() + "```jsonl\n".len();
    let end = start + page[start..].find("```").unwrap();
    (&page[..start], &page[end..])
}

fn block(page: &str) -> &str {
    let (head, tail) = around_block(page);
    &page[head.len()..page.len() - tail.len()]
}
