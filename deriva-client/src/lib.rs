#![doc = include_str!("../README.md")]

mod answers;
mod asking;
mod batches;
mod blobs;
mod builder;
mod client;
mod factory;
mod failure;
mod graph;
mod handle;
mod link;
mod listing;
mod materialize;
mod time;
mod tls;
mod token;
mod upkeep;
mod uri;

pub use asking::graph::GraphWalk;
pub use builder::ClientBuilder;
pub use client::Client;
pub use factory::{ClientFactory, register};
pub use handle::reader::BlobReader;
pub use materialize::lease::Lease;
pub use materialize::request::Materialize;
pub use upkeep::audit::Audit;
pub use upkeep::collect::Collect;
pub use upkeep::invalidate::Invalidate;
pub use upkeep::scrub::Scrub;
