//! Recipes, their outputs, edges and roots.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::authors::{still_needed, unknown_recipe};
use deriva_api::{
    CAddr, Capabilities, DagStore, DagUsage, Divergence, FunctionId, Node, Output, Recipe, Record,
    Result,
};
use futures::stream::{BoxStream, TryStreamExt};
use rusqlite::{Connection, OptionalExtension, Params, params};

use crate::{PAGE, SqliteStore, addr, check, checksum, damaged, error};

#[async_trait]
impl DagStore for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        Self::declared()
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        let parts = if cfg!(feature = "planted-halves") {
            2
        } else {
            1
        };
        for part in recipes.chunks(recipes.len().div_ceil(parts).max(1)) {
            self.write(|db| part.iter().try_for_each(|recipe| add(db, recipe)))?;
        }
        Ok(recipes.iter().map(Recipe::addr).collect())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        self.read(|db| addrs.iter().map(|addr| node(db, *addr)).collect())
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        self.read(|db| addrs.iter().map(|addr| output(db, addr)).collect())
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        self.write(|db| {
            let mut divergences = Vec::new();
            for record in records {
                if row(
                    db,
                    "SELECT canonical FROM recipes WHERE addr = ?",
                    &record.addr,
                )?
                .is_none()
                {
                    return Err(unknown_recipe(record.addr));
                }
                let resolved = record.resolved.filter(|resolved| *resolved != record.addr);
                for addr in [Some(record.addr), resolved].into_iter().flatten() {
                    divergences.extend(offer(db, addr, &record.output)?);
                }
            }
            Ok(divergences)
        })
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        self.write(|db| {
            let forget =
                |addr: &CAddr| run(db, "DELETE FROM outputs WHERE addr = ?", [addr.as_bytes()]);
            addrs.iter().map(forget).sum()
        })
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        let batch: HashSet<&CAddr> = addrs.iter().collect();
        self.write(|db| {
            let mut removed = Vec::new();
            for addr in &batch {
                let Some(node) = node(db, **addr)? else {
                    continue;
                };
                if let Some(dependent) = dependents(db, addr, &batch)? {
                    return Err(still_needed(**addr, dependent));
                }
                removed.push(node.recipe);
            }
            for recipe in &removed {
                let key = recipe.addr();
                run(db, "DELETE FROM recipes WHERE addr = ?", [key.as_bytes()])?;
                run(db, "DELETE FROM outputs WHERE addr = ?", [key.as_bytes()])?;
                if cfg!(feature = "planted-edges") {
                    continue;
                }
                for input in recipe.inputs() {
                    let edge = [input.as_bytes(), key.as_bytes()];
                    run(
                        db,
                        "DELETE FROM edges WHERE input = ? AND dependent = ?",
                        edge,
                    )?;
                }
            }
            Ok(removed.len() as u64)
        })
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let after = after.map(|addr| addr.as_bytes().to_vec());
        let page = "SELECT dependent, sum FROM edges WHERE input = ? AND dependent > ? ORDER BY dependent LIMIT ?";
        self.stream(after, move |db, after| {
            let mut page = db.prepare_cached(page).map_err(error)?;
            let rows = page.query_map(params![addr.as_bytes(), after, PAGE], |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
            let dependent = |row: rusqlite::Result<(Vec<u8>, Vec<u8>)>| {
                let (key, sum) = row.map_err(error)?;
                check(addr.as_bytes(), &key, &sum)?;
                let dependent = crate::addr(&key)?;
                Ok((key, dependent))
            };
            rows.map_err(error)?.map(dependent).collect()
        })
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let id = id.clone();
        let nodes = self.list(after);
        let of_function = nodes.try_filter(move |(_, node)| {
            let found = node.recipe.function() == id;
            async move { found }
        });
        Box::pin(of_function.map_ok(|(addr, _)| addr))
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        let after = after.map(|addr| addr.as_bytes().to_vec());
        self.stream(after, |db, after| {
            let page = "SELECT addr FROM recipes WHERE addr > ? ORDER BY addr LIMIT ?";
            let found = keys(db, page, params![after, PAGE])?.into_iter();
            let listed = found.map(|(key, addr)| {
                let node = node(db, addr)?.ok_or_else(|| damaged(&key))?;
                Ok((key, (addr, node)))
            });
            listed.collect()
        })
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        DagUsage::check_root_name(name)?;
        let (name, addr) = (name.as_bytes(), addr.as_bytes());
        let row = params![name, addr, checksum(name, addr)];
        self.write(|db| run(db, "INSERT OR REPLACE INTO roots VALUES (?, ?, ?)", row).map(drop))
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        let removed =
            self.write(|db| run(db, "DELETE FROM roots WHERE name = ?", [name.as_bytes()]));
        Ok(removed? > 0)
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let after = after.map(|name| name.as_bytes().to_vec());
        self.stream(after, |db, after| {
            let page = "SELECT name, addr, sum FROM roots WHERE name > ? ORDER BY name LIMIT ?";
            let mut page = db.prepare_cached(page).map_err(error)?;
            let rows = page.query_map(params![after, PAGE], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
            let root = |row: rusqlite::Result<(Vec<u8>, Vec<u8>, Vec<u8>)>| {
                let (name, root, sum) = row.map_err(error)?;
                check(&name, &root, &sum)?;
                let text = String::from_utf8(name.clone()).map_err(|_| damaged(&name))?;
                Ok((name, (text, addr(&root)?)))
            };
            rows.map_err(error)?.map(root).collect()
        })
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        Ok(None)
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

fn add(db: &Connection, recipe: &Recipe) -> Result<()> {
    let key = recipe.addr();
    let row = params![key.as_bytes(), &recipe.canonical()[..]];
    run(db, "INSERT OR IGNORE INTO recipes VALUES (?, ?)", row)?;
    for input in recipe.inputs() {
        let (input, key) = (input.as_bytes(), key.as_bytes());
        let edge = params![input, key, checksum(input, key)];
        run(db, "INSERT OR IGNORE INTO edges VALUES (?, ?, ?)", edge)?;
    }
    Ok(())
}

fn run(db: &Connection, statement: &str, params: impl Params) -> Result<u64> {
    let changed = db
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(params));
    changed.map(|rows| rows as u64).map_err(error)
}

/// The one column of the one row that `addr` has, if it has one.
fn row(db: &Connection, select: &str, addr: &CAddr) -> Result<Option<Vec<u8>>> {
    let mut select = db.prepare_cached(select).map_err(error)?;
    select
        .query_row([addr.as_bytes()], |row| row.get(0))
        .optional()
        .map_err(error)
}

/// A page of addresses, each beside itself as the key to go on from.
fn keys(db: &Connection, select: &str, params: impl Params) -> Result<Vec<(Vec<u8>, CAddr)>> {
    let mut select = db.prepare_cached(select).map_err(error)?;
    let rows = select
        .query_map(params, |row| row.get::<_, Vec<u8>>(0))
        .map_err(error)?;
    rows.map(|key| {
        let key = key.map_err(error)?;
        let addr = addr(&key)?;
        Ok((key, addr))
    })
    .collect()
}

fn node(db: &Connection, addr: CAddr) -> Result<Option<Node>> {
    let canonical = row(db, "SELECT canonical FROM recipes WHERE addr = ?", &addr)?;
    let Some(canonical) = canonical else {
        return Ok(None);
    };
    Ok(Some(Node {
        recipe: Recipe::verify(addr, Bytes::from(canonical))?,
        output: output(db, &addr)?,
    }))
}

/// A dependent of `input` that is not in `batch`.
fn dependents(db: &Connection, input: &CAddr, batch: &HashSet<&CAddr>) -> Result<Option<CAddr>> {
    let mut select = db
        .prepare_cached("SELECT dependent, sum FROM edges WHERE input = ?")
        .map_err(error)?;
    let mut rows = select.query([input.as_bytes()]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        let key: Vec<u8> = row.get(0).map_err(error)?;
        let sum: Vec<u8> = row.get(1).map_err(error)?;
        check(input.as_bytes(), &key, &sum)?;
        let dependent = addr(&key)?;
        if !batch.contains(&dependent) {
            return Ok(Some(dependent));
        }
    }
    Ok(None)
}

fn output(db: &Connection, addr: &CAddr) -> Result<Option<Output>> {
    let row: Option<(Vec<u8>, Vec<u8>)> = db
        .prepare_cached("SELECT output, sum FROM outputs WHERE addr = ?")
        .and_then(|mut select| {
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            select.query_row([addr.as_bytes()], columns).optional()
        })
        .map_err(error)?;
    let Some((row, sum)) = row else {
        return Ok(None);
    };
    check(addr.as_bytes(), &row, &sum)?;
    decode(&row)
        .ok_or_else(|| damaged(addr.as_bytes()))
        .map(Some)
}

/// Records an output where there is none.
fn offer(db: &Connection, addr: CAddr, offered: &Output) -> Result<Option<Divergence>> {
    if let Some(recorded) = output(db, &addr)? {
        let diverges = !recorded.same_bytes(offered);
        return Ok(diverges.then_some(Divergence {
            addr,
            recorded,
            offered: *offered,
        }));
    }
    let row = encode(offered);
    let sum = checksum(addr.as_bytes(), &row);
    run(
        db,
        "INSERT INTO outputs VALUES (?, ?, ?)",
        params![addr.as_bytes(), row, sum],
    )?;
    Ok(None)
}

/// Address, length and nanoseconds, the numbers little-endian.
fn encode(output: &Output) -> Vec<u8> {
    let nanos = u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX);
    let mut row = output.addr.as_bytes().to_vec();
    row.extend(output.len.to_le_bytes());
    row.extend(nanos.to_le_bytes());
    row
}

fn decode(row: &[u8]) -> Option<Output> {
    let (addr, rest) = row.split_first_chunk()?;
    let (len, nanos) = rest.split_first_chunk()?;
    Some(Output {
        addr: CAddr::from_bytes(*addr),
        len: u64::from_le_bytes(*len),
        cost: Duration::from_nanos(u64::from_le_bytes(nanos.try_into().ok()?)),
    })
}
