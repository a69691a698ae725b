//! The proofs as a program, for long: `cargo run --example prove -- calls --kills 1000`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    deriva_testkit::proof::main(common::Database::new())
}
