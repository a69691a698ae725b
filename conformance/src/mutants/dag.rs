//! The mutants' DAG store.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    CAddr, Capabilities, DagStore, DagUsage, Divergence, DurabilityClass, Error, ErrorKind,
    FunctionId, Node, Output, Recipe, Record, Result, StoreCounters,
};
use futures::stream::BoxStream;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::disk::{Disk, EDGES, OUTPUTS, RECIPES, ROOTS, key};
use super::list::Break;
use super::outputs::{read_output, write_output};
use super::store::{Store, answers, dawdle, pause};

impl Store {
    /// Addresses, after `after`.
    fn list_of(&self, disk: &Disk, mut found: Vec<CAddr>, after: Option<CAddr>) -> Vec<CAddr> {
        if self.broken(Break::lists_recipes_by_insertion) {
            let place = |addr: &CAddr| disk.inserted.iter().position(|inserted| inserted == addr);
            found.sort_by_cached_key(place);
        }
        if self.broken(Break::lists_1024_recipes_at_most) {
            found.truncate(1024);
        }
        if self.broken(Break::lists_recipes_from_the_start) {
            return found;
        }
        let again = self.broken(Break::lists_the_last_recipe_again);
        found.retain(|addr| after.is_none_or(|after| *addr > after || (again && *addr == after)));
        found
    }
}

#[async_trait]
impl DagStore for Store {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::ProcessCrash)
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::CurrentThread)
            && self.broken(Break::inserts_on_many_threads_alone)
        {
            return Err(Error::new(
                ErrorKind::Internal,
                "the runtime has one thread",
            ));
        }
        if self.broken(Break::inserts_in_halves) && recipes.len() > 1 {
            let (first, second) = recipes.split_at(recipes.len() / 2);
            self.insert_all(first)?;
            pause().await;
            self.insert_all(second)?;
        } else {
            let most = match self.broken(Break::inserts_300_recipes_at_most) {
                true => recipes.len().min(300),
                false => recipes.len(),
            };
            self.insert_all(&recipes[..most])?;
        }
        Ok(recipes.iter().map(Recipe::addr).collect())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let late = |addr: &CAddr| {
            let row = key(RECIPES, &[addr.as_bytes()]);
            let rows = self.cached(Break::caches_recipes_too_late, &row)?;
            Some((*addr, rows.into_values().next()))
        };
        let late: BTreeMap<CAddr, Option<Bytes>> = addrs.iter().filter_map(late).collect();
        let disk = self.disk.lock();
        let mut asked = addrs.to_vec();
        if self.broken(Break::answers_with_nodes_in_order_of_addresses) {
            asked.sort_unstable();
        }
        asked
            .into_iter()
            .map(|addr| match late.get(&addr) {
                Some(None) => Ok(None),
                Some(Some(bytes)) => {
                    let recipe = self.recipe(addr, bytes)?;
                    Ok(Some(Node {
                        recipe,
                        output: None,
                    }))
                }
                None => self.node(&disk, addr),
            })
            .collect()
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        if self.broken(Break::caches_outputs_too_late) {
            let late = |addr: &CAddr| {
                let row = key(OUTPUTS, &[addr.as_bytes()]);
                let rows = self.cached(Break::caches_outputs_too_late, &row)?;
                rows.into_values().next().map(|row| read_output(&row))
            };
            return addrs.iter().map(|addr| late(addr).transpose()).collect();
        }
        let disk = self.disk.lock();
        let output = |addr: &CAddr| disk.get(OUTPUTS, *addr).map(read_output).transpose();
        let mut asked = addrs.to_vec();
        if self.broken(Break::answers_with_outputs_in_order_of_addresses) {
            asked.sort_unstable();
        }
        let mut found: Vec<_> = asked.iter().map(output).collect::<Result<_>>()?;
        if self.broken(Break::tells_the_output_before_beyond_64) {
            (64..found.len())
                .rev()
                .for_each(|at| found[at] = found[at - 1]);
        }
        Ok(found)
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        let mut records = records.to_vec();
        if self.broken(Break::looks_for_outputs_before_it_locks) {
            let absent = |record: &Record| self.disk.lock().get(OUTPUTS, record.addr).is_none();
            let absent: Vec<Record> = records.iter().copied().filter(absent).collect();
            dawdle();
            let mut disk = self.disk.lock();
            for record in absent {
                disk.put(
                    key(OUTPUTS, &[record.addr.as_bytes()]),
                    write_output(&record.output),
                );
            }
        }
        let mut disk = self.disk.lock();
        if self.broken(Break::last_of_a_batch_wins) {
            records.reverse();
        }
        if self.broken(Break::records_300_at_most) {
            records.truncate(300);
        }
        let unknown = |record: &&Record| disk.get(RECIPES, record.addr).is_none();
        let unknown = records.iter().find(unknown).map(|record| record.addr);
        let unknown = unknown.filter(|_| !self.broken(Break::records_for_unknown_recipes));
        if unknown.is_some() && self.broken(Break::records_what_it_can) {
            records.retain(|record| disk.get(RECIPES, record.addr).is_some());
        } else if let Some(addr) = unknown {
            let error = Error::new(ErrorKind::NotFound, "no such recipe");
            return Err(match self.broken(Break::names_no_address) {
                true => error,
                false => error.with("addr", addr),
            });
        }
        let mut divergences = Vec::new();
        for record in records {
            divergences.extend(self.record_one(&mut disk, record.addr, record.output)?);
            if !divergences.is_empty() && self.broken(Break::stops_at_a_divergence) {
                break;
            }
            let own = record.resolved == Some(record.addr)
                && !self.broken(Break::records_its_own_resolved_output);
            if let Some(resolved) = record.resolved
                && !own
                && !self.broken(Break::forgets_resolved_addresses)
            {
                divergences.extend(self.record_one(&mut disk, resolved, record.output)?);
            }
        }
        disk.commit()?;
        match unknown {
            Some(addr) => Err(Error::new(ErrorKind::NotFound, "no such recipe").with("addr", addr)),
            None => Ok(divergences),
        }
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        let mut disk = self.disk.lock();
        let mut dropped = 0;
        for (at, addr) in addrs.iter().enumerate() {
            if at >= 300 && self.broken(Break::forgets_300_at_most) {
                break;
            }
            let is_recipe = disk.get(RECIPES, *addr).is_some();
            if !is_recipe && self.broken(Break::forgets_outputs_of_recipes_alone) {
                continue;
            }
            if disk.delete(&key(OUTPUTS, &[addr.as_bytes()])).is_some() {
                dropped += 1;
                let counted = is_recipe && !self.broken(Break::counts_forgotten_outputs);
                disk.dag_usage.outputs -= u64::from(counted);
            }
            if is_recipe && self.broken(Break::forgets_recipes_too) {
                self.remove_one(&mut disk, *addr)?;
            }
        }
        disk.commit()?;
        match self.broken(Break::answers_how_many_were_asked) {
            true => Ok(addrs.len() as u64),
            false => Ok(dropped),
        }
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        let mut disk = self.disk.lock();
        let most = match self.broken(Break::removes_300_recipes_at_most) {
            true => 300,
            false => usize::MAX,
        };
        let batch: BTreeSet<CAddr> = addrs.iter().copied().take(most).collect();
        let mut removed = 0;
        for (at, addr) in batch.iter().enumerate() {
            if at >= 64 && self.broken(Break::looks_at_64_recipes_of_a_batch) {
                break;
            }
            let known = disk.get(RECIPES, *addr).is_some();
            let mut dependents = dependents(&disk, *addr)?;
            if self.broken(Break::looks_at_64_dependents) {
                dependents.truncate(64);
            }
            let needed = known
                && dependents.iter().any(|dependent| {
                    !batch.contains(dependent) || self.broken(Break::minds_dependents_in_the_batch)
                });
            if needed && !self.broken(Break::removes_below_dependents) {
                disk.commit()?;
                let message = "another recipe has it among its inputs";
                let kind = match self.broken(Break::calls_a_conflict_invalid) {
                    true => ErrorKind::Invalid,
                    false => ErrorKind::Conflict,
                };
                return Err(Error::new(kind, message).with("addr", addr));
            }
            if self.broken(Break::removes_until_it_refuses) {
                removed += self.remove_one(&mut disk, *addr)?;
            }
        }
        let edges: Vec<Vec<u8>> = disk
            .scan(EDGES, &[], None)
            .map(|(edge, _)| edge.clone())
            .filter(|edge| CAddr::from_slice(&edge[33..]).is_ok_and(|addr| batch.contains(&addr)))
            .collect();
        for addr in batch {
            removed += self.remove_one(&mut disk, addr)?;
        }
        if !self.broken(Break::removes_at_the_next_commit) {
            disk.commit()?;
        }
        drop(disk);
        if self.broken(Break::writes_edges_after_their_recipes) {
            dawdle();
            let mut disk = self.disk.lock();
            for edge in edges {
                disk.delete(&edge);
            }
            disk.commit()?;
        }
        Ok(removed)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let disk = self.disk.lock();
        let mut found = match dependents(&disk, addr) {
            Ok(found) => found,
            Err(error) => return answers(vec![Err(error)]),
        };
        if self.broken(Break::ends_dependents_at_16384) {
            found.truncate(16_384);
        }
        if self.broken(Break::lists_dependents_from_the_start) {
            return answers(found.into_iter().map(Ok).collect());
        }
        answers(
            self.list_of(&disk, found, after)
                .into_iter()
                .map(Ok)
                .collect(),
        )
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let disk = self.disk.lock();
        let begins = self.broken(Break::looks_functions_up_by_prefix);
        let of_function = |(_, bytes): &(&Vec<u8>, &Bytes)| {
            let function = Recipe::decode(Bytes::clone(bytes)).map(|recipe| recipe.function());
            function.is_ok_and(|function| match begins {
                true => function.to_string().starts_with(&id.to_string()),
                false => function == *id,
            })
        };
        let found = disk.scan(RECIPES, &[], None).filter(of_function);
        let found = found
            .filter_map(|(key, _)| CAddr::from_slice(&key[1..]).ok())
            .collect();
        answers(
            self.list_of(&disk, found, after)
                .into_iter()
                .map(Ok)
                .collect(),
        )
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        if self.broken(Break::refuses_to_list_recipes) {
            return answers(vec![Err(Error::new(
                ErrorKind::Unsupported,
                "there is no list",
            ))]);
        }
        let disk = self.disk.lock();
        let mut found: Vec<CAddr> = disk
            .scan(RECIPES, &[], None)
            .filter_map(|(key, _)| CAddr::from_slice(&key[1..]).ok())
            .collect();
        found = self.list_of(&disk, found, after);
        let node = |addr| {
            let mut node = self.node(&disk, addr).transpose()?;
            if let Ok(node) = &mut node
                && self.broken(Break::lists_recipes_without_outputs)
            {
                node.output = None;
            }
            Some(node.map(|node| (addr, node)))
        };
        answers(found.into_iter().filter_map(node).collect())
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        let counted = match self.broken(Break::counts_characters_of_root_names) {
            true => "x".repeat(name.chars().count()),
            false => name.to_owned(),
        };
        if !self.broken(Break::takes_root_names_of_any_length) {
            DagUsage::check_root_name(&counted)?;
        }
        let mut disk = self.disk.lock();
        let row = key(ROOTS, &[self.root(name).as_bytes()]);
        let there = disk.rows.contains_key(&row);
        if there && self.broken(Break::never_moves_a_root) {
            return Ok(());
        }
        if !there || self.broken(Break::counts_a_root_again) {
            disk.dag_usage.roots += 1;
        }
        disk.put(row, Bytes::copy_from_slice(addr.as_bytes()));
        disk.commit()
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        let mut row = key(ROOTS, &[self.root(name).as_bytes()]);
        let mut disk = self.disk.lock();
        if name.is_empty() && self.broken(Break::refuses_to_remove_no_name) {
            return Err(Error::new(ErrorKind::Invalid, "a root has a name"));
        }
        if name.is_empty() && self.broken(Break::takes_the_empty_name_for_the_first) {
            row = disk
                .scan(ROOTS, &[], None)
                .next()
                .map_or(row, |(row, _)| row.clone());
        }
        let there = disk.delete(&row).is_some();
        disk.dag_usage.roots -= u64::from(there);
        disk.commit()?;
        Ok(there || self.broken(Break::removes_roots_that_are_not_there))
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let late = self.cached(Break::caches_roots_too_late, &[ROOTS]);
        let disk = self.disk.lock();
        let root = |(key, addr): (&Vec<u8>, &Bytes)| {
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            Ok((name, CAddr::from_slice(addr)?))
        };
        let mut roots: Vec<Result<(String, CAddr)>> = match &late {
            Some(late) => late.iter().map(root).collect(),
            None => disk.scan(ROOTS, &[], None).map(root).collect(),
        };
        if !self.broken(Break::lists_roots_from_the_start) {
            let after = |name: &str| after.is_none_or(|after| name > after);
            roots.retain(|root| root.as_ref().map_or(true, |(name, _)| after(name)));
        }
        if self.broken(Break::lists_4096_roots_at_most) {
            roots.truncate(4096);
        }
        answers(roots)
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        Ok(Some(self.disk.lock().dag_usage))
    }

    async fn flush(&self) -> Result<()> {
        self.disk.lock().flush()
    }

    fn counters(&self) -> StoreCounters {
        self.counters_but_for(Break::counts_recipes_anew)
    }
}

impl Store {
    fn root(&self, name: &str) -> String {
        match self.broken(Break::takes_root_names_for_paths) {
            true => name.trim_end_matches('\0').to_owned(),
            false => name.to_owned(),
        }
    }
}

fn dependents(disk: &Disk, addr: CAddr) -> Result<Vec<CAddr>> {
    let edges = disk.scan(EDGES, addr.as_bytes(), None);
    let dependent = |(key, _): (&Vec<u8>, &Bytes)| CAddr::from_slice(&key[33..65]);
    edges.map(dependent).collect()
}
