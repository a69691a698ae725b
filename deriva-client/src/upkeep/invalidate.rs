//! Forgetting outputs.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use deriva_api::{CAddr, FunctionId, Invalidated, Result};
use deriva_proto::v1;
use deriva_proto::v1::invalidate_request::What as Wire;

use super::{What, bytes_of};
use crate::answers::{checked, was};
use crate::client::Client;
use crate::link::call;

impl Client {
    /// Requests that the output of a recipe be forgotten: `.await` it, after setting options. The recipe stays, and is computed again when
    /// it is asked for. Of a blob nothing is forgotten but, with [`Invalidate::cascade`], the outputs that were made from it.
    ///
    /// The request fails with `NotFound` where nothing is known of the address, and with what the server says.
    pub fn invalidate(&self, addr: CAddr) -> Invalidate {
        Invalidate::new(self, What::Addr(addr))
    }

    /// Requests that all outputs of a function be forgotten, as [`Client::invalidate`] does for one.
    pub fn invalidate_function(&self, id: &FunctionId) -> Invalidate {
        Invalidate::new(self, What::Function(id.clone()))
    }
}

/// A request to forget outputs. `.await` it; dropping it leaves what was forgotten so far, and the same request does the rest. Where an attempt
/// took effect although its answer was lost, the numbers are those of the last, and so can be too low.
#[derive(Debug)]
#[must_use = "a request does nothing until it is awaited"]
pub struct Invalidate {
    client: Client,
    what: What,
    cascade: bool,
    dry_run: bool,
}

impl Invalidate {
    fn new(client: &Client, what: What) -> Self {
        Self {
            client: client.clone(),
            what,
            cascade: false,
            dry_run: false,
        }
    }

    /// Forgets the outputs of all descendants, too. Default: they keep theirs.
    pub fn cascade(mut self) -> Self {
        self.cascade = true;
        self
    }

    /// Only tells what would be forgotten. Default: forgets it.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

impl IntoFuture for Invalidate {
    type Output = Result<Invalidated>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = v1::InvalidateRequest {
                what: Some(match &self.what {
                    What::Addr(addr) => Wire::Addr(bytes_of(*addr)),
                    What::Function(id) => Wire::Function(id.into()),
                }),
                cascade: self.cascade,
                dry_run: self.dry_run,
            };
            let link = self.client.link();
            let answer = call!(link.long(request) -> admin.invalidate).await?;
            checked("invalidate", || {
                let done = answer
                    .done
                    .ok_or_else(|| was("what was forgotten", "nothing"))?;
                Ok(done.into())
            })
        })
    }
}
