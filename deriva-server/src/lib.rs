#![doc = include_str!("../README.md")]

mod budget;
mod door;
mod http;
mod limits;
mod listen;
mod rpc;
mod server;
mod tls;

pub use door::{Role, Tokens};
pub use limits::Limits;
pub use server::{Bound, Drained, Reload, Server};
pub use tls::Tls;
