//! One recipe has one form, whoever writes it: what is read is what would be written, and nothing else is
//! read.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use deriva_api::{Bytes, CAddr, ErrorKind, Params, Recipe, Value, canonical};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let edges = prop_oneof![
        Just(23i64),
        Just(24),
        Just(-24),
        Just(-25),
        Just(255),
        Just(256),
        Just(65_535),
        Just(65_536),
        Just(i64::from(u32::MAX)),
        Just(i64::from(u32::MAX) + 1),
        any::<i64>(),
    ];
    let floats = prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        any::<f32>()
            .prop_map(f64::from)
            .prop_filter("finite", |x| x.is_finite()),
        (-2048i32..2048).prop_map(f64::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        edges.prop_map(Value::from),
        floats.prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 40, 30, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..30).prop_map(Value::List),
            btree_map(".{0,30}", inner, 0..6).prop_map(Value::Map),
        ]
    })
}

fn recipe() -> impl Strategy<Value = Recipe> {
    (btree_map(".{0,30}", value(), 0..5), 0..30u64).prop_map(|(params, inputs)| {
        let inputs: Vec<CAddr> = (0..inputs)
            .map(|i| CAddr::of_blob(&i.to_le_bytes()))
            .collect();
        let params: Params = params.into_iter().collect();
        Recipe::new(&"f/1".parse().unwrap(), &inputs, &params).unwrap()
    })
}

/// What is read from these bytes, written again.
fn again(bytes: &[u8]) -> Option<Bytes> {
    let read = Recipe::decode(Bytes::copy_from_slice(bytes)).ok()?;
    let inputs: Vec<CAddr> = read.inputs().collect();
    let anew = Recipe::new(&read.function(), &inputs, &read.params().unwrap()).unwrap();
    Some(anew.canonical().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(recipe in recipe()) {
        prop_assert_eq!(again(recipe.canonical()), Some(recipe.canonical().clone()));
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        recipe in recipe(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = recipe.canonical().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(again) = again(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_part_of_a_recipe_is_none(recipe in recipe(), at in any::<prop::sample::Index>()) {
        let part = recipe.canonical().slice(..at.index(recipe.canonical().len()));
        prop_assert_eq!(Recipe::decode(part).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn params_have_a_limit_of_bytes_and_of_values() {
    let id = "f/1".parse().unwrap();
    let of = |value: Value| Recipe::new(&id, &[], &Params::new().with("x", value));
    // A map of one, a key of one letter, and the head of bytes of this length.
    let longest = canonical::MAX_PARAMS - 1 - 2 - 5;
    let bytes = |len: usize| Value::Bytes(vec![7; len].into());
    let largest = of(bytes(longest)).unwrap();
    assert_eq!(largest.params_bytes().len(), canonical::MAX_PARAMS);
    let nulls = |count: usize| Value::List(vec![Value::Null; count]);
    // The list itself is a value, too.
    let most = of(nulls(canonical::MAX_VALUES - 1)).unwrap();
    for (recipe, value) in [
        (largest, bytes(longest)),
        (most, nulls(canonical::MAX_VALUES - 1)),
    ] {
        recipe.check_limits().unwrap();
        assert_eq!(recipe.params().unwrap().get("x"), Some(&value));
    }
    for (refused, limit) in [
        (of(bytes(longest + 1)), "2097152"),
        (of(Value::from("x".repeat(3 << 20))), "2097152"),
        (of(nulls(canonical::MAX_VALUES)), "65536"),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("limit"), Some(limit));
        assert!(error.advice().unwrap().contains("blob"), "{error}");
    }
}

#[test]
fn longer_params_of_an_older_recipe_are_still_read() {
    let text = "x".repeat(3 << 20);
    let len = u32::try_from(text.len()).unwrap().to_be_bytes();
    let head = b"\x85\x01\x61f\x611\x80\xa1\x61x\x7a";
    let bytes = [head.as_slice(), &len, text.as_bytes()].concat();
    let recipe = Recipe::decode(bytes.into()).unwrap();
    assert_eq!(
        recipe.params().unwrap().text("x").unwrap(),
        Some(text.as_str())
    );
    assert_eq!(
        recipe.check_limits().unwrap_err().kind(),
        ErrorKind::Invalid
    );
}
