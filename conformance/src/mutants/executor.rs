//! The mutants' executor: a thread for each step, two at a time.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Blob, CAddr, Clock, ComputeFunction, Error, ErrorKind, Executed, Executor, FunctionId, Operand,
    Operands, Params, Result, Step, SystemClock,
};
use futures::channel::oneshot;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::list::Break;
use super::store::dawdle;

const WIDTH: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Threads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broken: Option<Break>,
    functions: Vec<Arc<dyn ComputeFunction>>,
    free: Arc<Semaphore>,
    clock: SystemClock,
    /// For breaks alone: how many steps there were, their inputs, what came of them.
    steps: AtomicUsize,
    gathered: Mutex<Vec<Bytes>>,
    memory: Mutex<HashMap<CAddr, std::result::Result<Executed, ErrorKind>>>,
}

impl Threads {
    pub(super) fn new(functions: Vec<Arc<dyn ComputeFunction>>, broken: Option<Break>) -> Self {
        Self(Arc::new(Shared {
            broken,
            functions,
            free: Arc::new(Semaphore::new(WIDTH)),
            clock: SystemClock::new(),
            steps: AtomicUsize::new(0),
            gathered: Mutex::default(),
            memory: Mutex::default(),
        }))
    }
}

impl Shared {
    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    fn find(&self, id: &FunctionId) -> Option<&Arc<dyn ComputeFunction>> {
        let known = |function: &&Arc<dyn ComputeFunction>| {
            let same = function.id() == id;
            same || (self.broken(Break::runs_any_version) && function.id().name() == id.name())
        };
        self.functions.iter().find(known)
    }

    fn inputs(&self, step: &Step) -> Result<Vec<Bytes>> {
        let mut held = Vec::new();
        for input in &step.inputs {
            let Operand::Held(blob) = input else {
                let message = "this executor wants its inputs in hand";
                return Err(Error::new(ErrorKind::Invalid, message));
            };
            held.push(blob.bytes().clone());
        }
        match self.broken {
            Some(Break::sorts_the_inputs_of_a_step) => held.sort_unstable(),
            Some(Break::hands_an_input_over_once) => {
                let all = std::mem::take(&mut held);
                for input in all {
                    held.extend((!held.contains(&input)).then_some(input));
                }
            }
            Some(Break::turns_every_second_step_round)
                if self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) =>
            {
                held.reverse();
            }
            Some(Break::gathers_inputs_in_one_place) => {
                *self.gathered.lock() = held;
                dawdle();
                held = self.gathered.lock().clone();
            }
            _ => {}
        }
        Ok(held)
    }

    fn run(&self, step: &Step) -> Result<Executed> {
        let id = step.recipe.function();
        let function = self.find(&id).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "unknown function").with("function", &id)
        })?;
        let (inputs, mut params) = (self.inputs(step)?, step.recipe.params()?);
        if self.broken(Break::hands_no_params_over) {
            params = Params::new();
        }
        let began = self.clock.now();
        let call = || function.call_within(&inputs, &params, &step.context);
        let called = match self.broken(Break::dies_of_a_panic) {
            true => Ok(call()),
            false => catch_unwind(AssertUnwindSafe(call)),
        };
        let mut output = match called {
            Ok(returned) => returned?,
            Err(_) if self.broken(Break::answers_a_panic_with_nothing) => Bytes::new(),
            Err(_) => return Err(Error::new(ErrorKind::Function, "the function panicked")),
        };
        if self.broken(Break::cuts_outputs_at_a_mebibyte) {
            output.truncate(1 << 20);
        }
        let cost = self.clock.now() - began;
        Ok(Executed::new(Operand::Held(Blob::new(output)), cost))
    }

    /// Runs a step, or, in breaks alone, remembers what came of another.
    fn remember(&self, step: &Step) -> Result<Executed> {
        let name = match self.broken {
            Some(
                Break::remembers_failures
                | Break::reuses_and_does_not_say
                | Break::reuses_for_fresh_steps,
            ) => step.addr,
            Some(Break::takes_steps_with_one_first_input_for_one) => {
                let first = step.inputs.first().map(|input| input.stat().addr);
                let name = format!("{} of {first:?}", step.recipe.function());
                CAddr::of_blob(name.as_bytes())
            }
            Some(Break::makes_every_failure_internal) => {
                let unkind = |error| Error::new(ErrorKind::Internal, "it failed").caused_by(error);
                return self.run(step).map_err(unkind);
            }
            _ => return self.run(step),
        };
        let mut remembered = self.memory.lock().get(&name).cloned();
        if step.fresh && !self.broken(Break::reuses_for_fresh_steps) {
            remembered = None;
        }
        let executed = match remembered {
            Some(Ok(executed)) if self.broken(Break::reuses_and_does_not_say) => Ok(executed),
            Some(Ok(executed)) => Ok(executed.reused()),
            Some(Err(kind)) => Err(Error::new(kind, "it failed before")),
            None => self.run(step),
        };
        let kept = match &executed {
            Ok(executed) => Ok(executed.clone()),
            Err(error) => Err(error.kind()),
        };
        if kept.is_err() == self.broken(Break::remembers_failures) {
            self.memory.lock().insert(name, kept);
        }
        executed
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mutant")
    }
}

#[async_trait]
impl Executor for Threads {
    fn supports(&self, function: &FunctionId) -> bool {
        self.0.find(function).is_some() || self.0.broken(Break::supports_everything)
    }

    fn operands(&self) -> Operands {
        Operands::Held
    }

    fn width(&self) -> usize {
        match self.0.broken(Break::has_no_width) {
            true => 0,
            false => WIDTH,
        }
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let gone = || Error::new(ErrorKind::Cancelled, "the step was given up");
        if self.0.broken(Break::runs_in_tokio_alone) && Handle::try_current().is_err() {
            return Err(gone());
        }
        if self.0.broken(Break::refuses_a_second_step) && self.0.free.available_permits() < WIDTH {
            return Err(gone());
        }
        let mut ends = Ends {
            free: Arc::clone(&self.0.free),
            armed: self.0.broken(Break::ends_when_a_step_is_dropped),
        };
        let free = Arc::clone(&self.0.free).acquire_owned().await;
        let mut free = Some(free.map_err(|_| gone())?);
        if self.0.broken(Break::runs_any_number_at_once) {
            free = None;
        }
        if step.deadline == Some(Duration::ZERO) {
            return Err(Error::new(ErrorKind::Timeout, "there is no time left"));
        }
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let executed = shared.remember(&step);
            drop(free);
            sender.send(executed).ok();
        });
        let executed = receiver.await.unwrap_or_else(|_| Err(gone()));
        ends.armed = false;
        executed
    }
}

/// Ends the executor when it is dropped while it is armed.
struct Ends {
    free: Arc<Semaphore>,
    armed: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if self.armed {
            self.free.close();
        }
    }
}
