//! What a request has to compute.

use std::collections::{BTreeSet, HashMap};

use deriva_api::{
    BlobStat, CAddr, DagStoreExt, Determinism, Error, ErrorKind, Output, Recipe, Request, Result,
};

use super::{Break, Small};

/// The part of the graph that is to be computed, and what is known of its edges.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) todo: HashMap<CAddr, Todo>,
    /// Of leaves, and of recipes that are done.
    pub(super) content: HashMap<CAddr, BlobStat>,
    /// Who waits for whom, once for each use.
    pub(super) dependents: HashMap<CAddr, Vec<CAddr>>,
    /// Through whom an address was met first.
    above: HashMap<CAddr, Option<CAddr>>,
    /// The recipes that are done, with their outputs.
    pub(super) reused: Vec<(CAddr, Output)>,
}

#[derive(Clone)]
pub(super) struct Todo {
    pub(super) recipe: Recipe,
    /// What it was before its blob was lost.
    pub(super) expected: Option<Output>,
}

impl Plan {
    /// From what was asked for to this address.
    pub(super) fn path(&self, addr: CAddr) -> Vec<CAddr> {
        let above = |addr: &CAddr| self.above.get(addr).copied().flatten();
        let mut path: Vec<CAddr> = std::iter::successors(Some(addr), above).collect();
        path.reverse();
        path
    }
}

impl Small {
    pub(super) async fn plan(&self, request: &Request) -> Result<Plan> {
        let targets = &request.targets;
        let mut plan = Plan::default();
        let (mut missing, mut unknown) = (Vec::new(), BTreeSet::new());
        let mut stack: Vec<(CAddr, Option<CAddr>, usize)> = Vec::new();
        stack.extend(targets.iter().map(|target| (*target, None, 0)));
        while let Some((addr, above, depth)) = stack.pop() {
            if plan.above.contains_key(&addr) {
                continue;
            }
            plan.above.insert(addr, above);
            if self.broken(Break::plans_1000_deep) && depth > 1000 {
                return Err(Error::new(ErrorKind::Invalid, "the graph is too deep"));
            }
            let Some(node) = self.absent_for(self.0.dag.get_one(addr).await)? else {
                match self.absent_for(self.stat(addr).await)? {
                    Some(stat) => drop(plan.content.insert(addr, stat)),
                    None => missing.push(addr),
                }
                continue;
            };
            let done = match node.output {
                None => false,
                Some(_) if self.broken(Break::computes_what_is_known) => false,
                Some(_) if self.broken(Break::trusts_records_blindly) => true,
                Some(_) if self.broken(Break::serves_lost_blobs_as_empty) => true,
                Some(_) if self.checks_anyhow(self.mode(request, addr)) => false,
                Some(output) => {
                    let trusts = self.broken(Break::serves_what_others_recorded_of_it);
                    let may = trusts || self.may_serve(&[addr], output.addr).await?;
                    may && self.stat(output.addr).await?.is_some()
                }
            };
            if let (Some(output), true) = (node.output, done) {
                plan.content.insert(addr, output.stat());
                plan.reused.push((addr, output));
                continue;
            }
            let id = node.recipe.function();
            if self.function(&id).is_none() {
                unknown.insert(id.to_string());
            }
            for input in node.recipe.inputs() {
                plan.dependents.entry(input).or_default().push(addr);
                stack.push((input, Some(addr), depth + 1));
            }
            let (recipe, mut expected) = (node.recipe, node.output);
            if let Some(output) = expected
                && !self.may_serve(&[addr], output.addr).await?
            {
                expected = None;
            }
            plan.todo.insert(addr, Todo { recipe, expected });
        }
        self.check(&plan, missing, unknown)?;
        Ok(plan)
    }

    /// Refuses a plan that lacks something.
    fn check(&self, plan: &Plan, mut missing: Vec<CAddr>, unknown: BTreeSet<String>) -> Result<()> {
        let around = super::step::around();
        if let Some(own) = around.iter().find(|addr| plan.todo.contains_key(addr))
            && !self.broken(Break::waits_for_itself)
        {
            let message = "a function asked for the recipe that it computes";
            return Err(Error::new(ErrorKind::Invalid, message).with("addr", own));
        }
        if self.broken(Break::lists_one_missing_input) {
            missing.truncate(1);
        }
        let late_inputs = self.broken(Break::finds_missing_inputs_late);
        let late_functions = self.broken(Break::finds_unknown_functions_late);
        let kind = match (
            missing.is_empty() || late_inputs,
            unknown.is_empty() || late_functions,
        ) {
            (true, true) => return Ok(()),
            (true, false) if self.broken(Break::calls_unknown_functions_not_found) => {
                ErrorKind::NotFound
            }
            (true, false) => ErrorKind::Unsupported,
            (false, _) => ErrorKind::NotFound,
        };
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let unknown: Vec<String> = unknown.into_iter().collect();
        Err(Error::new(kind, "something is missing")
            .with("missing", missing.join(", "))
            .with("unknown_functions", unknown.join(", ")))
    }

    pub(super) async fn stat(&self, addr: CAddr) -> Result<Option<BlobStat>> {
        let stats = self.0.blobs.stat(&[addr]).await?;
        Ok(stats.into_iter().next().flatten())
    }

    /// Whether what is recorded is computed all the same, in a break alone.
    pub(super) fn checks_anyhow(&self, mode: Determinism) -> bool {
        !mode.is_off() && self.broken(Break::checks_what_is_recorded)
    }

    fn absent_for<T>(&self, answer: Result<Option<T>>) -> Result<Option<T>> {
        match self.broken(Break::takes_store_failures_for_absence) {
            true => Ok(answer.unwrap_or_default()),
            false => answer,
        }
    }
}
