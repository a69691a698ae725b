//! Random sequences of calls, done to a store and to the model, and compared.
//!
//! An [`Action`] speaks of the things of a small [`World`] by number, so that sequences are made and
//! shrunk by proptest, and meet each other's traces often. [`agree`] does a sequence to the store of a
//! fixture and to a [`ModelStore`]: each answer, or the kind of its error, must be the same, and so
//! must all that can be read in the end.
//!
//! ```
//! use deriva_testkit::{ModelFixture, operations};
//! use proptest::strategy::{Strategy, ValueTree};
//! let mut runner = proptest::test_runner::TestRunner::deterministic();
//! let actions = operations::actions(30).new_tree(&mut runner).unwrap().current();
//! futures::executor::block_on(operations::agree(&ModelFixture, &actions)).unwrap();
//! ```

mod generate;
mod state;
mod world;

use std::fmt;
use std::sync::Arc;

use deriva_api::{Capabilities, DurabilityClass, Error, ErrorKind, OpenedStore, Result};

use crate::{Fixture, ModelStore};

pub use generate::{actions, seeded};
pub use state::State;
pub use world::World;

/// Something that is done to a store. Numbers choose among the things of a [`World`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts a batch of blobs.
    Put(Vec<usize>),
    /// Writes a blob through a writer, in pieces of this many bytes.
    Write(usize, usize),
    /// Begins to write a blob and gives it up: aborted if true, else dropped.
    Abandon(usize, bool),
    /// Removes a batch of blobs.
    RemoveBlobs(Vec<usize>),
    /// Reads a batch of blobs.
    Get(Vec<usize>),
    /// Reads a part of a blob: offset and length.
    Range(usize, u64, u64),
    /// Inserts a batch of recipes.
    Insert(Vec<usize>),
    /// Records a batch: node, resolved recipe, and the blob that came out.
    Record(Vec<(usize, Option<usize>, usize)>),
    /// Forgets the outputs of a batch of nodes.
    Forget(Vec<usize>),
    /// Removes a batch of nodes.
    Remove(Vec<usize>),
    /// Names a node.
    SetRoot(usize, usize),
    /// Removes a name.
    RemoveRoot(usize),
    /// Flushes both stores.
    Flush,
    /// Closes the store and opens it again, where it is persistent.
    Reopen,
    /// Lets the process die, where the fixture can show that; stores that acknowledge before a
    /// write is safe are flushed first.
    Crash,
}

/// Where a store and the model went apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The action, counted from 0, and what it was; `None` where the states in the end differ.
    pub action: Option<(usize, Action)>,
    /// What the model says.
    pub expected: String,
    /// What the store says.
    pub found: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Some((at, action)) => write!(f, "action {at}, {action:?}: ")?,
            None => write!(f, "in the end: ")?,
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl From<Disagreement> for Error {
    fn from(disagreement: Disagreement) -> Self {
        let message = "the store and the model disagree";
        Self::new(ErrorKind::Internal, message).with("where", disagreement)
    }
}

/// Does `actions` to a new store of `fixture` and to the model.
///
/// # Errors
/// `Internal` with a [`Disagreement`] in its context; and what opening says.
pub async fn agree(fixture: &dyn Fixture, actions: &[Action]) -> Result<()> {
    let world = World::new();
    let mut store = fixture.open().await?;
    let model = model_like(&store);
    for (at, action) in actions.iter().enumerate() {
        match action {
            Action::Reopen if fixture.persistent() => {
                drop(store);
                store = fixture.open().await?;
            }
            Action::Crash => store = crash(fixture, &world, store).await?,
            _ => {}
        }
        let expected = world.act(&model, action).await;
        let found = world.act(&store, action).await;
        if found != expected {
            let action = Some((at, action.clone()));
            return Err(Disagreement {
                action,
                expected,
                found,
            }
            .into());
        }
    }
    let (expected, found) = (
        State::read(&world, &model).await?,
        State::read(&world, &store).await?,
    );
    match found.differs(&expected) {
        None => Ok(()),
        Some((expected, found)) => Err(Disagreement {
            action: None,
            expected,
            found,
        }
        .into()),
    }
}

/// A model with the halves that `store` has.
#[must_use]
pub fn model_like(store: &OpenedStore) -> OpenedStore {
    let model = Arc::new(ModelStore::new());
    OpenedStore {
        blobs: store.blobs.as_ref().map(|_| model.clone() as _),
        dag: store.dag.as_ref().map(|_| model as _),
    }
}

async fn crash(fixture: &dyn Fixture, world: &World, store: OpenedStore) -> Result<OpenedStore> {
    let weak = |capabilities: Capabilities| capabilities.durability == DurabilityClass::None;
    let blobs = store
        .blobs
        .as_ref()
        .is_some_and(|store| weak(store.capabilities()));
    let dag = store
        .dag
        .as_ref()
        .is_some_and(|store| weak(store.capabilities()));
    if blobs || dag {
        world.act(&store, &Action::Flush).await;
    }
    match fixture.crash().await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(store),
        Err(error) => Err(error),
        Ok(()) => {
            drop(store);
            fixture.open().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn the_model_agrees_with_itself() {
        for seed in 0..50 {
            block_on(agree(&crate::ModelFixture, &seeded(seed, 60))).unwrap();
        }
    }
}
