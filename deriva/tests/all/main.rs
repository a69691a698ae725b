//! Most tests of the facade, in one binary: linking takes longer than compiling them. Beside it lies what must be a program of its
//! own.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[cfg(feature = "metrics")]
mod activity;
mod bisect_large;
mod bytes;
mod collect;
mod collect_beside;
mod collect_interrupted;
mod collecting;
mod common;
mod determinism;
mod determinism_table;
mod diff;
mod embedding;
mod explain;
mod functions;
mod graph;
mod invalidate;
mod invalidate_beside;
mod light;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod panics;
mod params;
mod priorities;
mod putting;
mod read_only;
mod requests;
mod scrub;
mod settings;
mod stacks;
mod statistics;
mod timeline;
mod two_handles;
