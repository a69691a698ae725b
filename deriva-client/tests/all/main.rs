//! The client against servers that are made for it: honest ones, liars, slow ones, and connections that are cut. All over a socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod fake;

mod blobs;
mod bytes;
mod connecting;
mod cut;
mod graph;
mod lease;
mod lists;
mod put;
mod reading;
mod retries;
mod run;
mod tls;
mod upkeep;
mod writer;
