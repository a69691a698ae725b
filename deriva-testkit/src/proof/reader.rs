//! The child that reads a damaged store in every way there is, and tells what it was answered.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use deriva_api::{
    BlobCheck, BlobStat, ByteRange, CAddr, DagStore, DagUsage, Error, ErrorKind, Result,
};
use futures::executor::block_on;
use futures::{FutureExt, TryStreamExt};

use super::item::{Item, Parts, Step, hub};
use super::program::{self, Asked, Job};
use super::store::{Provable, Stores};

/// What the reading process is told.
#[derive(Clone, Debug)]
pub(super) struct ReaderArgs {
    /// Where the store lies.
    pub(super) place: PathBuf,
    /// How many items were written, all to the end of their lives.
    pub(super) items: u64,
}

impl ReaderArgs {
    pub(super) fn job(&self) -> Job {
        Job::new("read")
            .with("place", self.place.display())
            .with("items", self.items)
    }

    pub(super) fn of(asked: &Asked) -> Result<Self> {
        Ok(Self {
            place: asked.place(),
            items: asked.number("items")?,
        })
    }
}

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// What was written.
    Right,
    /// What was once right: something written later, or a removal, is not there.
    Lost,
    /// A typed error.
    Refused,
    /// A panic that reached the caller.
    Panicked,
    /// Something that was never written.
    Wrong,
}

impl Verdict {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Right, "right"),
        (Self::Lost, "lost"),
        (Self::Refused, "refused"),
        (Self::Panicked, "panicked"),
        (Self::Wrong, "wrong"),
    ];

    /// From a line `VERDICT WHAT`.
    pub(super) fn parse(line: &str) -> Option<(Self, &str)> {
        let (word, what) = line.split_once(' ')?;
        let known = Self::ALL.iter().find(|(_, name)| *name == word)?;
        Some((known.0, what))
    }
}

pub(super) fn run(store: &dyn Provable, args: &ReaderArgs) -> Result<()> {
    let opened = Stores::open(store, &args.place);
    let opened = block_on(AssertUnwindSafe(opened).catch_unwind());
    match opened {
        Err(_) => tell(Verdict::Panicked, "open"),
        Ok(Err(error)) => tell(Verdict::Refused, &refusal("open", &error)),
        Ok(Ok(stores)) => {
            let items: Result<Vec<Item>> = (0..args.items).map(Item::new).collect();
            let items = items?;
            block_on(read_all(&stores, &items, store.checks_lengths()));
            block_on(write_more(&stores, args.items));
            let closed = std::panic::catch_unwind(AssertUnwindSafe(|| drop(stores)));
            if closed.is_err() {
                tell(Verdict::Panicked, "close");
            }
        }
    }
    tell(Verdict::Right, "end");
    Ok(())
}

/// Makes a call, and tells what became of it; `judge` looks at its answer.
async fn ask<T>(
    what: &str,
    call: impl Future<Output = Result<T>>,
    judge: impl FnOnce(T) -> Verdict,
) -> Verdict {
    let (verdict, told) = match AssertUnwindSafe(call).catch_unwind().await {
        Err(_) => (Verdict::Panicked, what.to_owned()),
        Ok(Err(error)) => (Verdict::Refused, refusal(what, &error)),
        Ok(Ok(answer)) => (judge(answer), what.to_owned()),
    };
    tell(verdict, &told);
    verdict
}

fn refusal(what: &str, error: &Error) -> String {
    format!("{what} {:?} {error:?}", error.kind()).replace('\n', " ")
}

fn tell(verdict: Verdict, what: &str) {
    let name = Verdict::ALL.iter().find(|(known, _)| *known == verdict);
    let name = name.map_or("", |(_, name)| name);
    program::tell(&format!("{name} {what}"));
}

/// A single answer: `written` if it should be there `now`, and nothing otherwise.
fn one<T: PartialEq>(found: Option<T>, written: T, now: bool) -> Verdict {
    match found {
        None if !now => Verdict::Right,
        None => Verdict::Lost,
        Some(found) if found != written => Verdict::Wrong,
        Some(_) if now => Verdict::Right,
        Some(_) => Verdict::Lost,
    }
}

/// A listing: of what was `ever` written, what should be there `now`, each once and in order.
fn many<T: Ord>(found: Vec<T>, ever: &BTreeSet<T>, now: &BTreeSet<T>) -> Verdict {
    let count = found.len();
    let sorted = found.is_sorted();
    let found: BTreeSet<T> = found.into_iter().collect();
    match sorted && found.len() == count && found.is_subset(ever) {
        false => Verdict::Wrong,
        true if found == *now => Verdict::Right,
        true => Verdict::Lost,
    }
}

async fn read_all(stores: &Stores, items: &[Item], lengths: bool) {
    let seen = |stat: BlobStat| (stat.addr, if lengths { stat.len } else { 0 });
    let mut listed = BTreeSet::new();
    for item in items {
        let (addr, blob) = (item.blob.addr(), &item.blob);
        // Every life ends with its blob there.
        listed.insert(seen(blob.stat()));
        let got = stores.blobs.get(addr);
        ask("get", got, |found| one(found.as_ref(), blob, true)).await;
        let range = ByteRange::new(3, 200);
        let part = stores.blobs.get_range(addr, range);
        let within = range.within(blob.len());
        let written = blob
            .bytes()
            .slice(within.start as usize..within.end as usize);
        ask("get_range", part, |found| one(found, written, true)).await;
        let addrs = [addr];
        ask("verify", verified(stores, addr), |verdict| verdict).await;
        let stat = stores.blobs.stat(&addrs);
        ask("stat", stat, |found| {
            one(found[0].map(seen), seen(blob.stat()), true)
        })
        .await;
    }
    let list = stores.blobs.list(None);
    let list = list.map_ok(seen).try_collect();
    ask("list", list, |found| many(found, &listed, &listed)).await;
    let bytes: u64 = items.iter().map(|item| item.blob.len()).sum();
    ask("usage", stores.blobs.usage(), |found| match found {
        None if !stores.blobs.capabilities().usage => Verdict::Right,
        Some(usage) if usage.blobs == items.len() as u64 && usage.bytes == bytes => Verdict::Right,
        // The counts of an earlier state.
        Some(usage) if usage.blobs <= items.len() as u64 && usage.bytes <= bytes => Verdict::Lost,
        _ => Verdict::Wrong,
    })
    .await;
    if let Some(dag) = &stores.dag {
        for (n, item) in (0..).zip(items) {
            read_item(&**dag, item, parts(n)).await;
        }
        read_listings(&**dag, items).await;
    }
}

/// Whether what `verify` tells of a blob that was written is what a read finds.
async fn verified(stores: &Stores, addr: CAddr) -> Result<Verdict> {
    let told = stores.blobs.verify(&[addr]).await?;
    let read = stores.blobs.get(addr).await;
    match (&told[..], read) {
        ([BlobCheck::Right(_)], Ok(Some(_))) => Ok(Verdict::Right),
        ([BlobCheck::Damaged], Err(error)) if error.kind() == ErrorKind::Corrupt => {
            Ok(Verdict::Right)
        }
        ([BlobCheck::Absent], Ok(None)) => Ok(Verdict::Lost),
        (_, Err(error)) if error.kind() != ErrorKind::Corrupt => Err(error),
        _ => Ok(Verdict::Wrong),
    }
}

fn parts(n: u64) -> Parts {
    Item::parts_after(&Item::life(n, true), usize::MAX)
}

async fn read_item(dag: &dyn DagStore, item: &Item, parts: Parts) {
    let addrs = item.addrs();
    for (addr, recipe) in addrs.iter().zip(&item.recipes) {
        ask("get_many", dag.get_many(&[*addr]), |found| {
            let found = found[0].as_ref();
            let output = found.and_then(|node| node.output);
            let recorded = match *addr == addrs[0] {
                true => one(output, item.output(), parts.output),
                false => one(output.map(Some), None, false),
            };
            let found = found.map(|node| &node.recipe);
            recorded.max(one(found, recipe, parts.recipes))
        })
        .await;
    }
    for addr in [[addrs[0]], [item.resolved]] {
        let outputs = dag.outputs(&addr);
        ask("outputs", outputs, |found| {
            one(found[0], item.output(), parts.output)
        })
        .await;
    }
    for (input, dependents) in [(item.blob.addr(), &addrs[..]), (addrs[0], &addrs[1..])] {
        let ever: BTreeSet<CAddr> = dependents.iter().copied().collect();
        let now = if parts.recipes {
            ever.clone()
        } else {
            BTreeSet::new()
        };
        let of = dag.dependents(input, None).try_collect();
        ask("dependents", of, |found| many(found, &ever, &now)).await;
    }
}

async fn read_listings(dag: &dyn DagStore, items: &[Item]) {
    let now = || {
        (0..)
            .zip(items)
            .filter(|(n, _)| parts(*n).recipes)
            .map(|(_, item)| item)
    };
    let first = |item: &Item| item.first();
    let firsts = [
        items.iter().map(first).collect(),
        now().map(first).collect(),
    ];
    let all = [
        items.iter().flat_map(Item::addrs).collect(),
        now().flat_map(Item::addrs).collect(),
    ];
    // Items keep their roots exactly as long as their recipes, but for the last step.
    let root = |item: &Item| (item.root.clone(), first(item));
    let roots = [items.iter().map(root).collect(), now().map(root).collect()];
    let of_hub = dag.dependents(hub(), None).try_collect();
    ask("dependents", of_hub, |found| {
        many(found, &firsts[0], &firsts[1])
    })
    .await;
    if let Ok(id) = "f/1".parse() {
        let of_function = dag.by_function(&id, None).try_collect();
        ask("by_function", of_function, |found| {
            many(found, &firsts[0], &firsts[1])
        })
        .await;
    }
    let list = dag.list(None).map_ok(|(addr, _)| addr).try_collect();
    ask("list", list, |found| many(found, &all[0], &all[1])).await;
    let listed = dag.roots(None).try_collect();
    ask("roots", listed, |found| many(found, &roots[0], &roots[1])).await;
    let there = now().count() as u64;
    let expected = DagUsage {
        recipes: 2 * there,
        outputs: there,
        roots: there,
    };
    ask("usage", dag.usage(), |found| match found {
        None if !dag.capabilities().usage => Verdict::Right,
        Some(usage) if usage == expected => Verdict::Right,
        // Counts of an earlier state: at most one item was there that is no more.
        Some(usage) if usage.recipes <= expected.recipes + 2 => Verdict::Lost,
        _ => Verdict::Wrong,
    })
    .await;
}

/// Writes on: that too must be answered, and what is acknowledged must be there.
async fn write_more(stores: &Stores, from: u64) {
    for n in from..from + 6 {
        let Ok(item) = Item::new(n) else { return };
        let mut written = false;
        for step in Item::life(n, stores.dag.is_some()) {
            let made = ask("write", item.make(step, stores), |()| Verdict::Right).await;
            match step {
                Step::Put => written = made == Verdict::Right,
                Step::RemoveBlob => written = false,
                _ => {}
            }
        }
        let got = stores.blobs.get(item.blob.addr());
        ask("get of a new blob", got, |found| match found {
            Some(found) if found == item.blob => Verdict::Right,
            None if !written => Verdict::Lost,
            _ => Verdict::Wrong,
        })
        .await;
    }
    ask("flush", stores.flush(), |()| Verdict::Right).await;
}
