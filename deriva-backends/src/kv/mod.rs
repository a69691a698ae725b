//! Blob store and DAG store over an ordered key-value engine, written once for all engines.
//!
//! | file | subject |
//! |---|---|
//! | `engine` | what an engine must do |
//! | `layout` | tables, keys and rows |
//! | `config` | settings that every engine shares |
//! | `group` | group commit: many callers, one batch, one sync |
//! | `commit` | applies a group, exactly and in order |
//! | `counted` | what the store counts of itself |
//! | `overlay`, `ops` | what each write decides, reading its own group's writes |
//! | `edges` | who depends on an address |
//! | `watermark` | notices that the database lost its last commits |
//! | `read` | where reads run |
//! | `panics` | panics of a database as errors |
//! | `reopen` | an engine that is opened again after an error that it does not live through |
//! | `copied` | a copy of a database that may only be read |
//! | `disk_reserve` | stops writes before the disk is full |
//! | `shared` | what the commit thread and readers share, and how blobs are found in it |
//! | `store`, `blobs`, `dag` | the handle and the two traits |

mod blobs;
mod commit;
mod config;
mod copied;
mod counted;
mod dag;
mod disk_reserve;
mod edges;
mod engine;
mod group;
mod layout;
mod ops;
mod overlay;
mod panics;
mod read;
#[cfg(any(feature = "redb", feature = "rocksdb"))]
mod reopen;
mod shared;
mod store;
mod watermark;

pub(crate) use config::{KvConfig, Limits, kv_config};
pub(crate) use disk_reserve::DiskReserve;
pub(crate) use engine::{Engine, Place, Write};
#[cfg(any(feature = "sled", feature = "redb"))]
pub(crate) use panics::caught;
pub use read::ReadPolicy;
#[cfg(any(feature = "redb", feature = "rocksdb"))]
pub(crate) use reopen::{Failure, Reopening};
pub(crate) use store::{Core, KvStore, gone};
