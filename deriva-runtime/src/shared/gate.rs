//! The gate: adding and taking away keep out of each other's way.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockWriteGuard, RwLockReadGuard};

use crate::shared::open_stores::OpenStore;

/// The way into both stores of a handle. Who adds passes together with others, who takes away passes alone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    first: Arc<OpenStore>,
    /// Where graph and blobs lie in two stores. All handles pass in one order.
    second: Option<Arc<OpenStore>>,
}

/// The permission to add.
#[derive(Debug)]
pub(crate) struct Together<'a> {
    _first: RwLockReadGuard<'a, ()>,
    _second: Option<RwLockReadGuard<'a, ()>>,
}

/// The permission to take away.
#[derive(Debug)]
pub(crate) struct Alone {
    _first: OwnedRwLockWriteGuard<()>,
    _second: Option<OwnedRwLockWriteGuard<()>>,
}

impl Gate {
    pub(crate) fn new(graph: &Arc<OpenStore>, blobs: &Arc<OpenStore>) -> Self {
        let [mut first, mut second] = [graph, blobs];
        if Arc::as_ptr(second) < Arc::as_ptr(first) {
            (first, second) = (second, first);
        }
        Self {
            first: Arc::clone(first),
            second: (!Arc::ptr_eq(first, second)).then(|| Arc::clone(second)),
        }
    }

    /// Passes together with others.
    pub(crate) async fn read(&self) -> Together<'_> {
        Together {
            _first: self.first.gate.read().await,
            _second: match &self.second {
                Some(second) => Some(second.gate.read().await),
                None => None,
            },
        }
    }

    /// Passes alone.
    pub(crate) async fn write(&self) -> Alone {
        Alone {
            _first: Arc::clone(&self.first.gate).write_owned().await,
            _second: match &self.second {
                Some(second) => Some(Arc::clone(&second.gate).write_owned().await),
                None => None,
            },
        }
    }

    /// Whether somebody has passed and not come back.
    pub(crate) fn is_in_use(&self) -> bool {
        let mut both = [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten();
        both.any(|store| store.gate.try_write().is_err())
    }
}
