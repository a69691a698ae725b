//! The store of most mutants: plain rows under one mutex, every rule written out where it applies,
//! and beside it what breaks it.

use std::fmt;
use std::sync::Arc;

use deriva_api::Result;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;

use super::disk::Disk;
use super::list::Break;

/// A blob store and a DAG store. Clones share the contents.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) disk: Arc<Mutex<Disk>>,
    broken: Option<Break>,
}

impl Store {
    pub(super) fn new(disk: Arc<Mutex<Disk>>, broken: Option<Break>) -> Self {
        Self { disk, broken }
    }

    pub(super) fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mutant")
    }
}

/// A list that was made at once.
pub(super) fn answers<T: Send + 'static>(items: Vec<Result<T>>) -> BoxStream<'static, Result<T>> {
    stream::iter(items).boxed()
}
