//! Upkeep of the server, a file for each call.

pub(crate) mod audit;
pub(crate) mod collect;
pub(crate) mod invalidate;
mod ledger;
pub(crate) mod scrub;

use std::future::Future;

use deriva_api::{CAddr, FunctionId, Result};
use deriva_proto::bytes_of;
use tonic::{Response, Status, Streaming};

use crate::answers::was;
use crate::client::Client;
use crate::failure::{Attempts, Failure};

/// What is reached: an address, or all recipes of a function.
#[derive(Clone, Debug)]
enum What {
    Addr(CAddr),
    Function(FunctionId),
}

impl Client {
    /// Follows a call that tells how far it is, to what it says last. `heard` reads a message, and answers with the last.
    ///
    /// The call is made again as long as nothing came of it. Later nobody but the caller can tell whether it is to be done once more.
    async fn follow<M, T, F>(
        &self,
        operation: &'static str,
        open: impl Fn() -> F + Send + Sync,
        mut heard: impl FnMut(M) -> Result<Option<T>> + Send,
    ) -> Result<T>
    where
        M: Send,
        F: Future<Output = Result<Response<Streaming<M>>, Status>> + Send,
    {
        let mut attempts = Attempts::new(self.link(), operation);
        loop {
            let mut came = false;
            let followed = async {
                let failed = |status| Failure::of(status, self.link());
                let mut stream = open().await.map_err(failed)?.into_inner();
                while let Some(message) = stream.message().await.map_err(failed)? {
                    came = true;
                    if let Some(done) = heard(message)? {
                        return Ok(done);
                    }
                }
                Err(Failure::from(was(
                    "the last word of a call",
                    "the end before",
                )))
            };
            match followed.await {
                Ok(done) => return Ok(done),
                Err(failure) if came => return Err(failure.named(operation)),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }
}
