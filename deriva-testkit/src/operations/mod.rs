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

use crate::differing::Differing;
use crate::{Fixture, ModelStore};

pub use generate::{actions, seeded};
pub use state::State;
pub use world::{RootName, World};

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
    /// Reads and verifies a batch of blobs.
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
    SetRoot(RootName, usize),
    /// Removes a name.
    RemoveRoot(RootName),
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
    /// What the store says, with the words of its error.
    pub found: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Some((at, action)) => writeln!(f, "action {at}, {action:?}")?,
            None => writeln!(f, "in the end")?,
        }
        let differing = Differing {
            found: ("the store", &self.found),
            expected: ("the model", &self.expected),
        };
        write!(f, "{differing}")
    }
}

impl From<Disagreement> for Error {
    fn from(disagreement: Disagreement) -> Self {
        let message = "the store and the model disagree";
        let place = disagreement.to_string().replace('\n', "; ");
        Self::new(ErrorKind::Internal, message).with("where", place)
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
        let expected = world.told(&model, action).await;
        let found = world.told(&store, action).await;
        if found.answer != expected.answer {
            return Err(Disagreement {
                action: Some((at, action.clone())),
                expected: expected.to_string(),
                found: found.to_string(),
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

    /// A store that refuses to remove the empty name.
    #[derive(Debug)]
    struct Refusing;

    #[async_trait::async_trait]
    impl Fixture for Refusing {
        async fn open(&self) -> Result<OpenedStore> {
            let store = crate::ModelFixture.open().await?;
            let layer = crate::FaultLayer::new();
            layer
                .faults()
                .fail_all(crate::Operation::DagRemoveRoot, ErrorKind::Unavailable);
            Ok(OpenedStore {
                blobs: None,
                dag: store.dag.map(|dag| deriva_api::DagLayer::wrap(&layer, dag)),
            })
        }

        fn persistent(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_disagreement_tells_names_both_answers_and_the_words_of_the_error() {
        let actions = [Action::Flush, Action::RemoveRoot(RootName(2))];
        let error = block_on(agree(&Refusing, &actions)).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("action 1, RemoveRoot(\"\")"), "{told}");
        assert!(told.contains("the model: false"), "{told}");
        assert!(
            told.contains("the store: Unavailable (unavailable: "),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1);
    }
}
