//! The mutants' layer around an executor: it remembers what came of steps, and hands on all else.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{
    CAddr, CallContext, Error, ErrorKind, Executed, Executor, ExecutorLayer, FunctionId, Operand,
    Operands, Result, Step,
};
use futures::FutureExt;
use parking_lot::Mutex;

use super::list::Break;

/// The layer, with or without a break.
pub(super) struct Remember(pub(super) Option<Break>);

impl ExecutorLayer for Remember {
    fn wrap(&self, inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        Arc::new(Remembering {
            broken: self.0,
            inner,
            memory: Mutex::default(),
            failed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }
}

#[derive(Debug)]
struct Remembering {
    broken: Option<Break>,
    inner: Arc<dyn Executor>,
    /// By resolved address.
    memory: Mutex<HashMap<CAddr, Executed>>,
    /// For breaks alone: the functions that failed, and whose turn it is.
    failed: Mutex<HashSet<FunctionId>>,
    turn: tokio::sync::Mutex<()>,
}

impl Remembering {
    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    /// By what a step is known.
    fn name(&self, step: &Step) -> Result<CAddr> {
        let mut contents: Vec<CAddr> = step.inputs.iter().map(|input| input.stat().addr).collect();
        if self.broken(Break::remembers_without_regard_to_order) {
            contents.sort_unstable();
        }
        Ok(step.recipe.resolve(&contents)?.addr())
    }

    fn remembered(&self, name: CAddr) -> Option<Executed> {
        let mut known = self.memory.lock().get(&name).cloned()?;
        known.reused = true;
        Some(known)
    }

    async fn run(&self, name: CAddr, mut step: Step) -> Result<Executed> {
        if self.broken(Break::hands_no_deadline_on) {
            step.deadline = None;
        }
        if self.broken(Break::hands_no_context_on) {
            step.context = CallContext::default();
        }
        if self.broken(Break::hands_a_copy_of_the_context_on) {
            let clock = Arc::new(deriva_api::SystemClock::new());
            step.context = CallContext::new(clock, step.context.remaining());
        }
        let function = step.recipe.function();
        let inner = Arc::clone(&self.inner);
        let executed = match self.broken(Break::goes_on_with_what_is_dropped) {
            false => inner.execute(step).await,
            true => {
                let mut run = Box::pin(async move { inner.execute(step).await });
                match (&mut run).now_or_never() {
                    Some(executed) => executed,
                    None => tokio::spawn(run).await.unwrap_or_else(|gone| {
                        Err(Error::new(ErrorKind::Internal, "a task is gone").caused_by(gone))
                    }),
                }
            }
        };
        match executed {
            Ok(mut executed) if matches!(executed.output, Operand::Held(_)) => {
                self.memory.lock().insert(name, executed.clone());
                executed.reused = self.broken(Break::claims_that_all_is_reused);
                Ok(executed)
            }
            Ok(executed) => Ok(executed),
            Err(error) => {
                self.failed.lock().insert(function);
                Err(error)
            }
        }
    }
}

impl fmt::Display for Remembering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mutant({})", self.inner)
    }
}

#[async_trait]
impl Executor for Remembering {
    fn supports(&self, function: &FunctionId) -> bool {
        let given_up = self.broken(Break::supports_no_more_what_failed)
            && self.failed.lock().contains(function);
        self.inner.supports(function) && !given_up
    }

    fn operands(&self) -> Operands {
        self.inner.operands()
    }

    fn width(&self) -> usize {
        self.inner.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let name = self.name(&step)?;
        let fresh = step.fresh && !self.broken(Break::answers_fresh_steps_from_memory);
        if let Some(known) = self.remembered(name).filter(|_| !fresh) {
            return Ok(known);
        }
        if self.broken(Break::joins_fresh_steps) {
            // Who finds another at it takes what that one gives.
            let Ok(_turn) = self.turn.try_lock() else {
                let _turn = self.turn.lock().await;
                return match self.remembered(name) {
                    Some(mut known) => {
                        known.reused = false;
                        Ok(known)
                    }
                    None => self.run(name, step).await,
                };
            };
            return self.run(name, step).await;
        }
        self.run(name, step).await
    }
}
