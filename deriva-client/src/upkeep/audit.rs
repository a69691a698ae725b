//! Recorded outputs, compared with what their recipes give now.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{AuditEvent, Audited, CAddr, FunctionId, Result};
use deriva_proto::v1::audit_request::What;
use deriva_proto::v1::audit_response::Said;
use deriva_proto::{bytes_of, v1};

use crate::answers::told;
use crate::client::Client;

impl Client {
    /// Requests that recorded outputs be compared with what their recipes give now, on the server: `.await` it, after setting options. What is
    /// contradicted is entered into the ledger, and forgotten with all that was made from it.
    ///
    /// The request fails with `NotFound` and `Invalid` for an address that is not known, and for one that is no recipe, and with what the
    /// server says. An error tells by the context `cursor` where to continue.
    pub fn audit(&self) -> Audit {
        let request = v1::AuditRequest {
            what: Some(What::All(v1::Null {})),
            ..Default::default()
        };
        Audit {
            client: self.clone(),
            request,
            progress: None,
        }
    }
}

type Progress = Arc<dyn Fn(&AuditEvent) + Send + Sync>;

/// A request to compare what is recorded. `.await` it; dropping it is safe, and a cursor continues it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Audit {
    client: Client,
    request: v1::AuditRequest,
    progress: Option<Progress>,
}

impl Audit {
    /// The outputs of this function alone, instead of all.
    pub fn function(mut self, function: &FunctionId) -> Self {
        self.request.what = Some(What::Function(function.into()));
        self
    }

    /// The output of this recipe, and of all that it needs, instead of all.
    pub fn addr(mut self, addr: CAddr) -> Self {
        self.request.what = Some(What::Addr(bytes_of(addr)));
        self
    }

    /// The output of what a root names, and of all that it needs, instead of all.
    pub fn root(mut self, name: &str) -> Self {
        self.request.what = Some(What::Root(name.to_owned()));
        self
    }

    /// Computations that begin in a second, on the average over a batch: more than 0, else the request is `Invalid`. Default: as many as
    /// there can be.
    pub fn per_second(mut self, computations: f64) -> Self {
        self.request.per_second = Some(computations);
        self
    }

    /// Computations at once, 1 to the server's limit. Default: 1.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.request.jobs = Some(jobs as u64);
        self
    }

    /// Continues after a cursor of an earlier audit of the same. Default: from the beginning.
    pub fn after(mut self, cursor: CAddr) -> Self {
        self.request.after = Some(bytes_of(cursor));
        self
    }

    /// Stops after the batch with which N outputs were computed: with 0, after the first. Default: at the end.
    pub fn limit(mut self, computations: u64) -> Self {
        self.request.limit = Some(computations);
        self
    }

    /// Stops after the batch with which this time is over. Default: at the end.
    pub fn limit_time(mut self, time: Duration) -> Self {
        self.request.limit_time = Some(time.into());
        self
    }

    /// Only tells what differs: nothing is entered into the ledger, and nothing forgotten. Default: both are done.
    pub fn dry_run(mut self) -> Self {
        self.request.dry_run = true;
        self
    }

    /// Calls `handler` for everything that happens; it should be quick. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&AuditEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("client", &self.client)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Audit {
    type Output = Result<Audited>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut cursor = None;
            let open = || {
                let mut service = self.client.link().admin();
                let request = self.request.clone();
                async move { service.audit(request).await }
            };
            let heard = |message: v1::AuditResponse| match message.said {
                Some(Said::Done(done)) => told(Audited::try_from(done)).map(Some),
                Some(Said::Event(event)) => {
                    if let Ok(event) = AuditEvent::try_from(event) {
                        if let AuditEvent::Progress { cursor: at, .. } = &event {
                            cursor = Some(*at);
                        }
                        if let Some(progress) = &self.progress {
                            progress(&event);
                        }
                    }
                    Ok(None)
                }
                None => Ok(None),
            };
            let audited = self.client.follow("audit", open, heard).await;
            audited.map_err(|error| match cursor {
                Some(cursor) => error.with("cursor", cursor),
                None => error,
            })
        })
    }
}
