//! The mutants' executor: a thread for each step, two at a time.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Blob, Clock, ComputeFunction, Error, ErrorKind, Executed, Executor, FunctionId, Operand,
    Operands, Result, Step, SystemClock,
};
use futures::channel::oneshot;
use tokio::sync::Semaphore;

use super::list::Break;

const WIDTH: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Threads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broken: Option<Break>,
    functions: Vec<Arc<dyn ComputeFunction>>,
    free: Arc<Semaphore>,
    clock: SystemClock,
}

impl Threads {
    pub(super) fn new(functions: Vec<Arc<dyn ComputeFunction>>, broken: Option<Break>) -> Self {
        Self(Arc::new(Shared {
            broken,
            functions,
            free: Arc::new(Semaphore::new(WIDTH)),
            clock: SystemClock::new(),
        }))
    }
}

impl Shared {
    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    fn find(&self, id: &FunctionId) -> Option<&Arc<dyn ComputeFunction>> {
        let same = |function: &&Arc<dyn ComputeFunction>| function.id() == id;
        self.functions.iter().find(same)
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
        if self.broken(Break::sorts_the_inputs_of_a_step) {
            held.sort_unstable();
        }
        if self.broken(Break::hands_an_input_over_once) {
            let mut seen = Vec::new();
            held.retain(|input| {
                !seen.contains(input) && {
                    seen.push(input.clone());
                    true
                }
            });
        }
        Ok(held)
    }

    fn run(&self, step: &Step) -> Result<Executed> {
        let id = step.recipe.function();
        let function = self.find(&id).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "unknown function").with("function", &id)
        })?;
        let (inputs, params) = (self.inputs(step)?, step.recipe.params());
        let began = self.clock.now();
        let called = catch_unwind(AssertUnwindSafe(|| function.call(&inputs, &params)));
        let message = "the function panicked";
        let output = called.unwrap_or_else(|_| Err(Error::new(ErrorKind::Function, message)))?;
        Ok(Executed {
            output: Operand::Held(Blob::new(output)),
            cost: self.clock.now() - began,
            reused: false,
        })
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
        self.0.find(function).is_some()
    }

    fn operands(&self) -> Operands {
        Operands::Held
    }

    fn width(&self) -> usize {
        WIDTH
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let gone = || Error::new(ErrorKind::Cancelled, "the step was given up");
        let free = Arc::clone(&self.0.free).acquire_owned().await;
        let free = free.map_err(|_| gone())?;
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let executed = shared.run(&step);
            drop(free);
            sender.send(executed).ok();
        });
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }
}
