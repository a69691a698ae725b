//! The tests of the command, in one binary: linking takes longer than compiling them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod choosing;
mod collect;
mod common;
mod errors;
mod graph;
mod guides;
mod interrupted;
mod little_machine;
mod log;
mod metrics;
mod mistakes;
mod opening;
#[cfg(feature = "otel")]
mod otlp;
#[cfg(not(feature = "otel"))]
mod otlp_absent;
mod products;
mod read_only;
mod reports;
mod request_id;
mod run;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod server_roles;
mod stores;
mod top;
mod upkeep;
mod verbs;
mod verification;
mod why;
