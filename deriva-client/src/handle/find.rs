//! What lies under an address there, and which address is meant.

use deriva_api::{AddrPrefix, CAddr, NodeState, Result, Shown};
use deriva_proto::{addr_of, bytes_of, bytes_of_all, v1};

use crate::answers::{as_many, checked, same, told, was};
use crate::batches::MAX_ITEMS;
use crate::client::Client;
use crate::link::call;

impl Client {
    /// What lies under an address.
    ///
    /// # Errors
    /// `NotFound` when nothing does, and what the server says.
    pub async fn show(&self, addr: CAddr) -> Result<Shown> {
        let link = self.link();
        let request = v1::ShowRequest {
            addr: bytes_of(addr),
        };
        let answer = call!(link.short(request) -> graph.show).await?;
        checked("show", || {
            let shown: Shown = told(answer.try_into())?;
            let found = match &shown {
                Shown::Recipe(node) => node.recipe.addr(),
                Shown::Blob(stat) => stat.addr,
            };
            same(addr, found)?;
            Ok(shown)
        })
    }

    /// The one address, of recipes and blobs, that begins with these digits.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Invalid` when there are several, listing some of them.
    pub async fn find(&self, prefix: &AddrPrefix) -> Result<CAddr> {
        if let Some(addr) = prefix.complete() {
            return Ok(addr);
        }
        let link = self.link();
        let request = v1::FindRequest {
            prefix: prefix.to_string(),
        };
        let answer = call!(link.short(request) -> graph.find).await?;
        checked("find", || {
            let addr = told(addr_of("FindResponse.addr", &answer.addr))?;
            match prefix.matches(&addr) {
                true => Ok(addr),
                false => Err(was(
                    format_args!("an address that begins with {prefix}"),
                    addr,
                )),
            }
        })
    }

    /// What a request would find there of each address, in order: whether it would compute it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn states(&self, addrs: &[CAddr]) -> Result<Vec<NodeState>> {
        let link = self.link();
        let mut states = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(MAX_ITEMS) {
            let request = v1::StatesRequest {
                addrs: bytes_of_all(batch),
            };
            let answer = call!(link.short(request) -> graph.states).await?;
            states.extend(checked("states", || {
                as_many(batch.len(), answer.states.len())?;
                told(Vec::<NodeState>::try_from(answer))
            })?);
        }
        Ok(states)
    }

    /// One hash over recipes, outputs, roots and blob addresses there, independent of the order in which they were written and of
    /// the engine that keeps them.
    ///
    /// # Errors
    /// What the server says.
    pub async fn state_digest(&self) -> Result<CAddr> {
        let link = self.link();
        let answer = call!(link.long(v1::DigestRequest {}) -> admin.digest).await?;
        checked("state_digest", || {
            told(addr_of("DigestResponse.digest", &answer.digest))
        })
    }
}
