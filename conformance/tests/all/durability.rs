//! Stores promise no more than what killing them and tracing their system calls proves.

use std::io::Write;

use conformance::proof::prover;
use deriva_api::DurabilityClass;
use rstest::rstest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conformance");

#[rstest]
#[case("memory", DurabilityClass::None)]
#[case("sled", DurabilityClass::PowerLoss)]
#[case("sled?durability=buffered", DurabilityClass::None)]
#[case("redb", DurabilityClass::PowerLoss)]
#[case("redb?durability=buffered", DurabilityClass::None)]
#[case("files", DurabilityClass::PowerLoss)]
#[case("files?durability=buffered", DurabilityClass::ProcessCrash)]
#[cfg_attr(feature = "rocksdb", case("rocksdb", DurabilityClass::PowerLoss))]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb?durability=buffered", DurabilityClass::ProcessCrash)
)]
fn a_store_declares_what_is_proved(#[case] store: &str, #[case] class: DurabilityClass) {
    let prover = prover(PROGRAM, store);
    let proved = prover
        .durability()
        .unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(proved.declared, class, "{store}");
    assert!(proved.is_honest(), "{store}: {proved:?}");
    match prover.waits().unwrap_or_else(|broken| panic!("{broken}")) {
        // Said aloud, past the capture of test output: nothing was learned about power loss.
        Err(why) => writeln!(std::io::stderr(), "NOT CHECKED: {store}: power loss: {why}")
            .expect("stderr is there"),
        Ok(waits) => {
            assert_eq!(proved.class, class, "{store}: {proved:?}");
            let flush = waits.iter().find(|waits| waits.call == "flush");
            let flush = flush.expect("the writer flushes");
            assert!(
                class == DurabilityClass::None && store == "memory" || flush.unsynced.is_empty(),
                "{store}: a flush {}",
                flush.said()
            );
        }
    }
}
