//! What takes away, alone: forgetting and collection; and what is kept from it.

use std::collections::HashSet;

use deriva_api::{BlobStat, CAddr, DagStoreExt, Error, ErrorKind, Result};
use futures::TryStreamExt;

use super::ledger::LEDGER;
use super::{Break, Small};
use crate::mutants::store::dawdle;

/// Keeps addresses until it is dropped.
pub(super) struct Lease(Small, u64);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.0.stores.leases.lock().remove(&self.1);
    }
}

impl Small {
    pub(super) async fn hold(&self, addrs: &[CAddr]) -> Lease {
        let lease = self.note(addrs);
        // What a collection is taking now is gone when this returns.
        drop(self.0.stores.gate.read().await);
        lease
    }

    /// As `hold`, for what somebody holds already.
    pub(super) fn note(&self, addrs: &[CAddr]) -> Lease {
        let number = self.number();
        self.0.stores.leases.lock().insert(number, addrs.to_vec());
        Lease(self.clone(), number)
    }

    pub(super) async fn take_output(&self, addr: CAddr) -> Result<()> {
        let _alone = self.0.stores.gate.write().await;
        let Some(node) = self.0.dag.get_one(addr).await? else {
            let unknown = Error::new(ErrorKind::NotFound, "nothing is known of the address");
            let known =
                self.stat(addr).await?.is_some() || self.broken(Break::forgets_what_nobody_knows);
            return if known { Ok(()) } else { Err(unknown) };
        };
        let mut names = vec![addr];
        if !self.broken(Break::forgets_one_name_alone) {
            names.push(self.resolved(&node).await?);
        }
        if !self.broken(Break::records_what_was_forgotten_meanwhile) {
            self.0.flights.lock().remove(&addr);
        }
        self.0.dag.forget(&names).await?;
        if let Some(output) = node
            .output
            .filter(|_| self.broken(Break::forgets_blobs_too))
        {
            self.0.blobs.remove(&[output.addr]).await?;
        }
        Ok(())
    }

    pub(super) async fn take_what_nobody_needs(&self) -> Result<()> {
        if self.broken(Break::collects_nothing) {
            return Ok(());
        }
        let early = match self.broken(Break::collects_by_an_old_list) {
            true => Some(self.needed().await?),
            false => None,
        };
        if early.is_some() {
            dawdle();
        }
        let _alone = self.0.stores.gate.write().await;
        let needed = match early {
            Some(needed) => needed,
            None => self.needed().await?,
        };
        let recipes: Vec<CAddr> = self
            .0
            .dag
            .list(None)
            .map_ok(|(addr, _)| addr)
            .try_collect()
            .await?;
        let dead: Vec<CAddr> = recipes
            .into_iter()
            .filter(|addr| !needed.contains(addr))
            .collect();
        self.0.dag.remove(&dead).await?;
        let blobs: Vec<BlobStat> = self.0.blobs.list(None).try_collect().await?;
        let dead = blobs.into_iter().map(|blob| blob.addr);
        let dead: Vec<CAddr> = dead.filter(|addr| !needed.contains(addr)).collect();
        self.0.blobs.remove(&dead).await
    }

    /// What roots and leases need: recipes, leaves and the blobs of outputs.
    async fn needed(&self) -> Result<HashSet<CAddr>> {
        let roots: Vec<(String, CAddr)> = self.0.dag.roots(None).try_collect().await?;
        let of_users = |(name, _): &(String, CAddr)| {
            !name.starts_with(LEDGER) || !self.broken(Break::collects_the_ledger)
        };
        let roots = roots.into_iter().filter(of_users);
        let mut stack: Vec<CAddr> = roots.map(|(_, addr)| addr).collect();
        if !self.broken(Break::collects_what_is_leased) {
            stack.extend(self.0.stores.leases.lock().values().flatten());
        }
        let mut needed = HashSet::new();
        let mut walked = HashSet::new();
        while let Some(addr) = stack.pop() {
            if !walked.insert(addr) {
                continue;
            }
            needed.insert(addr);
            let Some(node) = self.0.dag.get_one(addr).await? else {
                continue;
            };
            if !self.broken(Break::collects_leaves_of_what_is_done) || node.output.is_none() {
                stack.extend(node.recipe.inputs());
            }
            let output = node
                .output
                .filter(|_| !self.broken(Break::collects_outputs));
            needed.extend(output.map(|output| output.addr));
        }
        Ok(needed)
    }
}
