//! The child that writes until it is killed, and tells on its output what the store acknowledged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{DurabilityClass, Result};
use futures::executor::block_on;

use super::item::Item;
use super::program::{Asked, Job, die, tell};
use super::store::{Provable, Stores};

/// Steps of item `n` on a buffered store between two flushes. With 4, the removal of its blob is flushed
/// before the blob is put again, and a file of it is deleted; with 3, both are flushed together.
pub(super) fn window(n: u64) -> usize {
    match (n / 12).is_multiple_of(2) {
        true => 3,
        false => 4,
    }
}

/// What the writing process is told.
#[derive(Clone, Debug)]
pub(crate) struct WriterArgs {
    /// Where the store lies.
    pub(crate) place: PathBuf,
    /// The number of the first item.
    pub(crate) first: u64,
    /// How many items to write, after which the store is closed.
    pub(crate) items: u64,
    /// Threads that write, each an item at a time.
    pub(crate) threads: u64,
    /// Tell each step as soon as the store answered it, even if only a flush makes it durable, and tell
    /// when it began.
    pub(crate) each: bool,
    /// Flush after each item.
    pub(crate) flush: bool,
    /// End the process, as if killed, at this failpoint.
    pub(crate) die_at: Option<String>,
    /// How often the failpoint is passed before.
    pub(crate) passes: u64,
    /// End the process, as if killed, when all items are written.
    pub(crate) die_at_end: bool,
}

impl WriterArgs {
    pub(crate) fn new(place: &Path) -> Self {
        Self {
            place: place.to_owned(),
            first: 0,
            items: u64::MAX,
            threads: 4,
            each: false,
            flush: false,
            die_at: None,
            passes: 0,
            die_at_end: false,
        }
    }

    pub(crate) fn job(&self) -> Job {
        let job = Job::new("write")
            .with("place", self.place.display())
            .with("first", self.first)
            .with("items", self.items)
            .with("threads", self.threads)
            .with("each", self.each)
            .with("flush", self.flush)
            .with("passes", self.passes)
            .with("die_at_end", self.die_at_end);
        match &self.die_at {
            Some(name) => job.with("die_at", name),
            None => job,
        }
    }

    pub(super) fn of(asked: &Asked) -> Result<Self> {
        Ok(Self {
            place: asked.place(),
            first: asked.number("first")?,
            items: asked.number("items")?,
            threads: asked.number("threads")?,
            each: asked.flag("each"),
            flush: asked.flag("flush"),
            die_at: asked.text("die_at").map(str::to_owned),
            passes: asked.number("passes")?,
            die_at_end: asked.flag("die_at_end"),
        })
    }
}

/// A line of the child: `steps` steps of item `n` are acknowledged.
pub(super) fn parse_ack(line: &str) -> Option<(u64, usize)> {
    let (n, steps) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((n.parse().ok()?, steps.parse().ok()?))
}

pub(super) fn run(store: &dyn Provable, args: &WriterArgs) -> Result<()> {
    if let Some(name) = &args.die_at {
        store.arm(name, Box::new(dying(args.passes)));
    }
    let stores = block_on(Stores::open(store, &args.place))?;
    // A class above none: what is acknowledged survives a killed process without a flush.
    let class = stores.blobs.capabilities().durability;
    let durable = args.each || class > DurabilityClass::None;
    let end = args.first.saturating_add(args.items);
    let write = |thread: u64| -> Result<()> {
        for n in (args.first + thread..end).step_by(args.threads as usize) {
            let window = if durable { 1 } else { window(n) };
            block_on(live(n, &stores, window, args))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads)
            .map(|thread| scope.spawn(move || write(thread)))
            .collect();
        let mut done = threads.into_iter().map(|thread| thread.join());
        done.try_for_each(|thread| thread.unwrap_or(Ok(())))
    })?;
    if args.die_at_end {
        die();
    }
    Ok(())
}

/// Leads an item through its steps, flushing after each `window` of them where that is needed.
async fn live(n: u64, stores: &Stores, window: usize, args: &WriterArgs) -> Result<()> {
    let item = Item::new(n)?;
    let life = Item::life(n, stores.dag.is_some());
    for (at, step) in life.iter().enumerate() {
        let done = at + 1;
        if args.each {
            tell(&format!("begin {step:?} {}", item.blob.len()));
        }
        item.make(*step, stores).await?;
        if done % window == 0 || done == life.len() {
            if window > 1 {
                stores.flush().await?;
            }
            tell(&format!("ack {n} {done}"));
        }
    }
    if args.flush {
        tell("begin Flush 0");
        stores.flush().await?;
        tell(&format!("ack {n} {}", life.len()));
    }
    Ok(())
}

/// For a failpoint: after `passes` passes, tells `died` and ends the process as if killed.
pub fn dying(passes: u64) -> impl Fn() + Send + Sync {
    let left = AtomicU64::new(passes);
    move || {
        let passed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if passed.is_err() {
            tell("died");
            die();
        }
    }
}
