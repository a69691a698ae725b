//! Most tests of the stores, in one binary: linking takes longer than compiling them. Beside it lies what must be a process of its
//! own.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod blob_round_trips;
mod common;
mod concurrent_writers;
mod counted;
mod cut_short;
mod dag_edges;
mod dag_lists;
mod dag_outputs;
mod damage;
mod endless_logs;
mod failed_write;
mod full_disk;
mod killed_process;
mod long_names;
mod opening;
mod put_again;
mod read_only;
mod synced_names;
mod verify;
