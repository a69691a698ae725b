//! Reading what is stored already, for who may not ask the server to compute.

use deriva_api::{Blob, Bytes, CAddr, DagStore, Error, ErrorKind, NodeState, Result};

use crate::blobs::get::removed;
use crate::client::Client;
use crate::failure::is_forbidden;

impl Client {
    /// The bytes of an address, as a call that was refused would have answered, where nothing has to be computed for them.
    ///
    /// # Errors
    /// The error of that call, unless it was refused for want of a role; else as [`Client::stored_under`].
    pub(crate) async fn get_stored(&self, addr: CAddr, failed: Error) -> Result<Bytes> {
        let blob = self.stored_under(addr, failed).await?;
        let found = self.whole("get", blob).await?;
        let found = found.ok_or_else(|| removed(blob).during("get"))?;
        Ok(Blob::into_bytes(found))
    }

    /// The blob that a request for an address would find, where it computes nothing. What the ledger refuses is refused here, too.
    ///
    /// # Errors
    /// The error of the call that `failed`, unless it was refused for want of a role; `NotFound` where nothing is stored under the address,
    /// and `Invalid` where it has to be computed.
    pub(crate) async fn stored_under(&self, addr: CAddr, failed: Error) -> Result<CAddr> {
        if !is_forbidden(&failed, self.link()) {
            return Err(failed);
        }
        // First what is there, then whether it may be read: what is condemned in between is not.
        let outputs = DagStore::outputs(self, &[addr]).await?;
        let output = outputs.into_iter().next().flatten();
        match self.states(&[addr]).await?.first() {
            Some(NodeState::Leaf) => Ok(addr),
            // Else it was computed only now.
            Some(NodeState::Present) => output
                .map(|output| output.addr)
                .ok_or_else(|| unreadable(addr, failed)),
            Some(NodeState::Missing) => {
                let what = "neither a blob nor a recipe is stored under this address";
                Err(Error::new(ErrorKind::NotFound, what).with("addr", addr))
            }
            Some(NodeState::Condemned) => {
                let what = "its runs gave different outputs, or its function is in quarantine";
                Err(Error::new(ErrorKind::Nondeterministic, what)
                    .with("addr", addr)
                    .hint("`deriva ledger ls` tells what was seen"))
            }
            _ => Err(unreadable(addr, failed)),
        }
    }
}

/// What has to be computed for who may only read.
fn unreadable(addr: CAddr, failed: Error) -> Error {
    let what = "this has to be computed, and who asks may only read what is stored";
    Error::new(ErrorKind::Invalid, what)
        .with("addr", addr)
        .caused_by(failed)
        .hint("use a token of the role `write`, or let somebody compute it who has one")
}
