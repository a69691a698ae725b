//! Blob store and DAG store over an ordered key-value engine, written once for all engines.
//!
//! | file | subject |
//! |---|---|
//! | `engine` | what an engine must do |
//! | `layout` | tables, keys and rows |
//! | `config` | settings that every engine shares |
//! | `group` | group commit: many callers, one batch, one sync |
//! | `commit` | applies a group, exactly and in order |
//! | `stage`, `ops` | what each write decides, reading its own group's writes |
//! | `edges` | who depends on an address |
//! | `read` | where reads run |
//! | `reopen` | an engine that is opened again after an error that it does not live through |
//! | `space` | stops writes before the disk is full |
//! | `store`, `blobs`, `dag` | the handle and the two traits |

mod blobs;
mod commit;
mod config;
mod dag;
mod edges;
mod engine;
mod group;
mod layout;
mod ops;
mod read;
mod reopen;
mod space;
mod stage;
mod store;

pub(crate) use config::{KvConfig, Limits, kv_config};
pub(crate) use engine::{Engine, Place, Write};
pub use read::ReadPolicy;
pub(crate) use reopen::{Failure, Reopening, caught};
pub(crate) use space::Reserve;
pub(crate) use store::{Core, KvStore, gone};
