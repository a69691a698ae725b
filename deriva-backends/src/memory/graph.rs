//! The graph in memory: rows in insertion order, found through a table of row numbers.
//!
//! Every address that is a recipe or an input of one has a row, so a recipe and the edges that lead
//! to it are found with one lookup. Edges are cells of one array, chained per input: inserting one
//! costs the same for a hub of 100,000 dependents as for the first. Output rows of resolved recipes
//! that are no recipes lie in a table of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deriva_api::authors::{still_needed, unknown_recipe};
use deriva_api::{
    AddrTable, BuildAddrHasher, CAddr, DagUsage, Divergence, Error, ErrorKind, Node, Output,
    Recipe, Record, Result,
};

/// No row, no edge: the end of a chain.
const NONE: u32 = u32::MAX;

#[derive(Default)]
pub(super) struct Graph {
    rows: Vec<Row>,
    table: AddrTable,
    free_rows: Vec<u32>,
    edges: Vec<Edge>,
    free_edges: Vec<u32>,
    resolved: HashMap<CAddr, Output, BuildAddrHasher>,
    pub(super) roots: BTreeMap<String, CAddr>,
    recipes: u64,
    outputs: u64,
}

struct Row {
    name: Name,
    output: Option<Output>,
    /// First edge to a dependent, or [`NONE`].
    dependents: u32,
}

enum Name {
    Recipe(Recipe),
    /// An input of some recipe, not stored itself; or, when the row is free, nothing.
    Mentioned(CAddr),
}

struct Edge {
    dependent: u32,
    next: u32,
}

impl Row {
    fn addr(&self) -> CAddr {
        match &self.name {
            Name::Recipe(recipe) => recipe.addr(),
            Name::Mentioned(addr) => *addr,
        }
    }

    fn recipe(&self) -> Option<&Recipe> {
        match &self.name {
            Name::Recipe(recipe) => Some(recipe),
            Name::Mentioned(_) => None,
        }
    }

    fn node(&self) -> Option<Node> {
        Some(Node {
            recipe: self.recipe()?.clone(),
            output: self.output,
        })
    }
}

impl Graph {
    pub(super) fn usage(&self) -> DagUsage {
        DagUsage {
            recipes: self.recipes,
            outputs: self.outputs,
            roots: self.roots.len() as u64,
        }
    }

    pub(super) fn insert(&mut self, recipe: &Recipe) {
        let addr = recipe.addr();
        let at = self.row_of(addr);
        if self.rows[at as usize].recipe().is_some() {
            return;
        }
        // Recorded under this address while it was known as a resolved recipe only.
        let known = match self.resolved.is_empty() {
            true => None,
            false => self.resolved.remove(&addr),
        };
        self.recipes += 1;
        self.outputs += u64::from(known.is_some());
        let row = &mut self.rows[at as usize];
        row.output = known;
        row.name = Name::Recipe(recipe.clone());
        for input in recipe.inputs() {
            self.link(input, at);
        }
    }

    pub(super) fn node(&self, addr: &CAddr) -> Option<Node> {
        self.rows[self.find_number(addr)? as usize].node()
    }

    pub(super) fn nodes(&self, addrs: &[CAddr]) -> Vec<Option<Node>> {
        let node = |at: Option<u32>| self.rows[at? as usize].node();
        self.find_numbers(addrs).into_iter().map(node).collect()
    }

    pub(super) fn output(&self, addr: &CAddr) -> Option<Output> {
        match self.find_recipe(addr) {
            Some(at) => self.rows[at as usize].output,
            None => self.resolved.get(addr).copied(),
        }
    }

    pub(super) fn record(&mut self, records: &[Record]) -> Result<Vec<Divergence>> {
        let addrs: Vec<CAddr> = records.iter().map(|record| record.addr).collect();
        let numbers = self.find_numbers(&addrs);
        let unknown = |at: &Option<u32>| self.recipe_at(*at).is_none();
        if let Some(place) = numbers.iter().position(unknown) {
            return Err(unknown_recipe(addrs[place]));
        }
        let mut divergences = Vec::new();
        for (record, at) in records.iter().zip(numbers) {
            let resolved = record.resolved.filter(|resolved| *resolved != record.addr);
            let resolved = resolved.map(|resolved| (resolved, self.find_recipe(&resolved)));
            for (addr, at) in [Some((record.addr, at)), resolved].into_iter().flatten() {
                let recorded = self.offer(addr, at, record.output);
                if !recorded.same_bytes(&record.output) {
                    divergences.push(Divergence {
                        addr,
                        recorded,
                        offered: record.output,
                    });
                }
            }
        }
        Ok(divergences)
    }

    /// Answers whether there was an output to drop.
    pub(super) fn forget(&mut self, addr: &CAddr) -> bool {
        match self.find_recipe(addr) {
            Some(at) => {
                let dropped = self.rows[at as usize].output.take().is_some();
                self.outputs -= u64::from(dropped);
                dropped
            }
            None => self.resolved.remove(addr).is_some(),
        }
    }

    pub(super) fn remove(&mut self, addrs: &[CAddr]) -> Result<u64> {
        let stored = |at: &u32| self.rows[*at as usize].recipe().is_some();
        let numbers = addrs.iter().filter_map(|addr| self.find_number(addr));
        let batch: BTreeSet<u32> = numbers.filter(stored).collect();
        for at in &batch {
            let outside = |dependent: &u32| !batch.contains(dependent);
            if let Some(dependent) = self.chain(*at).find(outside) {
                let (addr, dependent) = (&self.rows[*at as usize], &self.rows[dependent as usize]);
                return Err(still_needed(addr.addr(), dependent.addr()));
            }
        }
        let mut inputs: BTreeSet<u32> = BTreeSet::new();
        for at in &batch {
            let row = &self.rows[*at as usize];
            let below = row.recipe().into_iter().flat_map(Recipe::inputs);
            inputs.extend(below.filter_map(|input| self.find_number(&input)));
        }
        for at in inputs.iter() {
            self.unlink(*at, &batch);
        }
        for at in &batch {
            let row = &mut self.rows[*at as usize];
            row.name = Name::Mentioned(row.addr());
            self.recipes -= 1;
            self.outputs -= u64::from(row.output.take().is_some());
        }
        for at in inputs.union(&batch) {
            self.free_if_idle(*at);
        }
        Ok(batch.len() as u64)
    }

    /// The addresses of direct dependents after `after`, in order.
    pub(super) fn dependents(&self, addr: &CAddr, after: Option<CAddr>) -> Vec<CAddr> {
        let chain = self.find_number(addr).map(|at| self.chain(at));
        let addrs = chain.into_iter().flatten();
        let addrs = addrs.map(|dependent| self.rows[dependent as usize].addr());
        let mut addrs: Vec<CAddr> = addrs.filter(|addr| Some(*addr) > after).collect();
        addrs.sort_unstable();
        addrs
    }

    /// The addresses of recipes after `after` that `wanted` accepts, in order.
    pub(super) fn recipes(
        &self,
        after: Option<CAddr>,
        wanted: impl Fn(&Recipe) -> bool,
    ) -> Vec<CAddr> {
        let recipes = self.rows.iter().filter_map(Row::recipe);
        let recipes = recipes.filter(|recipe| Some(recipe.addr()) > after && wanted(recipe));
        let mut addrs: Vec<CAddr> = recipes.map(Recipe::addr).collect();
        addrs.sort_unstable();
        addrs
    }

    /// Records `output` unless there is one, in the row `at` of a recipe or else beside; answers with what
    /// stands there now.
    fn offer(&mut self, addr: CAddr, at: Option<u32>, output: Output) -> Output {
        match at {
            Some(at) => {
                let slot = &mut self.rows[at as usize].output;
                self.outputs += u64::from(slot.is_none());
                *slot.get_or_insert(output)
            }
            None => *self.resolved.entry(addr).or_insert(output),
        }
    }

    fn addr_at(&self, at: u32) -> CAddr {
        self.rows[at as usize].addr()
    }

    fn recipe_at(&self, at: Option<u32>) -> Option<&Recipe> {
        self.rows[at? as usize].recipe()
    }

    fn find_number(&self, addr: &CAddr) -> Option<u32> {
        self.table.find(addr, |at| self.addr_at(at))
    }

    /// The row of `addr`, if that is a recipe.
    fn find_recipe(&self, addr: &CAddr) -> Option<u32> {
        let at = self.find_number(addr);
        at.filter(|_| self.recipe_at(at).is_some())
    }

    /// The rows of many addresses. No row is read before all are looked up, and then many at a time.
    fn find_numbers(&self, addrs: &[CAddr]) -> Vec<Option<u32>> {
        let likely = addrs.iter().map(|addr| self.table.likely(addr));
        let mut numbers: Vec<Option<u32>> = likely.collect();
        for (number, addr) in numbers.iter_mut().zip(addrs) {
            if number.is_some_and(|at| self.addr_at(at) != *addr) {
                *number = self.find_number(addr);
            }
        }
        numbers
    }

    /// The row of `addr`, made where there is none.
    fn row_of(&mut self, addr: CAddr) -> u32 {
        let (rows, free) = (&mut self.rows, &mut self.free_rows);
        let next = free.last().copied().unwrap_or(rows.len() as u32);
        let (at, new) = (self.table).find_or_add(addr, next, |at| rows[at as usize].addr());
        if new {
            let row = Row {
                name: Name::Mentioned(addr),
                output: None,
                dependents: NONE,
            };
            match free.pop() {
                Some(at) => rows[at as usize] = row,
                None => rows.push(row),
            }
        }
        at
    }

    fn link(&mut self, input: CAddr, dependent: u32) {
        let at = self.row_of(input) as usize;
        let first = self.rows[at].dependents;
        // A recipe links all its inputs in one go, so a repeated input shows at the chain's head.
        if first != NONE && self.edges[first as usize].dependent == dependent {
            return;
        }
        let edge = Edge {
            dependent,
            next: first,
        };
        self.rows[at].dependents = match self.free_edges.pop() {
            Some(place) => {
                self.edges[place as usize] = edge;
                place
            }
            None => {
                self.edges.push(edge);
                self.edges.len() as u32 - 1
            }
        };
    }

    fn chain(&self, at: u32) -> impl Iterator<Item = u32> + '_ {
        let next = |edge: u32| (edge != NONE).then_some(edge);
        let edges = std::iter::successors(next(self.rows[at as usize].dependents), move |edge| {
            next(self.edges[*edge as usize].next)
        });
        edges.map(|edge| self.edges[edge as usize].dependent)
    }

    /// Takes the edges to `gone` out of the chain of `at`, walking it once.
    fn unlink(&mut self, at: u32, gone: &BTreeSet<u32>) {
        let (mut kept, mut next) = (NONE, self.rows[at as usize].dependents);
        while next != NONE {
            let edge = next;
            next = self.edges[edge as usize].next;
            if gone.contains(&self.edges[edge as usize].dependent) {
                self.free_edges.push(edge);
            } else {
                self.edges[edge as usize].next = kept;
                kept = edge;
            }
        }
        self.rows[at as usize].dependents = kept;
    }

    fn free_if_idle(&mut self, at: u32) {
        let row = &self.rows[at as usize];
        let is_idle = row.recipe().is_none() && row.dependents == NONE;
        if is_idle && self.table.remove(&row.addr(), at) {
            self.free_rows.push(at);
        }
    }
}

impl Graph {
    /// Refuses a batch that would need more row numbers than there are, before any of it is done.
    pub(super) fn check_room(&self, recipes: &[Recipe]) -> Result<()> {
        let inputs: usize = recipes.iter().map(Recipe::input_count).sum();
        let rows = self.rows.len() + recipes.len() + inputs;
        if rows.max(self.edges.len() + inputs) < NONE as usize {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Full,
            "the memory store holds four thousand million rows at the most",
        )
        .during("insert"))
    }
}
