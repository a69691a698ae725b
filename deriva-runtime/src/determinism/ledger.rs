//! The ledger as it lies in the store: what was seen of functions that are not deterministic.
//!
//! An entry is a blob that a root of a reserved name holds. So it is durable as all else is, on every store; it is copied
//! with the store, and kept from collection. The name tells how far the entry is, and of which recipe it is, so that a
//! damaged one still condemns its recipe:
//!
//! | root | entry |
//! |---|---|
//! | `deriva:ledger/new/RECIPE` | what it condemns is being forgotten; where that was interrupted, it is done when the store is opened next |
//! | `deriva:ledger/open/RECIPE` | no output of the recipe is served |
//! | `deriva:ledger/released/RECIPE/N` | somebody released it: it is history |
//! | `deriva:evidence/RECIPE/CONTENT` | an output that was kept |

use deriva_api::{Blob, CAddr, Error, ErrorKind, LedgerEntry, Result, Violation};
use futures::TryStreamExt;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::shared::Inner;
use crate::shared::reserved::{CHECKS, RESERVED, roots_between};

/// What no root of an application begins with.
const LEDGER: &str = "deriva:ledger/";
const EVIDENCE: &str = "deriva:evidence/";
/// Digits that tell releases of one recipe from another.
const RELEASE_DIGITS: usize = 16;

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    New,
    Open,
    Released,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Released => "released",
        }
    }

    fn root(self, recipe: CAddr) -> String {
        format!("{LEDGER}{}/{recipe}", self.name())
    }
}

/// What is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    /// The version of this form.
    deriva_ledger: u32,
    pub(crate) violation: Violation,
    /// Recipes that are the same computation.
    pub(crate) same: Vec<CAddr>,
    pub(crate) evidence: Vec<CAddr>,
}

/// An entry, and what was read of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) recipe: CAddr,
    pub(crate) blob: CAddr,
    pub(crate) stage: Stage,
    pub(crate) document: Result<Document>,
}

impl Document {
    const FORM: u32 = 1;

    pub(crate) fn new(violation: Violation, same: Vec<CAddr>, evidence: Vec<CAddr>) -> Self {
        Self {
            deriva_ledger: Self::FORM,
            violation,
            same,
            evidence,
        }
    }

    fn to_blob(&self) -> Result<Blob> {
        let json = serde_json::to_vec_pretty(self);
        json.map(Blob::new).map_err(|source| {
            Error::new(ErrorKind::Internal, "a ledger entry could not be written").caused_by(source)
        })
    }

    fn read(blob: &Blob) -> Result<Self> {
        let damaged = |why: &'static str| Error::new(ErrorKind::Corrupt, why);
        let document: Self = serde_json::from_slice(blob.bytes())
            .map_err(|source| damaged("a ledger entry is no such thing").caused_by(source))?;
        match document.deriva_ledger {
            Self::FORM => Ok(document),
            _ => Err(damaged(
                "a ledger entry was written by a later version of deriva",
            )),
        }
    }

    /// What is condemned by it.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = CAddr> {
        let Violation {
            recipe, resolved, ..
        } = self.violation;
        [recipe, resolved]
            .into_iter()
            .chain(self.same.iter().copied())
    }
}

/// Entries of one stage, or all, in the order of their names.
pub(crate) async fn list(inner: &Inner, of: Option<Stage>) -> Result<Vec<Found>> {
    let begin = match of {
        Some(stage) => format!("{LEDGER}{}/", stage.name()),
        None => LEDGER.to_owned(),
    };
    let roots = roots_between(&*inner.dag, &begin, None).await?;
    entries(inner, roots).await
}

/// What somebody has to know who opens a store: the entries that were not released, and the roots of the counts of checks, found in one walk.
pub(crate) async fn at_opening(inner: &Inner) -> Result<(Vec<Found>, Vec<(String, CAddr)>)> {
    // In the order of names: counts of checks, evidence, and entries that are new, open and released.
    let released = format!("{LEDGER}{}/", Stage::Released.name());
    let mut roots = roots_between(&*inner.dag, RESERVED, Some(&released)).await?;
    let counts = roots.extract_if(.., |(root, _)| root.starts_with(CHECKS));
    let counts = counts.collect();
    Ok((entries(inner, roots).await?, counts))
}

/// The entries among these roots.
async fn entries(inner: &Inner, roots: Vec<(String, CAddr)>) -> Result<Vec<Found>> {
    let mut entries = Vec::new();
    for (root, addr) in roots {
        // Who else would write such a name?
        let Some((stage, recipe)) = root.strip_prefix(LEDGER).and_then(parse) else {
            continue;
        };
        let document = match read(inner, addr).await {
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            document => document,
        };
        entries.push(Found {
            recipe,
            blob: addr,
            stage,
            document,
        });
    }
    Ok(entries)
}

async fn read(inner: &Inner, addr: CAddr) -> Result<Document> {
    match inner.blobs.get(addr).await? {
        Some(blob) => Document::read(&blob),
        None => {
            let what = "the blob of a ledger entry is gone";
            Err(Error::new(ErrorKind::Corrupt, what).with("addr", addr))
        }
    }
}

fn parse(rest: &str) -> Option<(Stage, CAddr)> {
    let mut parts = rest.split('/');
    let stage = match parts.next()? {
        "new" => Stage::New,
        "open" => Stage::Open,
        "released" => Stage::Released,
        _ => return None,
    };
    Some((stage, parts.next()?.parse().ok()?))
}

impl Found {
    /// The entry as others see it.
    pub(crate) fn into_entry(self) -> LedgerEntry {
        let released = self.stage == Stage::Released;
        match self.document {
            Ok(document) => LedgerEntry::new(document.violation, released, document.evidence),
            Err(damage) => LedgerEntry::damaged(self.recipe, released, damage),
        }
    }
}

/// Writes entries that are not finished yet, durably. Answers with the blob of each.
pub(crate) async fn write(inner: &Inner, documents: &[Document]) -> Result<Vec<(CAddr, CAddr)>> {
    let blobs: Vec<Blob> = documents
        .iter()
        .map(Document::to_blob)
        .collect::<Result<_>>()?;
    let recipes = documents.iter().map(|document| document.violation.recipe);
    let written: Vec<(CAddr, CAddr)> = recipes.zip(blobs.iter().map(Blob::addr)).collect();
    let _adding = inner.adding(blobs.iter().map(Blob::addr).collect()).await;
    inner.blobs.put(&blobs).await?;
    let set = written.iter().map(|(recipe, blob)| async move {
        let root = Stage::New.root(*recipe);
        inner.dag.set_root(&root, *blob).await
    });
    // At once, so that a store which commits in groups makes one of them.
    try_join_all(set).await?;
    Ok(written)
}

/// All that these entries condemn is forgotten.
pub(crate) async fn finish(inner: &Inner, written: &[(CAddr, CAddr)]) -> Result<()> {
    let finished = written.iter().map(|(recipe, blob)| async move {
        let (from, to) = (Stage::New.root(*recipe), Stage::Open.root(*recipe));
        move_root(inner, &from, &to, *blob).await
    });
    try_join_all(finished).await.map(drop)
}

/// The entry of a recipe that was not released.
pub(crate) async fn open_entry(inner: &Inner, recipe: CAddr) -> Result<Option<Document>> {
    for stage in [Stage::New, Stage::Open] {
        let Some(addr) = root(inner, &stage.root(recipe)).await? else {
            continue;
        };
        return match read(inner, addr).await {
            Ok(document) => Ok(Some(document)),
            // A new one takes its place.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

/// Makes history of the entry of a recipe; answers whether there was one.
pub(crate) async fn release(inner: &Inner, recipe: CAddr) -> Result<bool> {
    let mut released = false;
    for stage in [Stage::New, Stage::Open] {
        let from = stage.root(recipe);
        let Some(addr) = root(inner, &from).await? else {
            continue;
        };
        let digits = &addr.to_string()[..RELEASE_DIGITS];
        let to = format!("{}/{digits}", Stage::Released.root(recipe));
        move_root(inner, &from, &to, addr).await?;
        released = true;
    }
    Ok(released)
}

/// Keeps outputs of a recipe.
pub(crate) async fn keep_evidence(inner: &Inner, recipe: CAddr, blobs: &[Blob]) -> Result<()> {
    let _adding = inner.adding(blobs.iter().map(Blob::addr).collect()).await;
    inner.blobs.put(blobs).await?;
    for blob in blobs {
        let root = format!(
            "{EVIDENCE}{recipe}/{}",
            &blob.addr().to_string()[..RELEASE_DIGITS]
        );
        inner.dag.set_root(&root, blob.addr()).await?;
    }
    Ok(())
}

/// First the new name: wherever this ends, the entry has one.
async fn move_root(inner: &Inner, from: &str, to: &str, addr: CAddr) -> Result<()> {
    let _adding = inner.adding(vec![addr]).await;
    inner.dag.set_root(to, addr).await?;
    inner.dag.remove_root(from).await.map(drop)
}

/// What a root names.
async fn root(inner: &Inner, name: &str) -> Result<Option<CAddr>> {
    // The list begins after a name, and there is no name between this one and its like without the last character.
    let before = &name[..name.len() - 1];
    let mut roots = inner.dag.roots(Some(before));
    while let Some((found, addr)) = roots.try_next().await? {
        if found == name {
            return Ok(Some(addr));
        }
        if found.as_str() > name {
            break;
        }
    }
    Ok(None)
}
