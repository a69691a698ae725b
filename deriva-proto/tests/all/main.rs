//! The protocol, held to what it carries.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod answers;
mod any;
mod errors;
mod foreign;
mod parts;
mod random_bytes;
mod round_trip;
mod versions;
mod wrong;
mod wrong_parts;
