//! What is known of an address: judged here alone, from what the look-up found, for all that tell of it.

use deriva_api::{BuildAddrHasher, CAddr, FunctionId, NodeState, Output, Recipe, Result};
use indexmap::IndexSet;

use crate::shared::lookup::{Doubts, Found, look_up};
use crate::shared::{Deriva, Inner};

/// How many addresses one look-up asks for.
pub(crate) const BATCH: usize = 2048;

/// Addresses in the order in which a walk met them, each with its place.
pub(crate) type Met = IndexSet<CAddr, BuildAddrHasher>;

impl Deriva {
    /// What is known of each of these addresses, in their order; with a few calls to the stores, however many they
    /// are.
    ///
    /// # Errors
    /// What the stores say, such as `Corrupt` where a recipe is damaged.
    pub async fn states(&self, addrs: &[CAddr]) -> Result<Vec<NodeState>> {
        let mut states = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(BATCH) {
            let nodes = look_up_nodes(&self.inner, batch).await?;
            states.extend(nodes.map(|node| node.state));
        }
        Ok(states)
    }
}

/// An address with what is known of it.
#[derive(Debug)]
pub(crate) struct LookedUp {
    pub(crate) addr: CAddr,
    pub(crate) state: NodeState,
    /// Absent where it is no recipe; so is its function.
    pub(crate) recipe: Option<Recipe>,
    pub(crate) function: Option<FunctionId>,
    /// The recorded output, where there is one, stored or not.
    pub(crate) output: Option<Output>,
    /// Length of the bytes, where it is known.
    pub(crate) len: Option<u64>,
}

impl LookedUp {
    fn new(inner: &Inner, addr: CAddr, found: Found) -> Self {
        let (state, recipe, output, len) = match found {
            Found::Leaf(stat) => (NodeState::Leaf, None, None, Some(stat.len)),
            Found::Missing => (NodeState::Missing, None, None, None),
            Found::Present(recipe, output) => {
                let len = Some(output.len);
                (NodeState::Present, Some(recipe), Some(output), len)
            }
            Found::Lost(recipe, output) => {
                let len = Some(output.len);
                (NodeState::Lost, Some(recipe), Some(output), len)
            }
            Found::Absent(recipe) => (NodeState::Absent, Some(recipe), None, None),
        };
        let registered = recipe.as_ref().and_then(|recipe| {
            let function = inner.able(recipe).function()?;
            Some(function.id().clone())
        });
        let state = match state {
            state if !state.is_computed() => state,
            _ if inner.flights.contains(addr) => NodeState::InFlight,
            _ if registered.is_none() => NodeState::UnknownFunction,
            _ if inner.refuses(addr, registered.as_ref()).is_some() => NodeState::Condemned,
            state => state,
        };
        Self {
            addr,
            state,
            // The registry's own name is shared by all nodes.
            function: registered.or_else(|| recipe.as_ref().map(Recipe::function)),
            recipe,
            output,
            len,
        }
    }

    /// The addresses of its inputs, in order; of what is no recipe, none.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = CAddr> {
        self.recipe.iter().flat_map(Recipe::inputs)
    }
}

/// Looks up addresses in one call to each store, and tells in their order what is known of them.
pub(crate) async fn look_up_nodes<'a>(
    inner: &'a Inner,
    addrs: &'a [CAddr],
) -> Result<impl Iterator<Item = LookedUp> + use<'a>> {
    let began = inner.clock.now();
    let found = look_up(&*inner.dag, &*inner.blobs, addrs, Doubts::of(&inner.ledger)).await?;
    let took = inner.clock.now().saturating_sub(began);
    inner.costs.observe_lookup(addrs.len() as u64, took);
    let found = addrs.iter().zip(found.found());
    Ok(found.map(|(addr, found)| LookedUp::new(inner, *addr, found)))
}
