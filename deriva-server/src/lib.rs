#![doc = include_str!("../README.md")]

mod admission;
mod bound;
mod budget;
#[doc(hidden)]
pub mod foreign;
mod http;
mod limits;
mod listen;
mod rpc;
mod server;
mod tls;

pub use admission::Role;
pub use bound::{Bound, Drained, Reload};
pub use limits::Limits;
pub use server::Server;
pub use tls::Tls;
