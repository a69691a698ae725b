//! Inputs by the rules of what is read, nearly.

use deriva_fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{ROUNDS, reads};

fn holds(name: &str, inputs: impl Strategy<Value = Vec<u8>>) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    reads(target, 2, inputs, ROUNDS);
}

/// A text of some of these, one after the other.
fn text_of(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let words = vec(proptest::sample::select(words), 0..most);
    words.prop_map(|words| words.concat().into_bytes())
}

#[test]
fn uris() {
    let words = &[
        "sled:",
        "memory:",
        "files:",
        "retry(",
        "split(",
        "tiered(",
        ")",
        ", ",
        ",",
        "blobs=",
        "dag=",
        "./data",
        "a b",
        "%2C",
        "%ff",
        "%",
        "?",
        "&",
        "=",
        "attempts=3",
        "cache=1MiB",
        "(",
        "é",
        "\t",
    ];
    holds("uri", text_of(words, 20));
}

#[test]
fn prefixes() {
    holds(
        "prefix",
        "[0-9a-fA-F]{1,66}|.{0,4}".prop_map(String::into_bytes),
    );
}

#[test]
fn recipes() {
    // Items of CBOR in any order, after a head that is right.
    let item = prop_oneof![
        (0..8u8, 0..28u8).prop_map(|(major, info)| vec![major << 5 | info]),
        (0..8u8, any::<u8>()).prop_map(|(major, byte)| vec![major << 5 | 24, byte]),
        any::<[u8; 2]>().prop_map(|[one, other]| vec![0xf9, one, other]),
        any::<f32>().prop_map(|x| [&[0xfa][..], &x.to_be_bytes()].concat()),
        any::<f64>().prop_map(|x| [&[0xfb][..], &x.to_be_bytes()].concat()),
        "[a-c]{0,3}".prop_map(|text| [&[0x60 | text.len() as u8], text.as_bytes()].concat()),
        any::<[u8; 32]>().prop_map(|addr| [&[0x58, 0x20][..], &addr].concat()),
    ];
    let head = prop_oneof![
        Just(&b"\x85\x01af\x611\x80\xa1ax"[..]),
        Just(&b"\x85\x01af\x611\x80\xa2"[..]),
        Just(&b"\x85\x01af\x611\x81"[..]),
        Just(&b"\x85\x01"[..]),
        Just(&b""[..]),
    ];
    let recipes =
        (head, vec(item, 0..12)).prop_map(|(head, items)| [head, &items.concat()].concat());
    holds("recipe", recipes);
}

#[test]
fn settings() {
    let words = &[
        "[limits]\n",
        "[tls]\n",
        "limits.",
        "requests = ",
        "drain = ",
        "message_bytes = ",
        "stored_bytes = ",
        "listen = ",
        "page = ",
        "verify = ",
        "memory = ",
        "tokens = ",
        "store = ",
        "\"1.5GiB\"",
        "\"1h 3ns\"",
        "\"[::1]:0\"",
        "\"quorum:2/3\"",
        "\"sampled:0.1\"",
        "7",
        "-1",
        "true",
        "\"\"",
        "\"a\\nb\"",
        "'''x'''",
        "\n",
        "# é\n",
        "{ drain = \"1s\" }",
        "18446744073709551615",
    ];
    holds("configuration", text_of(words, 12));
}

#[test]
fn pipelines() {
    let words = &[
        "name = \"p\"\n",
        "[sources.a]\ninclude = [\"**/*.rs\"]\n",
        "[steps.b]\nfunction = \"text.upper/1\"\neach = \"a\"\n",
        "[steps.c]\nfunction = \"bytes.concat\"\ninputs = [\"a\", \"b\"]\n",
        "fan_in = 2\n",
        "fan_in = 1\n",
        "params = { n = 3, x = nan }\n",
        "verify = \"dual\"\n",
        "[outputs]\n",
        "\"out/\" = \"b\"\n",
        "\"out/x\" = \"c\"\n",
        "\"../x\" = \"c\"\n",
        "exclude = [\"{a,b\", \"/x\"]\n",
        "each = \"c\"\n",
        "[steps.a]\n",
        "root = 3\n",
        "é = 1\n",
    ];
    holds("pipeline", text_of(words, 14));
}
