//! How the mutants' DAG store inserts, reads and removes a recipe.

use std::collections::BTreeSet;

use bytes::Bytes;
use deriva_api::{CAddr, Error, ErrorKind, Node, Params, Recipe, Result, Value};

use super::disk::{Disk, EDGES, OUTPUTS, RECIPES, key};
use super::list::Break;
use super::outputs::read_output;
use super::store::{Store, dawdle};

impl Store {
    pub(super) fn insert_all(&self, recipes: &[Recipe]) -> Result<()> {
        if recipes.is_empty() && self.broken(Break::refuses_an_empty_batch) {
            return Err(Error::new(ErrorKind::Invalid, "an empty batch"));
        }
        let held = self.hold_each(recipes)?;
        let is_known = |disk: &Disk, recipe: &Recipe| disk.get(RECIPES, recipe.addr()).is_some();
        let mut looked: Option<Vec<bool>> = None;
        if self.broken(Break::counts_before_it_locks) {
            let look = |recipe| is_known(&self.disk.lock(), recipe);
            looked = Some(recipes.iter().map(look).collect());
            dawdle();
        }
        let mut disk = self.disk.lock();
        for (at, recipe) in recipes.iter().enumerate() {
            let known = looked
                .as_ref()
                .map_or_else(|| is_known(&disk, recipe), |looked| looked[at]);
            self.insert_one(&mut disk, recipe, known)?;
        }
        disk.commit()?;
        disk.held.retain(|addr| !held.contains(addr));
        drop(disk);
        if self.broken(Break::writes_edges_after_their_recipes) {
            dawdle();
            let mut disk = self.disk.lock();
            for recipe in recipes {
                for input in recipe.inputs() {
                    let edge = key(EDGES, &[input.as_bytes(), recipe.addr().as_bytes()]);
                    disk.put(edge, Bytes::new());
                }
            }
            disk.commit()?;
        }
        Ok(())
    }

    fn insert_one(&self, disk: &mut Disk, recipe: &Recipe, known: bool) -> Result<()> {
        let addr = recipe.addr();
        if known && self.broken(Break::refuses_a_known_recipe) {
            return Err(Error::new(ErrorKind::Conflict, "it is there"));
        }
        let absent = |input: &CAddr| disk.get(RECIPES, *input).is_none();
        if self.broken(Break::wants_inputs_first) && recipe.inputs().any(|input| absent(&input)) {
            return Err(Error::new(ErrorKind::NotFound, "an input is not there"));
        }
        if self.broken(Break::limits_depth) {
            let below = recipe.inputs().filter_map(|input| disk.depths.get(&input));
            let depth = below.max().map_or(1, |below| below + 1);
            disk.depths.insert(addr, depth);
            if depth > 10_000 {
                return Err(Error::new(ErrorKind::Invalid, "the graph is too deep"));
            }
        }
        if self.broken(Break::takes_versions_for_one) {
            let twin = |(_, bytes): (&Vec<u8>, &Bytes)| {
                Recipe::decode(bytes.clone()).is_ok_and(|twin| twin.name() == recipe.name())
            };
            if disk.scan(RECIPES, &[], None).any(twin) {
                return Ok(());
            }
        }
        if !known || self.broken(Break::counts_recipes_again) {
            disk.dag_usage.recipes += 1;
        }
        if !known {
            disk.inserted.push(addr);
        }
        disk.put(key(RECIPES, &[addr.as_bytes()]), recipe.canonical().clone());
        let mut edges: Vec<CAddr> = recipe.inputs().collect();
        if self.broken(Break::forgets_an_edge) {
            edges.pop();
        }
        if self.broken(Break::keeps_4096_edges) {
            edges.truncate(4096);
        }
        if self.broken(Break::writes_edges_to_what_is_there) {
            edges.retain(|input| disk.get(RECIPES, *input).is_some());
        }
        if self.broken(Break::writes_edges_after_their_recipes) {
            return Ok(());
        }
        for (at, input) in edges.into_iter().enumerate() {
            let mut edge = key(EDGES, &[input.as_bytes(), addr.as_bytes()]);
            if self.broken(Break::keeps_an_edge_for_each_use) {
                edge.push(at as u8);
            }
            disk.put(edge, Bytes::new());
        }
        Ok(())
    }

    /// Takes a lock for each recipe, for the break that takes them in the order of the batch.
    fn hold_each(&self, recipes: &[Recipe]) -> Result<BTreeSet<CAddr>> {
        let mut held = BTreeSet::new();
        for recipe in recipes {
            if !self.broken(Break::locks_in_the_order_of_the_batch) || !held.insert(recipe.addr()) {
                continue;
            }
            // A deadlock, but one that ends when all have long given up waiting for it.
            let mut tries = 0..150;
            while !self.disk.lock().held.insert(recipe.addr()) {
                dawdle();
                let gone = || Error::new(ErrorKind::Timeout, "the lock is held");
                tries.next().ok_or_else(gone)?;
            }
            if held.len() == 1 {
                dawdle();
            }
        }
        Ok(held)
    }

    pub(super) fn node(&self, disk: &Disk, addr: CAddr) -> Result<Option<Node>> {
        let Some(bytes) = disk.get(RECIPES, addr) else {
            return Ok(None);
        };
        let recipe = self.recipe(addr, bytes)?;
        let output = disk.get(OUTPUTS, addr).map(read_output).transpose()?;
        Ok(Some(Node { recipe, output }))
    }

    /// The recipe as a reader gets it.
    pub(super) fn recipe(&self, addr: CAddr, bytes: &Bytes) -> Result<Recipe> {
        let trusts = [Break::trusts_its_disk, Break::trusts_recipes_on_disk];
        let recipe = match trusts.iter().any(|how| self.broken(*how)) {
            true => Recipe::decode(bytes.clone())?,
            false => Recipe::verify(addr, bytes.clone())?,
        };
        if self.is_whole() {
            return Ok(recipe);
        }
        let mut inputs: Vec<CAddr> = recipe.inputs().collect();
        let mut params = recipe.params()?;
        if self.broken(Break::sorts_inputs) {
            inputs.sort_unstable();
        } else if self.broken(Break::reads_inputs_once) {
            let mut seen = BTreeSet::new();
            inputs.retain(|input| seen.insert(*input));
        } else if self.broken(Break::composes_text) {
            params = altered(&params, |value| match value {
                Value::Text(text) => Value::from(text.replace("e\u{301}", "\u{e9}")),
                value => value,
            });
        } else if self.broken(Break::counts_inputs_in_a_byte) {
            inputs.truncate(inputs.len() % 256);
        } else if self.broken(Break::flushes_tiny_floats) {
            params = altered(&params, |value| match value {
                Value::Float(float) if float.abs() < 1e-300 => Value::from(0.0),
                value => value,
            });
        } else if self.broken(Break::forgets_the_sign_of_zero) {
            params = altered(&params, |value| match value {
                Value::Float(0.0) => Value::from(0.0),
                value => value,
            });
        } else {
            return Ok(recipe);
        }
        Recipe::new(&recipe.function(), &inputs, &params)
    }

    pub(super) fn remove_one(&self, disk: &mut Disk, addr: CAddr) -> Result<u64> {
        let Some(bytes) = disk.delete(&key(RECIPES, &[addr.as_bytes()])) else {
            return Ok(u64::from(
                self.broken(Break::counts_absent_recipes_as_removed),
            ));
        };
        disk.dag_usage.recipes -= 1;
        disk.inserted.retain(|inserted| *inserted != addr);
        if !self.broken(Break::keeps_outputs_of_removed_recipes)
            && disk.delete(&key(OUTPUTS, &[addr.as_bytes()])).is_some()
        {
            disk.dag_usage.outputs -= 1;
        }
        if !self.broken(Break::keeps_edges_of_removed_recipes)
            && !self.broken(Break::writes_edges_after_their_recipes)
        {
            let most = match self.broken(Break::removes_256_edges) {
                true => 256,
                false => usize::MAX,
            };
            for input in Recipe::decode(bytes)?.inputs().take(most) {
                disk.delete(&key(EDGES, &[input.as_bytes(), addr.as_bytes()]));
            }
        }
        Ok(1)
    }
}

fn altered(params: &Params, alter: impl Fn(Value) -> Value) -> Params {
    let altered = params
        .iter()
        .map(|(name, value)| (name, alter(value.clone())));
    altered.fold(Params::new(), |params, (name, value)| {
        params.with(name, value)
    })
}
