#![doc = include_str!("../README.md")]

mod admission;
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
pub use limits::Limits;
pub use server::{Bound, Drained, Reload, Server};
pub use tls::Tls;
