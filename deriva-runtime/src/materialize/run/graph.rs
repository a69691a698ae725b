//! The plan of a run, and how far each of its nodes is.

use std::collections::HashSet;

use deriva_api::{BlobStat, CAddr, Determinism, Error, Output, Reason, Result};
use hashbrown::HashMap;

use super::mode::FunctionMode;
use crate::determinism::check::Check;
use crate::materialize::plan::{NodeId, Plan, Task};

/// A light function on more input bytes than this is treated as heavy, if the executor has it.
const LIGHT_BYTES: u32 = 16 * 1024;

pub(super) struct Graph {
    pub(super) plan: Plan,
    nodes: Vec<Node>,
    /// By function, in the plan's order.
    pub(super) modes: Vec<FunctionMode>,
    /// Nodes that are named roots, where that matters.
    roots: HashSet<NodeId>,
    /// Resolved addresses that this run has claimed.
    resolved: HashMap<NodeId, CAddr>,
    /// Whether anything is checked.
    checks: bool,
    /// Nodes whose flights do not satisfy this request.
    unsatisfied: HashSet<NodeId>,
    /// Nodes whose outputs are doubted.
    doubted: HashSet<NodeId>,
}

/// What changes about a node while it is run.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Inputs that are not there yet.
    waiting: u32,
    /// Bytes of the inputs that are there.
    input_bytes: u32,
    state: State,
    is_target: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not finished.
    #[default]
    Open,
    /// Its output is known; or it never was to be computed.
    Done,
    /// It failed, or something that it needs did.
    Failed,
}

/// Where a node goes that waits for nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is looked up under its resolved address first.
    LookUp,
    /// The scheduler runs it, or a worker beside it.
    Light,
    /// The executor runs it.
    Heavy,
}

impl Graph {
    /// Nothing is open yet; what is stored is done. `checks` tells whether some recipes are to be checked, whatever their
    /// function.
    pub(super) fn new(
        plan: Plan,
        modes: Vec<FunctionMode>,
        roots: HashSet<NodeId>,
        checks: bool,
    ) -> Self {
        let state = |node| match plan.task(node) {
            Task::Stored { .. } => State::Done,
            _ => State::Open,
        };
        let node = |node| Node {
            state: state(node),
            ..Node::default()
        };
        let mut nodes: Vec<Node> = plan.nodes().map(node).collect();
        for target in &plan.targets {
            nodes[*target as usize].is_target = true;
        }
        let modes_check = modes.iter().any(|mode| !mode.determinism.is_off());
        Self {
            checks: checks || modes_check || !plan.unchecked.is_empty(),
            plan,
            nodes,
            modes,
            roots,
            resolved: HashMap::new(),
            unsatisfied: HashSet::new(),
            doubted: HashSet::new(),
        }
    }

    /// Whether anything is checked.
    pub(super) fn checks(&self) -> bool {
        self.checks
    }

    /// How the computation of a node is checked, if it is; `resolved` finds out what it is called.
    pub(super) fn check(
        &self,
        node: NodeId,
        mode: Determinism,
        perturb: bool,
        key: &[u8; 32],
        resolved: impl FnOnce() -> Result<CAddr>,
    ) -> Result<Option<Check>> {
        let check = Check::of(mode, perturb, key, resolved)?;
        let Some(prior) = self.plan.unchecked.get(&node) else {
            return Ok(check);
        };
        // Computed once more it is, so it may as well be compared.
        let check = match check {
            Some(check) => Some(check),
            None => Check::of(Determinism::Dual, perturb, key, || Ok(CAddr::MIN))?,
        };
        Ok(check.map(|check| Check {
            prior: *prior,
            ..check
        }))
    }

    /// Whether a node is computed though it is recorded, as that was not checked.
    pub(super) fn is_unchecked(&self, node: NodeId) -> bool {
        self.checks && self.plan.unchecked.contains_key(&node)
    }

    /// What the flight of a node brings does not satisfy this request; or it does.
    pub(super) fn set_satisfied(&mut self, node: NodeId, satisfied: bool) {
        match satisfied {
            true => self.unsatisfied.remove(&node),
            false => self.unsatisfied.insert(node),
        };
    }

    pub(super) fn is_satisfied(&self, node: NodeId) -> bool {
        self.unsatisfied.is_empty() || !self.unsatisfied.contains(&node)
    }

    /// The output of a node is doubted from now on.
    pub(super) fn doubt(&mut self, node: NodeId) {
        self.doubted.insert(node);
    }

    /// Whether the output of a node is doubted: its own, or that of an input.
    pub(super) fn is_doubted(&mut self, node: NodeId) -> bool {
        if self.rests_on_doubt(node) {
            self.doubted.insert(node);
        }
        !self.doubted.is_empty() && self.doubted.contains(&node)
    }

    /// Whether an input of a node is doubted.
    pub(super) fn rests_on_doubt(&self, node: NodeId) -> bool {
        if self.doubted.is_empty() {
            return false;
        }
        let mut inputs = self.plan.inputs(node).iter();
        inputs.any(|input| self.doubted.contains(input))
    }

    /// Requested addresses whose bytes are doubted.
    pub(super) fn doubted_targets(&self) -> Vec<CAddr> {
        let targets = self.plan.targets.iter();
        let doubted = targets.filter(|target| self.doubted.contains(target));
        doubted.map(|target| self.plan.addr(*target)).collect()
    }

    /// All addresses whose bytes are doubted.
    pub(super) fn doubted(&self) -> impl Iterator<Item = CAddr> {
        self.doubted.iter().map(|node| self.plan.addr(*node))
    }

    /// A node is there from the beginning, though no store has it.
    pub(super) fn is_there(&mut self, node: NodeId) {
        self.nodes[node as usize].state = State::Done;
    }

    /// Counts what each node waits for, and tells of those that wait for nothing. `len` knows how many bytes a node
    /// has that is done.
    pub(super) fn begin(
        &mut self,
        len: impl Fn(&Plan, NodeId) -> u64,
        mut ready: impl FnMut(NodeId, Way),
    ) {
        for node in self.plan.nodes() {
            if self.plan.recipe(node).is_none() {
                continue;
            }
            let (mut waiting, mut bytes) = (0, 0u64);
            for input in self.plan.inputs(node) {
                match self.nodes[*input as usize].state {
                    State::Done => bytes = bytes.saturating_add(len(&self.plan, *input)),
                    State::Open | State::Failed => waiting += 1,
                }
            }
            let at = &mut self.nodes[node as usize];
            (at.waiting, at.input_bytes) = (waiting, saturated(bytes));
            if waiting == 0
                && let Some(way) = self.way(node)
            {
                ready(node, way);
            }
        }
    }

    /// A node is done, and its output has N bytes: those that wait for it wait for one input less. Tells of
    /// those that wait for nothing now.
    pub(super) fn settle(&mut self, node: NodeId, bytes: u64, mut ready: impl FnMut(NodeId, Way)) {
        let Self {
            plan, nodes, modes, ..
        } = self;
        nodes[node as usize].state = State::Done;
        let bytes = saturated(bytes);
        for above in plan.dependents(node) {
            let at = &mut nodes[*above as usize];
            at.waiting -= 1;
            at.input_bytes = at.input_bytes.saturating_add(bytes);
            if at.waiting == 0
                && at.state == State::Open
                && let Some((_, function)) = plan.recipe(*above)
            {
                ready(*above, way(&modes[function as usize], at.input_bytes));
            }
        }
    }

    /// A node failed.
    pub(super) fn fail(&mut self, node: NodeId) {
        self.nodes[node as usize].state = State::Failed;
    }

    pub(super) fn is_open(&self, node: NodeId) -> bool {
        self.nodes[node as usize].state == State::Open
    }

    /// Nodes that this run was to compute and has not finished.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = NodeId> {
        let is_left = |node: &NodeId| self.is_open(*node) && self.plan.recipe(*node).is_some();
        self.plan.nodes().filter(is_left)
    }

    pub(super) fn is_target(&self, node: NodeId) -> bool {
        self.nodes[node as usize].is_target
    }

    /// A requested node that nothing was found out about.
    pub(super) fn open_target(&self) -> Option<NodeId> {
        let mut targets = self.plan.targets.iter().copied();
        targets.find(|target| self.is_open(*target))
    }

    /// Bytes of the inputs of a node, as far as they are there; no more than fit into the counter.
    pub(super) fn input_bytes(&self, node: NodeId) -> u64 {
        u64::from(self.nodes[node as usize].input_bytes)
    }

    /// Where a node goes whose inputs are there; `None` where it is not to be computed here.
    fn way(&self, node: NodeId) -> Option<Way> {
        let (_, function) = self.plan.recipe(node)?;
        let mode = &self.modes[function as usize];
        Some(way(mode, self.nodes[node as usize].input_bytes))
    }

    /// The same, for a node that was looked up and not found.
    pub(super) fn way_unfound(&self, node: NodeId) -> Option<Way> {
        let (_, function) = self.plan.recipe(node)?;
        let mode = &self.modes[function as usize];
        Some(way_to_run(mode, self.nodes[node as usize].input_bytes))
    }

    /// Why a node is computed.
    pub(super) fn reason(&self, node: NodeId) -> Reason {
        match self.plan.expected.contains_key(&node) {
            true => Reason::Lost,
            false if self.is_unchecked(node) => Reason::Unchecked,
            false => Reason::New,
        }
    }

    /// What this run does with the recipe of a node.
    pub(super) fn mode(&self, node: NodeId) -> Option<&FunctionMode> {
        let (_, function) = self.plan.recipe(node)?;
        Some(&self.modes[function as usize])
    }

    pub(super) fn is_root(&self, node: NodeId) -> bool {
        self.roots.contains(&node)
    }

    /// Notes resolved addresses that were claimed.
    pub(super) fn claimed(&mut self, resolved: impl IntoIterator<Item = (NodeId, CAddr)>) {
        self.resolved.extend(resolved);
    }

    /// The resolved address of a node, where it was claimed.
    pub(super) fn resolved(&self, node: NodeId) -> Option<CAddr> {
        self.resolved.get(&node).copied()
    }

    /// Takes the claim on a resolved address from a node, if it has one.
    pub(super) fn take_resolved(&mut self, node: NodeId) -> Option<CAddr> {
        // Light nodes have none, and then nothing is hashed.
        match self.resolved.is_empty() {
            true => None,
            false => self.resolved.remove(&node),
        }
    }

    /// Claims on resolved addresses that were not taken, with their nodes.
    pub(super) fn all_resolved(&self) -> impl Iterator<Item = (NodeId, CAddr)> {
        self.resolved.iter().map(|(node, addr)| (*node, *addr))
    }

    /// The error of a node, with its address and the path to it, unless it tells of another node already.
    pub(super) fn located(&self, node: NodeId, error: Error) -> Error {
        let addr = self.plan.addr(node);
        match error.path().is_empty() || error.path().last() == Some(&addr) {
            true => error.with("addr", addr).along(self.plan.path(node)),
            false => error,
        }
    }

    /// What was recorded of a node before its blob was lost, where that has other bytes than `output`.
    pub(super) fn contradicted_by(&self, node: NodeId, output: &Output) -> Option<&Output> {
        let expected = self.plan.expected.get(&node)?;
        (!expected.same_bytes(output)).then_some(expected)
    }

    /// The stored blob of a node, if recipes can make it again.
    pub(super) fn made(&self, node: NodeId) -> Option<BlobStat> {
        match self.plan.task(node) {
            Task::Stored { made: true, .. } => self.plan.content(node),
            _ => None,
        }
    }
}

fn way(mode: &FunctionMode, input_bytes: u32) -> Way {
    let to_run = way_to_run(mode, input_bytes);
    let is_large = mode.is_light && to_run == Way::Heavy;
    match mode.cutoff || (mode.cutoff_of_large && is_large) {
        true => Way::LookUp,
        false => to_run,
    }
}

fn way_to_run(mode: &FunctionMode, input_bytes: u32) -> Way {
    match mode.is_light && (input_bytes <= LIGHT_BYTES || mode.is_ours) {
        true => Way::Light,
        false => Way::Heavy,
    }
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use deriva_api::{ErrorKind, OnViolation, Weight};

    use super::*;
    use crate::materialize::plan::tests::{content, planned};
    use crate::shared::policy::StoreResults;

    fn mode(is_light: bool) -> FunctionMode {
        FunctionMode {
            is_light,
            is_ours: false,
            cutoff: false,
            cutoff_of_large: false,
            results: StoreResults::All,
            determinism: Determinism::Off,
            on_violation: OnViolation::Fail,
        }
    }

    /// 0 needs 1 and 2, which both need 3; 3 needs the stored 4, twice.
    fn diamond(mode: FunctionMode) -> Graph {
        let plan = planned(
            &[Some(&[1, 2]), Some(&[3]), Some(&[3]), Some(&[4, 4]), None],
            Weight::Light,
        );
        Graph::new(plan, vec![mode], HashSet::new(), false)
    }

    fn begin(graph: &mut Graph) -> Vec<(NodeId, Way)> {
        let mut ready = Vec::new();
        graph.begin(|_, _| 100, |node, way| ready.push((node, way)));
        ready
    }

    fn settle(graph: &mut Graph, node: NodeId, bytes: u64) -> Vec<(NodeId, Way)> {
        let mut ready = Vec::new();
        graph.settle(node, bytes, |node, way| ready.push((node, way)));
        ready
    }

    #[test]
    fn a_node_is_ready_once_when_its_last_input_is_settled() {
        let mut graph = diamond(mode(true));
        assert_eq!(begin(&mut graph), [(3, Way::Light)]);
        assert_eq!(graph.input_bytes(3), 200);
        assert_eq!(settle(&mut graph, 3, 7), [(1, Way::Light), (2, Way::Light)]);
        assert_eq!(graph.input_bytes(1), 7);
        assert_eq!(settle(&mut graph, 2, 1), []);
        assert!(graph.is_open(0) && !graph.is_open(2));
        assert_eq!(settle(&mut graph, 1, 2), [(0, Way::Light)]);
        assert_eq!(graph.input_bytes(0), 3);
        assert_eq!(graph.unfinished().collect::<Vec<_>>(), [0]);
        assert_eq!(graph.open_target(), Some(0));
        assert_eq!(settle(&mut graph, 0, 9), []);
        assert_eq!((graph.unfinished().count(), graph.open_target()), (0, None));
    }

    #[test]
    fn what_failed_does_not_become_ready() {
        let mut graph = diamond(mode(true));
        begin(&mut graph);
        settle(&mut graph, 3, 1);
        graph.fail(1);
        graph.fail(0);
        assert!(graph.is_open(2) && !graph.is_open(0));
        assert_eq!(settle(&mut graph, 2, 1), []);
        assert_eq!((graph.unfinished().count(), graph.open_target()), (0, None));
        let error = graph.located(3, Error::new(ErrorKind::Function, "broken"));
        let path: Vec<CAddr> = [0, 1, 3].map(|node| graph.plan.addr(node)).to_vec();
        assert_eq!(error.path(), path);
        // That of another node keeps its own path.
        assert_eq!(graph.located(1, error).path(), path);
    }

    #[test]
    fn large_inputs_go_to_the_executor_unless_it_lacks_the_function() {
        let large = u64::from(LIGHT_BYTES) + 1;
        let ways = |mode| {
            let mut graph = diamond(mode);
            begin(&mut graph);
            let ready = settle(&mut graph, 3, large);
            (ready[0].1, graph.way_unfound(1).unwrap())
        };
        let light = mode(true);
        assert_eq!(ways(light), (Way::Heavy, Way::Heavy));
        let ours = FunctionMode {
            is_ours: true,
            ..light
        };
        assert_eq!(ways(ours), (Way::Light, Way::Light));
        let looked_up = FunctionMode {
            cutoff_of_large: true,
            ..light
        };
        assert_eq!(ways(looked_up), (Way::LookUp, Way::Heavy));
        let all = FunctionMode {
            cutoff: true,
            ..ours
        };
        assert_eq!(ways(all), (Way::LookUp, Way::Light));
        // More bytes than the counter has room for are many.
        let mut graph = diamond(light);
        begin(&mut graph);
        settle(&mut graph, 3, u64::MAX);
        assert_eq!(graph.input_bytes(1), u64::from(u32::MAX));
        assert_eq!(begin(&mut diamond(mode(false))), [(3, Way::Heavy)]);
    }

    #[test]
    fn claims_on_resolved_addresses_are_taken_once() {
        let mut graph = diamond(mode(true));
        let addr = CAddr::of_blob(b"resolved");
        graph.claimed([(1, addr)]);
        assert_eq!((graph.resolved(1), graph.resolved(2)), (Some(addr), None));
        assert_eq!(graph.all_resolved().collect::<Vec<_>>(), [(1, addr)]);
        assert_eq!(graph.take_resolved(1), Some(addr));
        assert_eq!(
            (graph.take_resolved(1), graph.all_resolved().count()),
            (None, 0)
        );
    }

    #[test]
    fn a_lost_output_is_to_be_what_it_was() {
        let mut graph = diamond(mode(true));
        let blob = content(1);
        let output = |cost| Output {
            addr: blob.addr(),
            len: blob.len(),
            cost: std::time::Duration::from_secs(cost),
        };
        assert_eq!(graph.reason(1), Reason::New);
        assert_eq!(graph.contradicted_by(1, &output(1)), None);
        graph.plan.expected.insert(1, output(1));
        assert_eq!(graph.reason(1), Reason::Lost);
        assert_eq!(graph.contradicted_by(1, &output(2)), None);
        let other = Output {
            addr: content(2).addr(),
            ..output(1)
        };
        assert_eq!(graph.contradicted_by(1, &other), Some(&output(1)));
        assert_eq!((graph.made(4), graph.made(1)), (None, None));
        graph.plan.set_stored(1, blob.stat(), true);
        assert_eq!(graph.made(1), Some(blob.stat()));
    }
}
