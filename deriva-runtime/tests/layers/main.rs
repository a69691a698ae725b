//! Layers: nothing observable changes but their concern, and that concern is met.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod conformance;
mod read_only;
mod retry;
mod stack;
mod support;
