//! The protocol, held to what it carries.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod any;
mod errors;
mod foreign;
mod random_bytes;
mod round_trip;
mod versions;
mod wrong;
