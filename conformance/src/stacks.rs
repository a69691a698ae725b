//! Stacks of layers that change nothing a caller can see: every case holds under each of them.

use std::sync::Arc;

use deriva_api::{Error, ErrorKind, OpenedStore, Result};
use deriva_backends::memory::MemoryStore;

use crate::did_you_mean;

/// A named stack of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its name: `retry`.
    pub name: &'static str,
    /// What [`deriva_layers::named`] calls it.
    layers: &'static str,
}

/// All stacks; the first has no layer, the last has all of them.
pub const STACKS: &[Stack] = &[
    Stack::of("none", "none"),
    Stack::of("retry", "retry"),
    Stack::of("timeout", "timeout"),
    Stack::of("limit", "limit"),
    Stack::of("tiered", "tiered"),
    Stack::of("together", "all"),
];

/// No layers.
impl Default for Stack {
    fn default() -> Self {
        STACKS[0]
    }
}

impl Stack {
    const fn of(name: &'static str, layers: &'static str) -> Self {
        Self { name, layers }
    }

    /// The stack of this name.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, listing the known ones.
    pub fn named(name: &str) -> Result<Self> {
        let stack = STACKS.iter().find(|stack| stack.name == name);
        stack.copied().ok_or_else(|| {
            let known = names().collect::<Vec<_>>().join(", ");
            let near = did_you_mean(name, names());
            Error::new(ErrorKind::Invalid, "there is no such stack of layers")
                .with("given", name)
                .hint(format!("{near}the stacks are: {known}"))
        })
    }

    /// The store under the layers. A tiered one has a new store in memory in front.
    ///
    /// # Errors
    /// None; the layers' own stack knows these names.
    pub fn wrap(&self, store: OpenedStore) -> Result<OpenedStore> {
        let memory = Arc::new(MemoryStore::new());
        let fast = OpenedStore {
            blobs: Some(memory.clone()),
            dag: Some(memory),
        };
        Ok(deriva_layers::named(self.layers, &fast)?.wrap(store))
    }
}

/// The names of all stacks.
pub fn names() -> impl Iterator<Item = &'static str> {
    STACKS.iter().map(|stack| stack.name)
}
