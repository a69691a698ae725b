//! Damaged files make typed errors or leave answers right, never wrong; nothing panics, dies or hangs.

use conformance::proof::{Damage, prover};
use rstest::rstest;

const DAMAGES: u64 = 40;

#[rstest]
#[case("sled")]
#[case("redb")]
#[case("files")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
fn damage_is_named_or_harmless(#[case] store: &str) {
    let damage = Damage {
        prover: prover(env!("CARGO_BIN_EXE_conformance"), store),
        damages: DAMAGES,
        seed: 1,
    };
    let report = damage
        .run(|_| {})
        .unwrap_or_else(|broken| panic!("{broken}"));
    let noticed: u64 = report
        .not_opened
        .values()
        .chain(report.refused.values())
        .sum();
    assert!(noticed > DAMAGES / 4, "{report}");
}
