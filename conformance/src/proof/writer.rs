//! The child that writes until it is killed, and tells on its output what the store acknowledged.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use deriva_api::{DurabilityClass, Result};
use futures::executor::block_on;
use rustix::process::{Signal, getpid, kill_process};

use super::Stores;
use super::item::Item;

/// Steps of item `n` on a buffered store between two flushes. With 4, the removal of its blob is flushed
/// before the blob is put again, and a file of it is deleted; with 3, both are flushed together.
pub(super) fn window(n: u64) -> usize {
    match (n / 12).is_multiple_of(2) {
        true => 3,
        false => 4,
    }
}

/// How the writing process is called.
#[derive(Args, Clone, Debug)]
pub struct WriterArgs {
    /// The store.
    pub(super) uri: String,
    /// The number of the first item.
    #[arg(long, default_value_t = 0)]
    pub(super) first: u64,
    /// How many items to write, after which the store is closed.
    #[arg(long, default_value_t = u64::MAX)]
    pub(super) items: u64,
    /// Threads that write, each an item at a time.
    #[arg(long, default_value_t = 4)]
    pub(super) threads: u64,
    /// Tell each step as soon as the store answered it, even if only a flush makes it durable, and tell
    /// when it began.
    #[arg(long)]
    pub(super) each: bool,
    /// Flush after each item.
    #[arg(long)]
    pub(super) flush: bool,
    /// End the process, as if killed, at this failpoint.
    #[arg(long)]
    pub(super) die_at: Option<String>,
    /// How often the failpoint is passed before.
    #[arg(long, default_value_t = 0)]
    pub(super) passes: u64,
    /// End the process, as if killed, when all items are written.
    #[arg(long)]
    pub(super) die_at_end: bool,
}

impl WriterArgs {
    pub(super) fn new(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
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

    /// The arguments, as the command understands them.
    pub(super) fn to_command_line(&self) -> Vec<String> {
        let mut args = vec![
            "__writer".to_owned(),
            self.uri.clone(),
            format!("--first={}", self.first),
            format!("--items={}", self.items),
            format!("--threads={}", self.threads),
            format!("--passes={}", self.passes),
        ];
        args.extend(self.die_at.iter().map(|name| format!("--die-at={name}")));
        args.extend(self.each.then(|| "--each".to_owned()));
        args.extend(self.flush.then(|| "--flush".to_owned()));
        args.extend(self.die_at_end.then(|| "--die-at-end".to_owned()));
        args
    }
}

/// A line of the child: `steps` steps of item `n` are acknowledged.
pub(super) fn parse_ack(line: &str) -> Option<(u64, usize)> {
    let (n, steps) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((n.parse().ok()?, steps.parse().ok()?))
}

pub(super) fn run(args: &WriterArgs) -> Result<()> {
    if let Some(name) = &args.die_at {
        die_at(name, args.passes);
    }
    let stores = block_on(Stores::open(&args.uri))?;
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

/// In one write, so that lines of several threads do not mix.
pub(super) fn tell(line: &str) {
    let line = format!("{line}\n");
    // Nobody listens any more: the parent is gone, and so is the reason to write.
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        die();
    }
}

pub(super) fn die_at(name: &str, passes: u64) {
    let left = AtomicU64::new(passes);
    let reached = move || {
        let passed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if passed.is_err() {
            tell("died");
            die();
        }
    };
    fail::cfg_callback(name, reached).ok();
}

/// As `kill -9` would: nothing is closed, nothing written.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).ok();
    std::process::abort()
}
