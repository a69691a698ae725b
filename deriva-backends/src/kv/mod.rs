//! Blob store and DAG store over an ordered key-value engine, written once for all engines.
//!
//! | file | subject |
//! |---|---|
//! | `engine` | what an engine must do |
//! | `layout` | tables, keys and rows |
//! | `group` | group commit: many callers, one batch, one sync |
//! | `commit` | applies a group, exactly and in order |
//! | `stage`, `ops` | what each write decides, reading its own group's writes |
//! | `read` | where reads run |
//! | `store`, `blobs`, `dag` | the handle and the two traits |

mod blobs;
mod commit;
mod dag;
mod engine;
mod group;
mod layout;
mod ops;
mod read;
mod stage;
mod store;

pub(crate) use engine::{Engine, Write};
pub use read::ReadPolicy;
pub(crate) use store::{Core, KvConfig, KvStore};
