//! Losses of power, replayed.

mod calls;
mod family;
mod timeline;
mod tree;
mod watch;

pub use family::Family;
pub use timeline::{Model, SyncKind};
