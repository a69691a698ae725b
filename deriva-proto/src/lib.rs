#![doc = include_str!("../README.md")]

mod admin;
mod blobs;
pub mod errors;
mod explain;
mod fields;
mod graph;
mod materialize;
pub mod parts;
mod types;
mod violation;

pub use errors::{error_of, retry_after, status_of, status_with_retry};
pub use fields::{addr_of, addrs_of, bytes_of, bytes_of_all, maybe_addr_of};
pub use types::MAX_NESTING;

/// The messages and services, as they are generated from the `.proto` files beside this crate's sources, which are their
/// documentation. Addresses are [`bytes::Bytes`] in them: see [`addr_of`].
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    rustdoc::all,
    reason = "it is generated"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/deriva.v1.rs"));
}

/// All of the protocol as an encoded `google.protobuf.FileDescriptorSet`, without comments: what a server's reflection answers with.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/deriva.v1.bin"));
