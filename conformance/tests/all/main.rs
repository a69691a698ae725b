//! Most tests that hold stores, layers, executors and runtimes to their promises, in one binary: linking takes longer than compiling
//! them. Beside it lies what measures its whole process, changes it, or takes its time.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod apart;
mod calls;
mod command;
mod crash;
mod damage;
mod durability;
mod equivalence;
mod executors;
mod killed_checks;
mod killed_collections;
mod killed_requests;
mod materializers;
mod mutants;
mod opening;
mod power;
mod proofs;
mod runtime;
mod scheduling;
mod suite;
mod upkeep;
