//! The proofs find an insert that is not atomic, and a store that declares more than it syncs.
#![cfg(any(feature = "planted-halves", feature = "planted-no-sync"))]

mod common;

use std::sync::Arc;

use common::Database;
use deriva_testkit::proof::{Effort, Program, Proof, Prover, serve_fixture};

#[test]
fn a_planted_mistake_fails_the_proof_about_it() {
    let fixture = Arc::new(Database::new());
    // The processes that are killed are this test, started again.
    serve_fixture(fixture.clone());
    let path = concat!(
        module_path!(),
        "::a_planted_mistake_fails_the_proof_about_it"
    );
    let program = Program::this_test(path).expect("this is a test binary");
    let prover = Prover::of_fixture(fixture, program);
    let found = |proof: &Proof| proof.prove(&prover, Effort::TEST).err();
    if cfg!(feature = "planted-halves") {
        let broken = found(&Proof::Calls).expect("an insert in two halves is found");
        assert!(
            broken.to_string().contains("half a batch of recipes"),
            "{broken}"
        );
        // Kills at random moments may find it, too; damage does not.
        assert_eq!(found(&Proof::Damage).map(|broken| broken.to_string()), None);
    } else {
        let failed = Proof::ALL
            .iter()
            .filter_map(|proof| Some((*proof, found(proof)?)));
        let failed: Vec<_> = failed.collect();
        if failed.is_empty() && cannot_trace(&prover) {
            eprintln!("NOT CHECKED: no process can be traced here");
            return;
        }
        let [(Proof::Durability, broken), (Proof::Power, lost)] = &failed[..] else {
            panic!("what is about losses of power fails, and nothing else: {failed:?}");
        };
        assert!(broken.to_string().contains("leaves unsynced"), "{broken}");
        assert!(lost.to_string().contains("lost: "), "{lost}");
    }
}

fn cannot_trace(prover: &Prover) -> bool {
    let told = Proof::Durability.prove(prover, Effort::TEST);
    told.is_ok_and(|told| told.contains("NOT CHECKED"))
}
