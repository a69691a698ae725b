//! `deriva serve` as a process of its own, under load, with faults, and asked by who means no good. Everything here waits for
//! conditions, and what is left to chance says its seed: `DERIVA_SEED` repeats it. `DERIVA_LONG=1` takes the long way.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(
    clippy::disallowed_methods,
    reason = "what other processes do takes the time of this machine"
)]

mod bad_network;
mod caller;
mod chance;
mod cut_put;
mod floods;
mod frames;
mod gone;
mod hasty;
mod killed;
mod large;
mod many;
mod messages;
mod proxy;
mod served;
mod stopping;
mod wire;
mod writers;
