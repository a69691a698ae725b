//! What happens to stores in a round: retries, a time limit, copies.

use deriva::prelude::*;
use deriva_testkit::Operation;

use crate::workload::Workload;

impl Workload {
    /// A store that is away for a moment, one that stays away, and one that does not answer.
    pub(crate) async fn away(&self, round: u64) -> Result<()> {
        let blob = Blob::new(format!("read in round {round}"));
        self.deriva.blobs().put(std::slice::from_ref(&blob)).await?;
        let read = || self.deriva.blobs().get(blob.addr());
        let away = ErrorKind::Unavailable;
        self.faults.fail_nth(Operation::BlobGet, 1, away);
        let found = self.retries.skip_through(read()).await?;
        assert_eq!(found.as_ref(), Some(&blob));
        self.faults.fail_all(Operation::BlobGet, away);
        let spent = self.retries.skip_through(read()).await;
        self.faults.clear();
        assert_eq!(spent.map_err(|error| error.kind()), Err(away));
        self.faults.hang(Operation::BlobGet);
        let late = self.timeouts.skip_through(read()).await;
        self.faults.clear();
        let late = late.map_err(|error| error.kind());
        assert_eq!(late, Err(ErrorKind::Timeout));
        Ok(())
    }
}
