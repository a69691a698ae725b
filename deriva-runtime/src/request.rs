//! Requests: what to materialize, and how.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{CAddr, Error, ErrorKind, Result};
use tokio_util::task::AbortOnDropHandle;

use crate::event::{Event, Materialized, Reuse, Summary};
use crate::inner::Inner;
use crate::plan::plan;
use crate::run::{End, Run};
use crate::survey::Distrusted;

/// Which results a request writes to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreResults {
    /// Every output, before the request is acknowledged.
    #[default]
    All,
    /// None: results live in memory only.
    None,
}

/// When to look whether the work was done already under another recipe that resolves to the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cutoff {
    /// For heavy functions, and light ones on large inputs: where it costs less than it can save.
    #[default]
    Auto,
    /// For every recipe.
    Always,
    /// For none.
    Never,
}

/// New plans that lost blobs may force in one request, before the disk is taken for broken.
const MAX_LOST_ROUNDS: usize = 16;

type Progress = Arc<dyn Fn(&Event) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) keep_going: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) jobs: usize,
    pub(crate) store_results: StoreResults,
    pub(crate) cutoff: Cutoff,
    pub(crate) progress: Option<Progress>,
}

/// A request for the bytes of one or more addresses. `.await` it; dropping it cancels what nobody
/// else waits for, and what was computed so far stays recorded.
#[must_use = "a request does nothing until it is awaited"]
pub struct Materialize {
    inner: Arc<Inner>,
    targets: Vec<CAddr>,
    options: Options,
}

impl Materialize {
    pub(crate) fn new(inner: Arc<Inner>, targets: Vec<CAddr>) -> Self {
        let options = Options {
            keep_going: false,
            deadline: None,
            jobs: inner.jobs,
            store_results: StoreResults::default(),
            cutoff: Cutoff::default(),
            progress: None,
        };
        Self {
            inner,
            targets,
            options,
        }
    }

    /// Finishes what does not depend on a failure. Default: the first failure ends the request.
    pub fn keep_going(mut self) -> Self {
        self.options.keep_going = true;
        self
    }

    /// Gives up after this time with [`ErrorKind::Timeout`]. Default: none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Heavy steps in flight at once, at least 1. Default: the builder's `jobs`.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.options.jobs = jobs.max(1);
        self
    }

    /// Which results are written to the store. Default: all.
    pub fn store_results(mut self, store_results: StoreResults) -> Self {
        self.options.store_results = store_results;
        self
    }

    /// When to look for the same work under another name. Default: [`Cutoff::Auto`].
    pub fn cutoff(mut self, cutoff: Cutoff) -> Self {
        self.options.cutoff = cutoff;
        self
    }

    /// Calls `handler` for everything that happens. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.options.progress = Some(Arc::new(handler));
        self
    }
}

impl std::fmt::Debug for Materialize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Materialize")
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Materialize {
    type Output = Result<Materialized>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                inner,
                targets,
                options,
            } = self;
            let tokio = inner.tokio.clone();
            // A task of its own, so that who asks and then forgets to poll holds up nobody else.
            let task = AbortOnDropHandle::new(tokio.spawn(perform(inner, targets, options)));
            task.await.unwrap_or_else(|source| {
                let kind = if source.is_cancelled() {
                    ErrorKind::Cancelled
                } else {
                    ErrorKind::Internal
                };
                Err(Error::new(kind, "the request's task ended early").caused_by(source))
            })
        })
    }
}

async fn perform(inner: Arc<Inner>, targets: Vec<CAddr>, options: Options) -> Result<Materialized> {
    let Some(deadline) = options.deadline else {
        return rounds(inner, targets, options).await;
    };
    tokio::time::timeout(deadline, rounds(inner, targets, options))
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                "the request was not done by its deadline",
            )
            .with("deadline", format!("{deadline:?}"))
            .hint("what was computed is kept: the same request continues from there"))
        })
}

/// Plans and runs until everything is there: once, unless a blob is lost or another request gives up.
async fn rounds(inner: Arc<Inner>, targets: Vec<CAddr>, options: Options) -> Result<Materialized> {
    let began = inner.clock.now();
    let lease = Arc::new(inner.lease(targets.clone()).await);
    let mut summary = Summary::default();
    let mut distrusted = Distrusted::default();
    let mut lost_rounds = 0;
    let mut first_round = true;
    loop {
        let (plan, claims) = plan(&inner, &targets, &distrusted).await?;
        let reused = plan.reused.len() as u64;
        let first = std::mem::take(&mut first_round);
        if let Some(progress) = &options.progress {
            progress(&Event::Planned {
                compute: plan.computes,
                reused,
            });
            // A later plan finds what an earlier one computed: that is no reuse.
            for (addr, output) in plan.reused.iter().filter(|_| first) {
                progress(&Event::Reused {
                    addr: *addr,
                    output: *output,
                    how: Reuse::Recorded,
                });
            }
        }
        let mut run = Run::new(
            Arc::clone(&inner),
            options.clone(),
            plan,
            distrusted,
            Arc::clone(&lease),
        );
        // The run lands what it does not finish.
        drop(claims.disarm());
        let end = run.drive().await;
        add(&mut summary, run.summary);
        summary.reused += if first { reused } else { 0 };
        let lost = std::mem::take(&mut run.distrusted);
        match end? {
            End::Finished(results) => {
                summary.seconds = inner.clock.now().saturating_sub(began).as_secs_f64();
                let (results, held) = results.into_iter().unzip();
                return Ok(Materialized {
                    results,
                    summary,
                    held,
                });
            }
            End::Replan => {
                lost_rounds += usize::from(!lost.is_empty());
                if lost_rounds > MAX_LOST_ROUNDS {
                    return Err(Error::new(
                        ErrorKind::Corrupt,
                        "blobs are lost as fast as they are computed",
                    )
                    .hint("check the disk that the blob store lies on"));
                }
                distrusted = lost;
            }
        }
    }
}

fn add(total: &mut Summary, run: Summary) {
    total.planned = total.planned.max(run.planned);
    total.computed += run.computed;
    total.reused += run.reused;
    total.cutoff += run.cutoff;
    total.healed += run.healed;
    total.joined += run.joined;
    // A new plan meets the failures of the one before again.
    total.failed = run.failed;
    total.skipped = run.skipped;
    total.bytes += run.bytes;
}
