//! A server over real sockets, asked as any client of the protocol does.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod access;
mod common;
mod counted;
mod drain;
mod events;
mod frames;
mod http;
mod limits;
mod page;
mod tls;
mod well;
