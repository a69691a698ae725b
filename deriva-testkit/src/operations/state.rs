//! All that can be read from a store.

use std::fmt::{self, Debug, Write};

use deriva_api::{Blob, BlobHasher, BlobStore, CAddr, DagStore, OpenedStore, Result};
use futures::TryStreamExt;

use super::World;
use super::world::{FUNCTIONS, function, right};

/// What a store says of everything in a [`World`], as text: a label and an answer each. Capabilities that
/// a store does not declare are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct State(Vec<(String, String)>);

impl State {
    /// Reads everything.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(world: &World, store: &OpenedStore) -> Result<Self> {
        let mut state = Self(Vec::new());
        if let Some(blobs) = &store.blobs {
            state.read_blobs(world, &**blobs).await?;
        }
        if let Some(dag) = &store.dag {
            state.read_dag(world, &**dag).await?;
        }
        Ok(state)
    }

    /// What `expected` says and this state says, of the first thing that they tell differently. Only
    /// what this state speaks of is compared.
    #[must_use]
    pub fn differs(&self, expected: &Self) -> Option<(String, String)> {
        self.0.iter().find_map(|(label, found)| {
            let other = expected.0.iter().find(|(other, _)| other == label);
            let expected = other.map_or("", |(_, expected)| expected);
            (expected != found).then(|| (format!("{label} {expected}"), format!("{label} {found}")))
        })
    }

    /// A hash of all of it.
    #[must_use]
    pub fn digest(&self) -> CAddr {
        let mut hasher = BlobHasher::new();
        for text in self.0.iter().flat_map(|(label, text)| [label, text]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finish().addr
    }

    fn add(&mut self, label: impl Into<String>, answer: &dyn Debug) {
        let mut text = String::new();
        // Writing to a string does not fail.
        write!(text, "{answer:?}").ok();
        self.0.push((label.into(), text));
    }

    async fn read_blobs(&mut self, world: &World, blobs: &dyn BlobStore) -> Result<()> {
        let all: Vec<CAddr> = world.blobs.iter().map(Blob::addr).collect();
        self.add("blobs", &blobs.get_many(&all).await?);
        self.add("stat", &blobs.stat(&all).await?);
        self.add("right", &right(blobs, &all).await?);
        if blobs.capabilities().list {
            self.add(
                "blobs listed",
                &blobs.list(None).try_collect::<Vec<_>>().await?,
            );
        }
        if blobs.capabilities().usage {
            self.add("blob usage", &blobs.usage().await?);
        }
        Ok(())
    }

    async fn read_dag(&mut self, world: &World, dag: &dyn DagStore) -> Result<()> {
        self.add("recipes", &dag.get_many(&world.nodes).await?);
        self.add("outputs", &dag.outputs(&world.nodes).await?);
        if dag.capabilities().list {
            self.add(
                "recipes listed",
                &dag.list(None).try_collect::<Vec<_>>().await?,
            );
        }
        self.add("roots", &dag.roots(None).try_collect::<Vec<_>>().await?);
        if dag.capabilities().usage {
            self.add("DAG usage", &dag.usage().await?);
        }
        for addr in world
            .blobs
            .iter()
            .map(Blob::addr)
            .chain(world.nodes.iter().copied())
        {
            let dependents: Vec<_> = dag.dependents(addr, None).try_collect().await?;
            self.add(format!("dependents of {addr:?}"), &dependents);
        }
        for number in 0..FUNCTIONS {
            let id = function(number)?;
            let recipes: Vec<_> = dag.by_function(&id, None).try_collect().await?;
            self.add(format!("recipes of {id}"), &recipes);
        }
        Ok(())
    }
}

impl Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, answer) in &self.0 {
            writeln!(f, "{label}: {answer}")?;
        }
        Ok(())
    }
}
