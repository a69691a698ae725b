//! Why an address would be computed, or was.

use deriva_api::{CAddr, DagStore, NodeState, Result, Why};
use futures::{StreamExt, TryStreamExt};

use crate::explain::node::look_up_nodes;
use crate::shared::Deriva;

/// Dependents that are asked for a sign that there once was an output.
const DEPENDENTS: usize = 256;

impl Deriva {
    /// Why a request would compute the address, or would not; and what differs from `previous`, where one
    /// is given: an earlier recipe for the same purpose, whose output was there.
    ///
    /// A store keeps no trace of an output that was forgotten. That there was one is concluded from the
    /// output of a recipe over it; where those were forgotten too, it counts as never computed.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn why(&self, addr: CAddr, previous: Option<CAddr>) -> Result<Why> {
        let inner = &self.inner;
        let node = look_up_nodes(inner, &[addr]).await?.next();
        let (state, unrecorded) = node.map_or((NodeState::Missing, false), |node| {
            (node.state, node.recipe.is_some() && node.output.is_none())
        });
        let forgotten = unrecorded && has_computed_dependent(&*inner.dag, addr).await?;
        let mut why = Why::new(addr, state);
        why.forgotten = forgotten;
        if let Some(previous) = previous {
            why.diff = Some(self.diff(previous, addr).await?);
        }
        Ok(why)
    }
}

async fn has_computed_dependent(dag: &dyn DagStore, addr: CAddr) -> Result<bool> {
    let dependents = dag.dependents(addr, None).take(DEPENDENTS);
    let dependents: Vec<CAddr> = dependents.try_collect().await?;
    let outputs = dag.outputs(&dependents).await?;
    Ok(outputs.iter().any(Option::is_some))
}
