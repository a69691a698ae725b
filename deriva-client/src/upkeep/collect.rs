//! Taking away what nothing needs.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{CollectEvent, CollectPolicy, Collected, Result};
use deriva_proto::v1;
use deriva_proto::v1::collect_response::Said;

use crate::client::Client;

impl Client {
    /// Requests that what no root and no lease needs be taken away: `.await` it, after setting options.
    ///
    /// The request fails with `Unsupported` where a store of the server cannot list, cannot be written to, or is shared, and with what the
    /// server says. What was taken until then stays taken.
    pub fn collect(&self) -> Collect {
        Collect {
            client: self.clone(),
            request: v1::CollectRequest::default(),
            progress: None,
        }
    }
}

type Progress = Arc<dyn Fn(&CollectEvent) + Send + Sync>;

/// A collection that is asked for. `.await` it; dropping it ends it after the batch that is under way, and the next one goes on from
/// there. So does it where the connection breaks: ask again.
#[must_use = "a collection does nothing until it is awaited"]
pub struct Collect {
    client: Client,
    request: v1::CollectRequest,
    progress: Option<Progress>,
}

impl Collect {
    /// What else is taken. Default: what nothing needs, and of the blobs only those that a recipe can make again.
    pub fn policy(mut self, policy: CollectPolicy) -> Self {
        let dry_run = self.request.dry_run;
        self.request = policy.into();
        self.request.dry_run = dry_run;
        self
    }

    /// Takes nothing, and tells what would be taken.
    pub fn dry_run(mut self) -> Self {
        self.request.dry_run = true;
        self
    }

    /// Calls `handler` for everything that happens. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&CollectEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("client", &self.client)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Collect {
    type Output = Result<Collected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let open = || {
                let mut service = self.client.link().admin();
                let request = self.request;
                async move { service.collect(request).await }
            };
            let heard = |message: v1::CollectResponse| match message.said {
                Some(Said::Done(done)) => Ok(Some(done.into())),
                Some(Said::Event(event)) => {
                    if let (Some(progress), Ok(event)) = (&self.progress, event.try_into()) {
                        progress(&event);
                    }
                    Ok(None)
                }
                None => Ok(None),
            };
            self.client.follow("collect", open, heard).await
        })
    }
}
