use ::bytes::Bytes;
use deriva_api::Params;

use super::{refused, run, with};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn mix_is_fnv1a_of_the_concatenation() {
    let mix = |inputs: &[&str]| hex(&run("bench.mix", inputs, Params::new()).unwrap());
    assert_eq!(mix(&[]), "25232284e49cf2cb");
    assert_eq!(mix(&[""]), "25232284e49cf2cb");
    assert_eq!(mix(&["abc"]), "4b57410519a21fe7");
    assert_eq!(mix(&["a", "", "bc"]), "4b57410519a21fe7");
}

/// LAYERED(width, layers) as a bare loop over the function.
fn layered(width: usize, layers: usize) -> String {
    let functions = crate::builtin();
    let mix = functions.lookup("bench.mix", "1").unwrap();
    let params = Params::new();
    let mut state = 42_u64;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut layer: Vec<Bytes> = (0..width as u64)
        .map(|i| Bytes::copy_from_slice(&i.to_le_bytes()))
        .collect();
    for _ in 0..layers {
        layer = (0..width)
            .map(|j| {
                let other = (next() % width as u64) as usize;
                let inputs = [layer[j].clone(), layer[other].clone()];
                mix.call(&inputs, &params).unwrap()
            })
            .collect();
    }
    hex(&mix.call(&layer, &params).unwrap())
}

#[test]
fn mix_gives_the_known_roots_of_layered() {
    assert_eq!(layered(100, 100), "a794182f589a51dd");
    assert_eq!(layered(1000, 100), "6a941f4c6da0f7c2");
}

#[test]
fn burn_depends_on_inputs_and_units_alone() {
    let burn = |input, units| hex(&run("bench.burn", &[input], with("units", units)).unwrap());
    assert_eq!(burn("abc", 1), "fea63251b69e1d97");
    assert_eq!(
        hex(&run("bench.burn", &["abc"], Params::new()).unwrap()),
        "fea63251b69e1d97"
    );
    assert_ne!(burn("abc", 2), burn("abc", 1));
    assert_ne!(burn("abd", 1), burn("abc", 1));
    for units in [0, -1, 1_000_001] {
        let error = refused("bench.burn", "", with("units", units));
        assert_eq!(error.context("expected"), Some("1 to 1000000"));
    }
}

#[test]
fn the_liar_lies_as_often_as_it_is_told() {
    let functions = crate::builtin();
    let liar = functions.lookup("bench.liar", "1").unwrap();
    assert!(liar.description().contains("NONDETERMINISTIC"));
    let inputs = [Bytes::from("a"), Bytes::from("b")];
    let lies = |p: f64| {
        let params = with("p", p);
        let answers = (0..1000).map(|_| liar.call(&inputs, &params).unwrap());
        answers.filter(|answer| answer != "ab").count()
    };
    assert_eq!((lies(0.0), lies(1.0)), (0, 1000));
    let half = lies(0.5);
    assert!((350..650).contains(&half), "{half}");
}

#[test]
fn no_two_lies_agree() {
    let functions = crate::builtin();
    let liar = functions.lookup("bench.liar", "1").unwrap();
    let answers: std::collections::HashSet<Bytes> = (0..100)
        .map(|_| liar.call(&[], &with("p", 1)).unwrap())
        .collect();
    assert_eq!(answers.len(), 100);
}

#[test]
fn a_probability_is_from_0_to_1() {
    for p in [-0.1, 1.1, f64::NAN] {
        let error = refused("bench.liar", "", with("p", p));
        assert_eq!(error.context("expected"), Some("0 to 1"));
    }
}
