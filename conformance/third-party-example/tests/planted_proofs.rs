//! The proofs find an insert that is not atomic, and a store that declares more than it syncs.

mod common;

use std::sync::Arc;

use common::Database;
use deriva_testkit::proof::{Effort, Program, Proof, Prover, serve_fixture};

#[test]
fn planted_mistakes_fail_the_proofs_about_them() {
    let fixture = Arc::new(Database::new());
    // The processes that are killed are this test, started again.
    serve_fixture(fixture.clone());
    let path = concat!(
        module_path!(),
        "::planted_mistakes_fail_the_proofs_about_them"
    );
    let program = Program::this_test(path).expect("this is a test binary");
    let prover = Prover::of_fixture(fixture, program);
    let found = |proof: Proof| match proof.prove(&prover, Effort::TEST) {
        Ok(_) => String::new(),
        Err(broken) => broken.to_string(),
    };
    let halves = found(Proof::Calls);
    assert!(halves.contains("half a batch of recipes"), "{halves}");
    let unsynced = found(Proof::Durability);
    assert!(unsynced.contains("leaves unsynced db-wal"), "{unsynced}");
    assert_eq!(found(Proof::Damage), "");
}
