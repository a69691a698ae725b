//! The earliest recipes whose outputs differ.

use super::{compute, object};
use crate::common::Bench;

#[test]
fn two_stores_are_bisected_and_one_is_compared_with_what_its_recipes_give_now() {
    let bench = Bench::new();
    let made = compute(&bench, "wrong", true);
    compute(&bench, "right", false);
    let upper = made.upper.to_string();
    let twice = made.twice.to_string();
    for args in [
        vec!["bisect", "sled:wrong", "sled:right"],
        vec!["bisect", "sled:wrong", "sled:right", &twice[..12]],
        vec!["bisect", "sled:wrong"],
        vec!["bisect", "sled:wrong", "--fresh", "-j", "2"],
        vec!["bisect", "sled:wrong", &twice, &upper],
    ] {
        let json = object(&bench, 5, &[&args[..], &["--json"]].concat());
        let culprits = json["culprits"].as_array().unwrap();
        assert_eq!(culprits.len(), 1, "{args:?}: {json}");
        let culprit = &culprits[0];
        assert_eq!(
            (&culprit["recipe"], &culprit["function"]),
            (&upper.clone().into(), &"text.upper/1".into())
        );
        assert_ne!(culprit["first"], culprit["second"]);
        assert_eq!(culprit["difference"]["text"][0], "0 REd.1 RED.");
        let told = bench.tells(5, &args);
        assert!(
            told.contains(&format!("x {upper} text.upper/1")) && told.contains("1 culprit"),
            "{told}"
        );
    }
    // What is above it differs, too, and is none: its input does.
    let json = object(&bench, 5, &["bisect", "sled:wrong", "sled:right", "--json"]);
    assert_eq!(
        (&json["compared"], &json["differing"]),
        (&3.into(), &2.into())
    );
    for same in [
        vec!["bisect", "sled:right"],
        vec![
            "bisect",
            "sled:wrong",
            "sled:right",
            &made.joined.to_string()[..],
        ],
    ] {
        let told = bench.ok(&same);
        assert!(told.contains("nothing differs"), "{told}");
    }
    // It only reads.
    assert_eq!(bench.ok(&["ledger", "ls", "--store", "sled:wrong"]), "");
}
