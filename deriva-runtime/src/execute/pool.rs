//! The executor that applications use: a pool of threads for computation.

use std::fmt;
use std::sync::Arc;

use deriva_api::{
    Clock, Error, ErrorKind, Executed, Executor, FunctionId, FunctionRegistry, Operands, Result,
    Step, async_trait,
};
use tokio::sync::oneshot;
use tracing::Span;

use crate::shared::invoke::{guarded, let_go};
use crate::shared::nesting::Nesting;
use crate::shared::perturb;
use crate::shared::settings::{MAX_JOBS, in_range};

/// Runs steps on its own pool of threads, so that computation never holds up the async workers.
#[derive(Debug)]
pub struct PoolExecutor {
    functions: Arc<FunctionRegistry>,
    clock: Arc<dyn Clock>,
    pool: rayon_core::ThreadPool,
}

impl PoolExecutor {
    /// The most threads of a pool, and the most jobs of a request.
    pub const MAX_THREADS: usize = MAX_JOBS;

    /// A pool of `threads` threads, at most [`PoolExecutor::MAX_THREADS`]; 0 means as many as there are cores.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more threads, [`ErrorKind::Unavailable`] when the system does not give them.
    pub fn new(
        functions: Arc<FunctionRegistry>,
        clock: Arc<dyn Clock>,
        threads: usize,
    ) -> Result<Self> {
        in_range("threads", threads, 0..=Self::MAX_THREADS)?;
        let pool = rayon_core::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("deriva-compute-{i}"))
            // Without one, a panic that nobody foresaw would end the process.
            .panic_handler(let_go)
            .build()
            .map_err(|source| {
                Error::new(ErrorKind::Unavailable, "the compute pool could not start")
                    .caused_by(source)
                    .hint("ask for fewer jobs, or allow more processes (`ulimit -u`) or more address space")
            })?;
        Ok(Self {
            functions,
            clock,
            pool,
        })
    }
}

impl fmt::Display for PoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool({})", self.width())
    }
}

#[async_trait]
impl Executor for PoolExecutor {
    fn supports(&self, function: &FunctionId) -> bool {
        self.functions.get(function).is_some()
    }

    fn operands(&self) -> Operands {
        Operands::Held
    }

    fn width(&self) -> usize {
        self.pool.current_num_threads()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let (sender, receiver) = oneshot::channel();
        let (functions, clock) = (Arc::clone(&self.functions), Arc::clone(&self.clock));
        let (nesting, deadline) = (Nesting::of_request(), step.deadline);
        let (is_nested, perturb) = (nesting.is_nested(), step.perturb);
        let span = Span::current();
        let work = move || {
            // Who gave the step up before it began needs no answer, and so no work.
            let wanted = !sender.is_closed();
            // Takes all that it holds with it: the end of that is foreign code, too.
            let run = move || wanted.then(|| super::run(&functions, &*clock, &step, &nesting));
            let message = "letting go of a step panicked";
            let ran = span.in_scope(|| guarded(ErrorKind::Function, message, run));
            // It ends before anybody is told.
            drop(span);
            if let Some(executed) = ran.transpose() {
                let_go(sender.send(executed.and_then(|executed| executed)));
            }
        };
        let no_thread = |source| {
            let what = "a step of its own got no thread";
            Error::new(ErrorKind::Unavailable, what).caused_by(source)
        };
        if let Some(perturb) = perturb {
            perturb::spawn(perturb, work).map_err(no_thread)?;
        } else if is_nested {
            // The pool's threads may all wait for what is nested in them.
            std::thread::Builder::new()
                .name("deriva-nested".to_owned())
                .spawn(work)
                .map_err(no_thread)?;
        } else {
            self.pool.spawn(work);
        }
        let late = async {
            match deadline {
                Some(deadline) => self.clock.sleep(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = receiver => done.unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Cancelled,
                    "the compute pool was shut down",
                ))
            }),
            () = late => Err(super::late()),
        }
    }
}
