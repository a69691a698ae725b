//! A request at work: ready steps begin, what waits for them follows.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use deriva_api::{
    Blob, BlobStat, CAddr, Cutoff, Determinism, Error, ErrorKind, Materialized, Reason, Request,
    Result, Reuse, StoreResults, Summary, Violation, Weight,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::plan::Plan;
use super::step::{How, Landed, Work, around};
use super::tell::Teller;
use super::{Break, Small};

/// What a request knows of its progress.
struct Run {
    plan: Plan,
    /// How many uses of inputs each node still waits for.
    waiting: HashMap<CAddr, usize>,
    ready: VecDeque<CAddr>,
    failures: HashMap<CAddr, Error>,
    /// What was computed and not stored, by content.
    held: HashMap<CAddr, Blob>,
    /// Recipes whose output is doubted.
    doubted: HashSet<CAddr>,
    summary: Summary,
    teller: Teller,
}

impl Small {
    pub(super) async fn run(&self, plan: Plan, request: &Request) -> Result<Materialized> {
        let jobs = match self.0.broken {
            Some(Break::takes_no_notice_of_jobs) => usize::MAX,
            Some(Break::runs_one_step_at_a_time) => 1,
            _ => request.jobs.unwrap_or(self.0.jobs),
        };
        let teller = Teller::new(request, self.0.broken);
        let (mut run, around) = (Run::new(plan, teller), around());
        let number = self.number();
        if self.broken(Break::claims_all_that_it_plans) {
            let mut claims = self.0.claims.lock();
            for addr in run.plan.todo.keys() {
                claims.entry(*addr).or_insert(number);
            }
        }
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < jobs
                && let Some(addr) = run.ready.pop_front()
            {
                let mut work = run.work(addr, request)?;
                work.mode = self.mode(request, addr);
                work.stores |= self.broken(Break::stores_what_it_should_not);
                if self.broken(Break::takes_no_notice_of_priorities) {
                    work.priority = Arc::default();
                }
                let function = self.function(&work.todo.recipe.function());
                let is_heavy = function.is_some_and(|function| function.weight() == Weight::Heavy);
                let (teller, reason) = (run.teller.clone(), work.reason());
                work.around.clone_from(&around);
                if !self.broken(Break::runs_a_node_for_each_dependent) {
                    work.times = 1;
                }
                running.push(async move {
                    self.unclaimed(addr, number).await;
                    let (leads, flight) = self.fly(work);
                    if leads && is_heavy {
                        teller.started(addr, reason);
                    }
                    (addr, leads, flight.await)
                });
            }
            let Some((addr, leads, landed)) = running.next().await else {
                break;
            };
            self.0.claims.lock().remove(&addr);
            match landed {
                Ok(landed) => self.landed(&mut run, addr, leads, landed),
                Err(error) => {
                    if let Some(violation) = violation_of(&error).filter(|_| leads) {
                        self.violated(&mut run, addr, violation);
                        run.summary.checked += 1;
                    }
                    let error = self.along(&run.plan, addr, error);
                    run.summary.failed += 1;
                    run.teller.failed(addr, &error);
                    run.failures.insert(addr, error.clone());
                    let goes_on = self.broken(Break::keeps_going_unasked);
                    if !request.keep_going && !goes_on {
                        return Err(error);
                    }
                    if self.broken(Break::stops_at_the_first_failure) {
                        break;
                    }
                    self.failed(&mut run, addr, &error);
                }
            }
            run.teller.progress(&run.summary);
        }
        self.answer(run, &request.targets)
    }

    /// Waits, in a break alone, while another request claims the node.
    async fn unclaimed(&self, addr: CAddr, number: u64) {
        let claimed = || {
            self.0
                .claims
                .lock()
                .get(&addr)
                .is_some_and(|own| *own != number)
        };
        while claimed() {
            self.0
                .clock
                .sleep(std::time::Duration::from_millis(1))
                .await;
        }
    }

    /// Tells what was seen.
    fn violated(&self, run: &mut Run, addr: CAddr, violation: Violation) {
        run.summary.violations += 1;
        if !self.broken(Break::tells_of_no_difference) {
            run.teller.violated(addr, violation);
        }
    }

    fn landed(&self, run: &mut Run, addr: CAddr, leads: bool, landed: Landed) {
        let output = landed.output;
        run.summary.checked += u64::from(leads && landed.checked);
        if let Some(violation) = landed.violation.filter(|_| leads) {
            self.violated(run, addr, violation);
        }
        if landed.doubted && !self.broken(Break::marks_nothing_as_doubted) {
            run.summary.doubted += 1;
            run.doubted.insert(addr);
        }
        match landed.how {
            How::Computed if leads => {
                let lost = run
                    .plan
                    .todo
                    .get(&addr)
                    .is_some_and(|todo| todo.expected.is_some());
                run.summary.computed += 1;
                run.summary.bytes += output.len;
                run.summary.healed +=
                    u64::from(lost && !self.broken(Break::heals_without_counting));
                run.teller
                    .computed(addr, output, if lost { Reason::Lost } else { Reason::New });
            }
            How::Cutoff if leads => {
                run.summary.cutoff += 1;
                run.teller.reused(addr, output, Reuse::Cutoff);
            }
            _ => {
                run.summary.joined += 1;
                run.teller.reused(addr, output, Reuse::Joined);
            }
        }
        run.held.extend(landed.held.map(|blob| (blob.addr(), blob)));
        run.settle(addr, output.stat());
    }

    /// Gives up all that needs a node that failed.
    fn failed(&self, run: &mut Run, addr: CAddr, error: &Error) {
        if self.broken(Break::goes_on_above_a_failure) {
            return run.settle(addr, Blob::new("").stat());
        }
        let mut above = run.plan.dependents.get(&addr).cloned().unwrap_or_default();
        while let Some(addr) = above.pop() {
            if run.failures.contains_key(&addr) {
                continue;
            }
            run.failures.insert(addr, error.clone());
            run.summary.skipped += u64::from(!self.broken(Break::counts_nothing_as_given_up));
            run.teller.skipped(addr);
            above.extend(run.plan.dependents.get(&addr).into_iter().flatten());
        }
    }

    fn along(&self, plan: &Plan, addr: CAddr, error: Error) -> Error {
        match self.0.broken {
            Some(Break::names_no_path) => error,
            Some(Break::names_the_failed_recipe_alone) => error.along(vec![addr]),
            _ => error.along(plan.path(addr)),
        }
    }

    fn answer(&self, run: Run, targets: &[CAddr]) -> Result<Materialized> {
        let mut targets = targets.to_vec();
        if self.broken(Break::answers_targets_by_address) {
            targets.sort_unstable();
        }
        if self.broken(Break::answers_a_target_once) {
            let places = targets
                .iter()
                .enumerate()
                .rev()
                .map(|(at, addr)| (*addr, at));
            let first: BTreeMap<CAddr, usize> = places.collect();
            let mut at = 0..targets.len();
            targets.retain(|addr| at.next() == first.get(addr).copied());
        }
        let result = |addr: &CAddr| match (run.plan.content.get(addr), run.failures.get(addr)) {
            (Some(stat), _) => Ok(*stat),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(Error::new(ErrorKind::Internal, "a target was not reached")),
        };
        let results: Vec<Result<BlobStat>> = targets.iter().map(result).collect();
        let held = |result: &Result<BlobStat>| run.held.get(&result.as_ref().ok()?.addr).cloned();
        let held = match self.broken(Break::hands_nothing_over) {
            true => vec![None; results.len()],
            false => results.iter().map(held).collect(),
        };
        let mut done = Materialized::new(results, held, run.summary);
        let doubted = targets.into_iter();
        done.doubted = doubted.filter(|it| run.doubted.contains(it)).collect();
        Ok(done)
    }
}

impl Run {
    fn new(plan: Plan, teller: Teller) -> Self {
        let open = |todo: &super::plan::Todo| {
            let inputs = todo.recipe.inputs();
            inputs.filter(|input| plan.todo.contains_key(input)).count()
        };
        let waiting: HashMap<CAddr, usize> = plan
            .todo
            .iter()
            .map(|(addr, todo)| (*addr, open(todo)))
            .collect();
        let ready = waiting.iter().filter(|(_, count)| **count == 0);
        let ready = ready.map(|(addr, _)| *addr).collect();
        let mut summary = Summary::default();
        let counts = (plan.todo.len() as u64, plan.reused.len() as u64);
        (summary.planned, summary.reused) = counts;
        teller.planned(summary.planned, &plan.reused);
        if plan.todo.is_empty() {
            teller.progress(&summary);
        }
        Self {
            plan,
            waiting,
            ready,
            failures: HashMap::new(),
            held: HashMap::new(),
            doubted: HashSet::new(),
            summary,
            teller,
        }
    }

    fn work(&self, addr: CAddr, request: &Request) -> Result<Work> {
        let gone = || Error::new(ErrorKind::NotFound, "an input is missing").with("missing", addr);
        let todo = self.plan.todo.get(&addr).ok_or_else(gone)?;
        let content = |input| self.plan.content.get(&input).copied().ok_or_else(gone);
        let inputs: Vec<BlobStat> = todo.recipe.inputs().map(content).collect::<Result<_>>()?;
        let held = inputs.iter().filter_map(|input| self.held.get(&input.addr));
        let doubted = todo.recipe.inputs().any(|it| self.doubted.contains(&it));
        Ok(Work {
            addr,
            mode: Determinism::Off,
            prior: None,
            doubted,
            todo: todo.clone(),
            held: held.map(|blob| (blob.addr(), blob.clone())).collect(),
            inputs,
            cutoff: request.cutoff == Some(Cutoff::Always),
            stores: request.store_results != Some(StoreResults::None),
            around: Vec::new(),
            times: self.plan.dependents.get(&addr).map_or(1, Vec::len),
            is_target: request.targets.contains(&addr),
            priority: Arc::new(AtomicI32::new(request.priority)),
            deadline: request.deadline,
        })
    }

    /// A node has content: who waits for it may be ready.
    fn settle(&mut self, addr: CAddr, stat: BlobStat) {
        self.plan.content.insert(addr, stat);
        for above in self.plan.dependents.get(&addr).into_iter().flatten() {
            if let Some(waiting) = self.waiting.get_mut(above) {
                *waiting = waiting.saturating_sub(1);
                if *waiting == 0 {
                    self.ready.push_back(*above);
                }
            }
        }
    }
}

/// What was seen, where that is why something failed.
fn violation_of(error: &Error) -> Option<Violation> {
    let source = std::error::Error::source(error);
    source
        .and_then(|it| it.downcast_ref::<Violation>())
        .cloned()
}
