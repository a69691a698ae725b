//! A request as applications make it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BlobStat, Bytes, CAddr, Cutoff, Determinism, Error, ErrorKind, Event, Materialized, Request,
    Result, StoreResults,
};

use crate::blobs::get::removed;
use crate::client::Client;

impl Client {
    /// Requests that the bytes of an address be available there: `.await` it, after setting options.
    ///
    /// The request fails with `NotFound` or `Unsupported` before any work where blobs or functions are missing, listing all of them;
    /// with the error of a function where one fails, and the path from the requested address to it; and with what the server says.
    pub fn materialize(&self, addr: CAddr) -> Materialize {
        self.materialize_many([addr])
    }

    /// Requests several addresses at once; see [`Client::materialize`].
    pub fn materialize_many(&self, addrs: impl IntoIterator<Item = CAddr>) -> Materialize {
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        Materialize {
            client: self.clone(),
            request: Request::new(addrs),
        }
    }
}

/// A request for the bytes of one or more addresses. `.await` it; dropping it gives up what nobody else waits for, and what was
/// computed so far stays recorded.
#[derive(Debug)]
#[must_use = "a request does nothing until it is awaited"]
pub struct Materialize {
    client: Client,
    request: Request,
}

impl Materialize {
    /// Finishes what does not depend on a failure. Default: the first failure ends the request.
    pub fn keep_going(mut self) -> Self {
        self.request = self.request.keep_going();
        self
    }

    /// Gives up after this time with [`ErrorKind::Timeout`], whatever is made again until then. Default: none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.request = self.request.deadline(deadline);
        self
    }

    /// Heavy steps in flight at once: 1 to the server's limit, else `Invalid`. Default: as the server is set up.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.request = self.request.jobs(jobs);
        self
    }

    /// Who goes first where requests compete: the higher. Default: 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.request = self.request.priority(priority);
        self
    }

    /// Which results are stored there. Of others than all, the bytes come with the answer. Default: as the server is set up.
    pub fn store_results(mut self, store_results: StoreResults) -> Self {
        self.request = self.request.store_results(store_results);
        self
    }

    /// When to look for the same work under another name. Default: as the server is set up.
    pub fn cutoff(mut self, cutoff: Cutoff) -> Self {
        self.request = self.request.cutoff(cutoff);
        self
    }

    /// Which computations are checked, by running them again, and how; less than the server is set up for only where it allows that.
    /// Default: as the server is set up.
    pub fn determinism(mut self, determinism: Determinism) -> Self {
        self.request = self.request.determinism(determinism);
        self
    }

    /// The same for some recipes, which are checked as the stricter of the two says. Default: none.
    pub fn determinism_at(
        mut self,
        recipes: impl IntoIterator<Item = CAddr>,
        determinism: Determinism,
    ) -> Self {
        self.request = self.request.determinism_at(recipes, determinism);
        self
    }

    /// Whether checked runs go on under other conditions. Default: as the server is set up.
    pub fn perturb(mut self, perturb: bool) -> Self {
        self.request = self.request.perturb(perturb);
        self
    }

    /// What the caller calls the request: 1 to 128 visible characters of ASCII, else it is `Invalid`. It stands in the server's log, and in
    /// errors as the context `request`. Default: none.
    pub fn request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request = self.request.request_id(id);
        self
    }

    /// Calls `handler` for everything that happens, after those of earlier calls. Default: nobody is told, and the server sends none of it.
    pub fn progress(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.request = self.request.progress(handler);
        self
    }

    /// Makes the request, and answers with the bytes of the one address that it is for: as [`Client::get`], with the options of the request.
    ///
    /// # Errors
    /// Those of the request, and `Invalid` where it is for no address or for several.
    pub async fn bytes(self) -> Result<Bytes> {
        if self.request.targets.len() != 1 {
            let what = "a request for one address was expected";
            return Err(Error::new(ErrorKind::Invalid, what)
                .with("addresses", self.request.targets.len())
                .hint("ask for `all_bytes`"));
        }
        let all = self.all_bytes().await?;
        let none = || {
            Err(Error::new(
                ErrorKind::Internal,
                "no result came of a request",
            ))
        };
        all.into_iter().next().unwrap_or_else(none)
    }

    /// Makes the request, and answers with the bytes of each of its addresses, in order; all of them are in memory then, and each was
    /// verified. With `keep_going` a failed one is an error in its place.
    ///
    /// # Errors
    /// As [`Materialize::bytes`], for any number of addresses.
    pub async fn all_bytes(self) -> Result<Vec<Result<Bytes>>> {
        let done = self.client.run(&self.request, true).await?;
        let mut all = Vec::with_capacity(done.results.len());
        for (result, held) in done.results.into_iter().zip(done.held) {
            all.push(match (result, held) {
                (Ok(_), Some(blob)) => Ok(blob.into_bytes()),
                (Ok(stat), None) => Ok(self.client.sent_apart(stat).await?),
                (Err(error), _) => Err(error),
            });
        }
        Ok(all)
    }
}

impl Client {
    /// Bytes that did not come with a result.
    async fn sent_apart(&self, stat: BlobStat) -> Result<Bytes> {
        let blob = self.whole("get", stat.addr).await?;
        let blob = blob.ok_or_else(|| removed(stat.addr).during("get"))?;
        Ok(blob.into_bytes())
    }
}

impl IntoFuture for Materialize {
    type Output = Result<Materialized>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(
            async move { deriva_api::Materializer::materialize(&self.client, self.request).await },
        )
    }
}
