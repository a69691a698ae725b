//! The plain executor: a step runs where it is polled.

use std::fmt;
use std::sync::Arc;

use deriva_api::{
    Clock, Executed, Executor, FunctionId, FunctionRegistry, Operands, Result, Step, async_trait,
};

use crate::shared::nesting::Nesting;
use crate::shared::perturb;

/// Runs every step in place, one at a time: no threads, no queue. For tests, and for what must be
/// simple; heavy functions hold up the async worker that polls them.
#[derive(Debug)]
pub struct InlineExecutor {
    functions: Arc<FunctionRegistry>,
    clock: Arc<dyn Clock>,
}

impl InlineExecutor {
    /// An executor of these functions that times steps by `clock`.
    #[must_use]
    pub fn new(functions: Arc<FunctionRegistry>, clock: Arc<dyn Clock>) -> Self {
        Self { functions, clock }
    }
}

impl fmt::Display for InlineExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inline")
    }
}

#[async_trait]
impl Executor for InlineExecutor {
    fn supports(&self, function: &FunctionId) -> bool {
        self.functions.get(function).is_some()
    }

    fn operands(&self) -> Operands {
        Operands::Held
    }

    fn width(&self) -> usize {
        1
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let nesting = Nesting::of_request();
        let run = || super::run(&self.functions, &*self.clock, &step, &nesting);
        let elsewhere = step.perturb.and_then(|how| perturb::run(how, run));
        elsewhere.unwrap_or_else(run)
    }
}
