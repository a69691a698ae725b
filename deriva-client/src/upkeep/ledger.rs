//! What is known of computations whose runs differ.

use deriva_api::{CAddr, FunctionId, LedgerEntry, Result};
use deriva_proto::v1;
use deriva_proto::v1::release_request::What as Wire;

use super::{What, bytes_of};
use crate::answers::{checked, told};
use crate::client::Client;
use crate::failure::{Attempts, Failure};
use crate::link::call;

impl Client {
    /// What is known of recipes whose runs gave different outputs, released entries too. A damaged entry is one of them, and says so.
    ///
    /// # Errors
    /// What the server says.
    pub async fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        let mut attempts = Attempts::new(self.link(), "ledger");
        loop {
            match self.entries().await {
                Ok(entries) => return Ok(entries),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    async fn entries(&self) -> Result<Vec<LedgerEntry>, Failure> {
        let link = self.link();
        let mut service = link.admin();
        let request = v1::LedgerRequest { recipe: None };
        let mut stream = link.in_time(service.ledger(request)).await?.into_inner();
        let mut entries = Vec::new();
        while let Some(page) = link.in_time(stream.message()).await? {
            for entry in page.entries {
                entries.push(told(LedgerEntry::try_from(entry))?);
            }
        }
        Ok(entries)
    }

    /// Lets a recipe be computed and served again whose runs gave different outputs. Its entry stays in the ledger, as released.
    ///
    /// # Errors
    /// `NotFound` where the ledger has no entry of this recipe that was not released, and what the server says. Where the connection broke and
    /// the call was made again, that may be because the first attempt released it.
    pub async fn release(&self, recipe: CAddr) -> Result<()> {
        self.released(What::Addr(recipe)).await.map(drop)
    }

    /// Releases all entries of a function, as [`Client::release`] does one; answers with their number.
    ///
    /// # Errors
    /// What the server says.
    pub async fn release_function(&self, function: &FunctionId) -> Result<u64> {
        self.released(What::Function(function.clone())).await
    }

    async fn released(&self, what: What) -> Result<u64> {
        let request = v1::ReleaseRequest {
            what: Some(match &what {
                What::Addr(recipe) => Wire::Recipe(bytes_of(*recipe)),
                What::Function(function) => Wire::Function(function.into()),
            }),
        };
        let link = self.link();
        let answer = call!(link.long(request) -> admin.release).await?;
        checked("release", || Ok(answer.released))
    }
}
