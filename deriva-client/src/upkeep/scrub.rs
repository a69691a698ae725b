//! Reading and healing everything.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Result, ScrubCursor, ScrubEvent, Scrubbed};
use deriva_proto::v1;
use deriva_proto::v1::scrub_response::Said;

use crate::answers::told;
use crate::client::Client;

impl Client {
    /// Requests that everything stored there be read and verified: `.await` it, after setting options. What is damaged or lost is computed
    /// again where a recipe can make it; the rest is reported.
    ///
    /// The request fails with `Unsupported` where a store cannot list, and with what the server says, but not for damage. An error tells by the
    /// context `cursor` where to continue.
    pub fn scrub(&self) -> Scrub {
        Scrub {
            client: self.clone(),
            request: v1::ScrubRequest::default(),
            progress: None,
        }
    }
}

type Progress = Arc<dyn Fn(&ScrubEvent) + Send + Sync>;

/// A request to verify what is stored. `.await` it; dropping it is safe, and a cursor continues it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Scrub {
    client: Client,
    request: v1::ScrubRequest,
    progress: Option<Progress>,
}

impl Scrub {
    /// Bytes to read in a second on the average: 1 or more, else the request is `Invalid`. Default: 64 MiB.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.request.bytes_per_second = Some(bytes);
        self
    }

    /// Continues after a cursor of an earlier scrub. Default: from the beginning.
    pub fn after(mut self, cursor: ScrubCursor) -> Self {
        self.request.after = Some(cursor.to_string());
        self
    }

    /// Stops after the batch with which N bytes have been read: with 0, after the first. Default: at the end.
    pub fn limit_bytes(mut self, bytes: u64) -> Self {
        self.request.limit_bytes = Some(bytes);
        self
    }

    /// Stops after the batch with which this time is over: with zero, after the first. Default: at the end.
    pub fn limit_time(mut self, time: Duration) -> Self {
        self.request.limit_time = Some(time.into());
        self
    }

    /// Calls `handler` for everything that happens; it should be quick. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&ScrubEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub")
            .field("client", &self.client)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Scrub {
    type Output = Result<Scrubbed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut cursor = None;
            let open = || {
                let mut service = self.client.link().admin();
                let request = self.request.clone();
                async move { service.scrub(request).await }
            };
            let heard = |message: v1::ScrubResponse| match message.said {
                Some(Said::Done(done)) => told(Scrubbed::try_from(done)).map(Some),
                Some(Said::Event(event)) => {
                    if let Ok(event) = ScrubEvent::try_from(event) {
                        if let ScrubEvent::Progress { cursor: at, .. } = &event {
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
            let scrubbed = self.client.follow("scrub", open, heard).await;
            scrubbed.map_err(|error| match cursor {
                Some(cursor) => error.with("cursor", cursor),
                None => error,
            })
        })
    }
}
