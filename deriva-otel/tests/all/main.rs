//! A collector made from the messages and services of OTLP, and what arrives there.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod away;
mod collector;
mod common;
mod metrics;
mod traces;
