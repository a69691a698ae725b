//! How much is stored there, and what is under way.

use deriva_api::{Result, Snapshot, Status, Suspect};
use deriva_proto::v1;

use crate::answers::{checked, told};
use crate::client::Client;
use crate::link::call;

impl Client {
    /// Counts what the server stores.
    ///
    /// # Errors
    /// What the server says.
    pub async fn status(&self) -> Result<Status> {
        Ok(self.both().await?.0)
    }

    /// What the server has under way and holds.
    ///
    /// # Errors
    /// What the server says.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.both().await?.1)
    }

    async fn both(&self) -> Result<(Status, Snapshot)> {
        let link = self.link();
        let answer = call!(link.short(v1::StatusRequest {}) -> admin.status).await?;
        checked("status", || told(answer.try_into()))
    }

    /// The functions that have entries in the ledger which were not released, by name.
    ///
    /// # Errors
    /// What the server says.
    pub async fn suspects(&self) -> Result<Vec<Suspect>> {
        let link = self.link();
        let answer = call!(link.short(v1::QuarantineRequest {}) -> admin.quarantine).await?;
        checked("suspects", || {
            let read = answer.suspects.into_iter();
            read.map(|suspect| told(Suspect::try_from(suspect)))
                .collect()
        })
    }
}
