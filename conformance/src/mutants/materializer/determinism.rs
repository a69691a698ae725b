//! Computations that are checked: how, and what follows where their runs differ. What is remembered of it is in `ledger.rs`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use deriva_api::{
    Answer, Audited, Blob, BlobStat, CAddr, DagStoreExt, Determinism, Divergence, Error, ErrorKind,
    FoundBy, Node, OnViolation, Output, Request, Result, Violation, Weight, is_sampled,
};
use futures::TryStreamExt;

use super::step::Work;
use super::{Break, Small};

/// How a step is checked.
pub(super) struct Check {
    agree: u32,
    of: u32,
    found_by: FoundBy,
}

/// What came of a check.
pub(super) struct Checked {
    /// What the runs agreed on, or the first output.
    pub(super) result: Result<(Bytes, Duration)>,
    pub(super) answers: Vec<Answer>,
    pub(super) agreed: bool,
    pub(super) found_by: FoundBy,
}

struct Seen {
    answer: Answer,
    output: Option<(Bytes, Duration)>,
    error: Option<Error>,
}

impl Small {
    pub(super) fn check_modes(&self, request: &Request) -> Result<()> {
        if self.broken(Break::takes_modes_that_are_none) {
            return Ok(());
        }
        let of_recipes = request.determinism_at.values().copied();
        let mut modes = of_recipes.chain(request.determinism);
        modes.try_for_each(Determinism::check)
    }

    /// How a recipe is checked for a request.
    pub(super) fn mode(&self, request: &Request, addr: CAddr) -> Determinism {
        let stricter = |one: Determinism, other: Determinism| match self
            .broken(Break::takes_the_laxer_mode)
            == one.is_as_strict_as(other)
        {
            true => other,
            false => one,
        };
        let own = match self.broken(Break::takes_the_mode_of_one_recipe_for_all) {
            true => request
                .determinism_at
                .values()
                .copied()
                .reduce(Determinism::stricter),
            false => request.determinism_at.get(&addr).copied(),
        };
        let floor = self.0.determinism;
        let lowers = match self.0.broken {
            Some(Break::lets_a_request_lower_the_floor) => true,
            Some(Break::never_lowers_the_floor) => false,
            _ => self.0.requests_may_lower,
        };
        match request.determinism.into_iter().chain(own).reduce(stricter) {
            None => floor,
            Some(asked) if lowers => asked,
            Some(asked) => stricter(floor, asked),
        }
    }

    /// How a step is checked, if it is.
    pub(super) fn check_of(&self, work: &Work, resolved: CAddr) -> Option<Check> {
        let mode = work.mode;
        let found_by = match mode {
            mode if mode.is_off() => return None,
            Determinism::Sampled { rate } => {
                let key = match self.broken(Break::samples_by_a_constant) {
                    true => [9; 32],
                    false => self.0.sampling_key,
                };
                let by = match self.broken(Break::samples_by_the_recipes_own_address) {
                    true => work.addr,
                    false => resolved,
                };
                let function = self.function(&work.todo.recipe.function());
                let is_light = function.is_some_and(|it| it.weight() == Weight::Light);
                let out = is_light && self.broken(Break::samples_nothing_of_light_functions);
                if out || !is_sampled(rate, &key, by) {
                    return None;
                }
                FoundBy::Sample
            }
            _ => FoundBy::Request,
        };
        Some(Check {
            agree: mode.agree(),
            of: mode.of(),
            found_by,
        })
    }

    /// Runs a step until enough runs agree, or none can win any more. What was computed before counts as a run.
    pub(super) async fn repeat(&self, work: &Work, check: Check) -> Result<Checked> {
        let Check {
            agree,
            of,
            found_by,
        } = check;
        let (mut seen, mut runs): (Vec<Seen>, u32) = (Vec::new(), 0);
        if let Some(Output { addr, len, .. }) = work.prior {
            let answer = Answer::output(addr, len);
            seen.push(Seen {
                answer,
                output: None,
                error: None,
            });
            runs = 1;
        }
        let most = |seen: &[Seen]| seen.iter().map(|it| it.answer.runs).max().unwrap_or(0);
        loop {
            let best = most(&seen);
            let left = u64::from(of.saturating_sub(runs));
            if best >= u64::from(agree) || best + left < u64::from(agree) {
                break;
            }
            let ran = match seen.first() {
                Some(first) if self.broken(Break::compares_a_run_with_itself) => first
                    .output
                    .clone()
                    .ok_or_else(|| Error::new(ErrorKind::Internal, "there is no run")),
                _ => self.call(work, runs).await,
            };
            runs += 1;
            self.see(&mut seen, ran)?;
        }
        let best = most(&seen);
        let anyhow = of > 2 && self.broken(Break::accepts_a_minority);
        let agreed = best >= u64::from(agree) || anyhow;
        let wins = |it: &&Seen| match agreed {
            true if self.broken(Break::accepts_the_first_of_a_quorum) => it.output.is_some(),
            true => it.answer.runs == best,
            false => it.output.is_some(),
        };
        let error = seen.iter().find_map(|it| it.error.clone());
        let none = || Error::new(ErrorKind::Internal, "a check without a run");
        let result = match seen.iter().find(wins) {
            Some(Seen { output, error, .. }) if output.is_some() || agreed => output
                .clone()
                .ok_or_else(|| error.clone().unwrap_or_else(none)),
            _ => Err(error.unwrap_or_else(none)),
        };
        Ok(Checked {
            result,
            answers: seen.into_iter().map(|it| it.answer).collect(),
            agreed,
            found_by,
        })
    }

    /// Takes in what a run gave. What is no answer of the function ends the check.
    fn see(&self, seen: &mut Vec<Seen>, ran: Result<(Bytes, Duration)>) -> Result<()> {
        let (answer, output, error) = match ran {
            Ok((bytes, cost)) => {
                let stat = Blob::new(bytes.clone()).stat();
                (
                    Answer::output(stat.addr, stat.len),
                    Some((bytes, cost)),
                    None,
                )
            }
            Err(error) if matches!(error.kind(), ErrorKind::Function | ErrorKind::Invalid) => {
                if let Some(first) = seen.first_mut()
                    && self.broken(Break::takes_a_failing_repetition_for_agreement)
                {
                    first.answer.runs += 1;
                    return Ok(());
                }
                (Answer::failure(&error), None, Some(error))
            }
            Err(error) => return Err(error),
        };
        let is_like = |other: &Answer| match self.0.broken {
            Some(Break::compares_lengths_alone) => {
                answer.len == other.len && answer.addr.is_some() == other.addr.is_some()
            }
            Some(Break::takes_every_failure_for_a_difference) if answer.addr.is_none() => false,
            _ => answer.is_like(other),
        };
        match seen.iter_mut().find(|it| is_like(&it.answer)) {
            Some(known) => {
                known.answer.runs += 1;
                known.output = known.output.take().or(output);
            }
            None => seen.push(Seen {
                answer,
                output,
                error,
            }),
        }
        Ok(())
    }

    /// Remembers that what is recorded is contradicted; answers with the error that tells it.
    pub(super) async fn contradicted(
        &self,
        work: &Work,
        resolved: CAddr,
        (recorded, offered): (Output, Output),
        found_by: FoundBy,
    ) -> Result<Error> {
        let answers = [recorded, offered].map(|it| Answer::output(it.addr, it.len));
        let function = work.todo.recipe.function();
        let mut violation = Violation::new(work.addr, resolved, function, answers.into());
        violation.found_by = found_by;
        let silent = match found_by {
            FoundBy::Record => self.broken(Break::keeps_the_first_of_two_records),
            FoundBy::Healing => self.broken(Break::remembers_nothing_of_what_it_heals),
            _ => false,
        };
        match silent {
            true => Ok(Error::new(
                ErrorKind::Nondeterministic,
                "another output is recorded",
            )),
            false => Ok(self.enter(violation).await?.into_error()),
        }
    }

    /// As [`Small::contradicted`], of another output that was recorded meanwhile.
    pub(super) async fn settled(
        &self,
        work: &Work,
        resolved: CAddr,
        diverges: Option<Divergence>,
    ) -> Result<()> {
        let Some(Divergence {
            recorded, offered, ..
        }) = diverges
        else {
            return Ok(());
        };
        let both = (recorded, offered);
        let told = self.contradicted(work, resolved, both, FoundBy::Record);
        Err(told.await?)
    }

    /// Forgets what is recorded of a computation, under each name, and of all that was made from it.
    pub(super) async fn forget_violated(&self, violation: &Violation) -> Result<()> {
        let silent = match violation.found_by {
            FoundBy::Audit => self.broken(Break::forgets_nothing_that_an_audit_finds),
            _ => self.broken(Break::keeps_what_was_recorded_before),
        };
        if silent {
            return Ok(());
        }
        let early = match self.broken(Break::forgets_before_writes_are_through) {
            true => Some(self.0.dag.list(None).try_collect().await?),
            false => None,
        };
        let _alone = self.0.stores.gate.write().await;
        let (recipe, resolved) = (violation.recipe, violation.resolved);
        let mut reached = vec![recipe, resolved];
        let all: Vec<(CAddr, Node)> = match early {
            Some(all) => all,
            None => self.0.dag.list(None).try_collect().await?,
        };
        for (addr, node) in &all {
            let one_name = self.broken(Break::forgets_no_other_name_of_what_differs);
            if !one_name && node.output.is_some() && self.resolved(node).await? == resolved {
                reached.push(*addr);
            }
        }
        let recorded = self.0.dag.outputs(&reached).await?;
        let is_right = |output: &Output| violation.accepted == Some(output.addr);
        if violation.accepted.is_some() && recorded.iter().flatten().all(is_right) {
            return Ok(());
        }
        let mut met: HashSet<CAddr> = reached.iter().copied().collect();
        let mut names = reached.clone();
        while let Some(addr) = reached.pop() {
            if let Some(node) = self.0.dag.get_one(addr).await? {
                names.push(self.resolved(&node).await?);
            }
            if self.broken(Break::forgets_no_descendants) {
                continue;
            }
            let above: Vec<CAddr> = self.0.dag.dependents(addr, None).try_collect().await?;
            let above = above.into_iter().filter(|addr| met.insert(*addr));
            let above: Vec<CAddr> = above.collect();
            names.extend(&above);
            reached.extend(above);
        }
        let stays = |addr: &CAddr| *addr == recipe || !met.contains(addr);
        self.0.flights.lock().retain(|addr, _| stays(addr));
        self.0.dag.forget(&names).await.map(drop)
    }

    /// The address of a recipe over the recorded contents of its inputs.
    pub(super) async fn resolved(&self, node: &Node) -> Result<CAddr> {
        let inputs = self.recorded_inputs(node).await?;
        self.resolve(&node.recipe, &inputs)
    }

    async fn recorded_inputs(&self, node: &Node) -> Result<Vec<BlobStat>> {
        let inputs: Vec<CAddr> = node.recipe.inputs().collect();
        let outputs = self.0.dag.outputs(&inputs).await?.into_iter().zip(inputs);
        let stat = |(output, addr): (Option<Output>, CAddr)| {
            output.map_or(BlobStat { addr, len: 0 }, |output| output.stat())
        };
        Ok(outputs.map(stat).collect())
    }

    /// Computes again what is recorded of a recipe and of all that it needs, and compares.
    pub(super) async fn compare_again(&self, addr: CAddr) -> Result<Audited> {
        let mut audited = Audited::default();
        if self.0.dag.get_one(addr).await?.is_none() {
            return match self.stat(addr).await? {
                Some(_) if self.broken(Break::audits_blobs) => Ok(audited),
                Some(_) => Err(Error::new(ErrorKind::Invalid, "it is no recipe")),
                None => Err(Error::new(
                    ErrorKind::NotFound,
                    "nothing is known of the address",
                )),
            };
        }
        let (mut stack, mut met) = (vec![(addr, false)], HashSet::new());
        // For a break alone: what came out now.
        let mut anew: HashMap<CAddr, Blob> = HashMap::new();
        let mut violations = Vec::new();
        // What is needed goes first.
        while let Some((addr, is_ready)) = stack.pop() {
            let Some(node) = self.0.dag.get_one(addr).await? else {
                continue;
            };
            if !is_ready {
                if met.insert(addr) {
                    stack.push((addr, true));
                    if !self.broken(Break::audits_what_was_asked_for_alone) {
                        stack.extend(node.recipe.inputs().map(|input| (input, false)));
                    }
                }
                continue;
            }
            let Some(recorded) = node.output else {
                continue;
            };
            audited.outputs += 1;
            let mut inputs = self.recorded_inputs(&node).await?;
            for (stat, input) in inputs.iter_mut().zip(node.recipe.inputs()) {
                *stat = anew.get(&input).map_or(*stat, Blob::stat);
            }
            let held = anew.values().map(|blob| (blob.addr(), blob.clone()));
            let work = Work::alone(addr, &node, inputs, held.collect());
            let offered = match self.call(&work, 1).await {
                Ok((bytes, _)) => {
                    let blob = Blob::new(bytes);
                    let stat = blob.stat();
                    if self.broken(Break::audits_with_what_comes_out_now) {
                        anew.insert(addr, blob);
                    }
                    Answer::output(stat.addr, stat.len)
                }
                Err(error) if error.kind() == ErrorKind::Function => Answer::failure(error),
                Err(_) => {
                    audited.skipped += 1;
                    continue;
                }
            };
            audited.audited += 1;
            let lengths = self.broken(Break::audits_lengths_alone);
            let same = offered.addr == Some(recorded.addr);
            if same || (lengths && offered.len == recorded.len) {
                audited.agreed += 1;
                audited.bytes += offered.len;
                continue;
            }
            audited.violated += 1;
            audited.violations.push(addr);
            let answers = vec![Answer::output(recorded.addr, recorded.len), offered];
            let resolved = self.resolved(&node).await?;
            let function = node.recipe.function();
            let mut violation = Violation::new(addr, resolved, function, answers);
            violation.found_by = FoundBy::Audit;
            violations.push(violation);
        }
        for violation in violations {
            self.enter(violation).await?;
        }
        Ok(audited)
    }

    pub(super) fn reports(&self) -> bool {
        self.0.on_violation == OnViolation::Report
    }
}
