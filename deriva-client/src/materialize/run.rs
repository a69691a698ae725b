//! A request, its attempts, and what it tells.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Event, Materialized, Observer, Request, Result};
use deriva_proto::v1;
use deriva_proto::v1::run_response::Said;

use crate::client::Client;
use crate::failure::{Attempts, Failure};
use crate::link::{GRACE, request as limited};
use crate::materialize::answers::Answers;

impl Client {
    /// Makes a request, again where a failure is transient.
    pub(crate) async fn run(&self, request: &Request, with_bytes: bool) -> Result<Materialized> {
        let clock = &self.link().clock;
        let began = clock.now();
        let observers = request.observers.iter();
        let observers: Vec<_> = observers.filter(|it| it.wants_events()).cloned().collect();
        let mut message = v1::RunRequest::from(request);
        message.wanted = Some(v1::Wanted {
            events: !observers.is_empty(),
            progress: !observers.is_empty(),
            bytes: with_bytes,
            unstored: !with_bytes,
        });
        let mut attempts = Attempts::new(self.link(), "materialize");
        let mut left = request.deadline;
        loop {
            message.deadline = left.map(Into::into);
            let attempt = self.attempt(message.clone(), left, &observers);
            let ended = match left {
                // A little more, so that the server's own answer comes first.
                Some(left) => {
                    self.link()
                        .within(left.saturating_add(GRACE), attempt)
                        .await
                }
                None => Some(attempt.await),
            };
            match ended {
                Some(Ok(done)) => return Ok(done),
                // The library may find out first.
                Some(Err(failure)) if left.is_some() && failure.is_late() => {
                    return Err(late(request));
                }
                Some(Err(failure)) => attempts.again(failure).await?,
                None => return Err(late(request)),
            }
            if let Some(deadline) = request.deadline {
                let rest = deadline.saturating_sub(clock.now().saturating_sub(began));
                if rest.is_zero() {
                    return Err(late(request));
                }
                left = Some(rest);
            }
        }
    }

    async fn attempt(
        &self,
        message: v1::RunRequest,
        left: Option<Duration>,
        observers: &[Arc<dyn Observer>],
    ) -> Result<Materialized, Failure> {
        let link = self.link();
        let failed = |status| Failure::of(status, link);
        let mut answers = Answers::new(&message);
        let opened = link.materialize().run(limited(message, left)).await;
        let mut stream = opened.map_err(failed)?.into_inner();
        while let Some(message) = stream.message().await.map_err(failed)? {
            match message.said {
                Some(Said::Event(event)) => tell(observers, event)?,
                Some(Said::Result(part)) => answers.result(part)?,
                Some(Said::Bytes(frame)) => answers.bytes(frame)?,
                // Of a later version.
                None => {}
            }
        }
        Ok(answers.done()?)
    }
}

/// Tells an event that is known here.
fn tell(observers: &[Arc<dyn Observer>], event: v1::RunEvent) -> Result<()> {
    if observers.is_empty() {
        return Ok(());
    }
    let Ok(event) = Event::try_from(event) else {
        return Ok(());
    };
    let told = catch_unwind(AssertUnwindSafe(|| {
        observers.iter().for_each(|observer| observer.event(&event));
    }));
    told.map_err(|panic| {
        // Its own end might panic as well.
        std::mem::forget(panic);
        Error::new(ErrorKind::Internal, "an observer of the request panicked")
    })
}

fn late(request: &Request) -> Error {
    let what = "the request was not done before its deadline";
    let mut error = Error::new(ErrorKind::Timeout, what).during("materialize");
    if let Some(deadline) = request.deadline {
        error = error.with("deadline", humantime::format_duration(deadline));
    }
    if let Some(id) = &request.request_id {
        error = error.with("request", id);
    }
    error.hint("allow more time: what was computed until then stays recorded")
}
