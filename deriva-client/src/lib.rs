#![doc = include_str!("../README.md")]

mod answers;
mod batches;
mod blobs;
mod builder;
mod client;
mod failure;
mod graph;
mod link;
mod listing;
mod tls;
mod token;
mod uri;

pub use builder::ClientBuilder;
pub use client::Client;
