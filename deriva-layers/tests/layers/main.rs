//! Layers: nothing observable changes but their concern, and that concern is met.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod conformance;
mod counters;
mod intercept;
mod limit;
mod read_only;
mod retry;
mod stack;
mod support;
mod tiered_blobs;
mod tiered_dag;
mod timeout;
