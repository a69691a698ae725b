//! Questions that compute nothing: what a request would do, what differs, why, and the graph below an address.

pub(crate) mod graph;

use deriva_api::diff::Diff;
use deriva_api::{CAddr, Explanation, Result, Why};
use deriva_proto::parts::{DiffParts, ExplanationParts};
use deriva_proto::{bytes_of, bytes_of_all, v1};

use crate::answers::{checked, told};
use crate::client::Client;
use crate::failure::{Attempts, Failure};
use crate::link::call;

/// Nodes, inputs and addresses of an explanation that are taken at the most.
const MOST: u64 = 50_000_000;

impl Client {
    /// Differences that [`Client::diff`] answers with at the most.
    pub const DIFFERENCES: usize = 1000;

    /// Tells what a request for the address would find and do there, without doing it.
    ///
    /// # Errors
    /// What the server says. Missing inputs are no error here but part of the answer.
    pub async fn explain(&self, addr: CAddr) -> Result<Explanation> {
        self.explain_many(&[addr]).await
    }

    /// Tells what a request for several addresses would find and do there.
    ///
    /// # Errors
    /// What the server says.
    pub async fn explain_many(&self, addrs: &[CAddr]) -> Result<Explanation> {
        let mut attempts = Attempts::new(self.link(), "explain");
        loop {
            match self.explained(addrs).await {
                Ok(explanation) => return Ok(explanation),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    async fn explained(&self, addrs: &[CAddr]) -> Result<Explanation, Failure> {
        let link = self.link();
        let request = v1::ExplainRequest {
            addrs: bytes_of_all(addrs),
            limit: None,
        };
        let mut service = link.materialize();
        // What comes first takes as long as the graph needs.
        let opened = service.explain(request).await;
        let mut stream = opened
            .map_err(|status| Failure::of(status, link))?
            .into_inner();
        let mut parts = ExplanationParts::at_most(MOST);
        while let Some(message) = next(&mut stream, self).await? {
            told(parts.add(message))?;
        }
        Ok(told(parts.finish())?)
    }

    /// What differs between the graphs of two addresses there; up to [`Client::DIFFERENCES`] of it.
    ///
    /// # Errors
    /// What the server says. An address that is no recipe is taken for a blob, stored or not.
    pub async fn diff(&self, before: CAddr, after: CAddr) -> Result<Diff> {
        self.diff_up_to(before, after, Self::DIFFERENCES).await
    }

    /// What differs between the graphs of two addresses there: the first `limit` differences, as far as the server tells as many at once.
    ///
    /// # Errors
    /// As [`Client::diff`].
    pub async fn diff_up_to(&self, before: CAddr, after: CAddr, limit: usize) -> Result<Diff> {
        let mut attempts = Attempts::new(self.link(), "diff");
        loop {
            match self.compared(before, after, limit as u64).await {
                Ok(diff) => return Ok(diff),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    async fn compared(&self, before: CAddr, after: CAddr, limit: u64) -> Result<Diff, Failure> {
        let link = self.link();
        let request = v1::DiffRequest {
            before: bytes_of(before),
            after: bytes_of(after),
            limit: Some(limit),
        };
        let mut service = link.materialize();
        let opened = service.diff(request).await;
        let mut stream = opened
            .map_err(|status| Failure::of(status, link))?
            .into_inner();
        let mut parts = DiffParts::at_most(limit);
        while let Some(message) = next(&mut stream, self).await? {
            told(parts.add(message))?;
        }
        Ok(told(parts.finish())?)
    }

    /// Why a request would compute the address there, or would not; and what differs from `previous`, where one is given: an earlier
    /// recipe for the same purpose, whose output was there.
    ///
    /// # Errors
    /// What the server says.
    pub async fn why(&self, addr: CAddr, previous: Option<CAddr>) -> Result<Why> {
        let link = self.link();
        let request = v1::WhyRequest {
            addr: bytes_of(addr),
        };
        let answer = call!(link.short(request) -> materialize.why).await?;
        let diff = match previous {
            Some(previous) => Some(self.diff(previous, addr).await?),
            None => None,
        };
        checked("why", || told(answer.of(addr, diff)))
    }
}

/// The next message of a stream that may take its time.
async fn next<M>(stream: &mut tonic::Streaming<M>, client: &Client) -> Result<Option<M>, Failure> {
    let message = stream.message().await;
    message.map_err(|status| Failure::of(status, client.link()))
}
