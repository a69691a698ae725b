//! One budget of bytes for all that a [`crate::Deriva`] holds: values in flight, results that wait to be
//! written, and the memory cache, which yields to the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::BlobCache;
use crate::planted::{Fault, planted};

/// Bytes by which an account may differ from what the budget knows of it: so that a node of a few bytes touches
/// no shared counter.
const SLACK: i64 = 64 << 10;

/// The budget.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    held: AtomicU64,
    cache: Arc<BlobCache>,
}

impl Memory {
    /// A budget of `limit` bytes, to which `cache` yields.
    pub(crate) fn new(limit: u64, cache: Arc<BlobCache>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicU64::new(0),
            cache,
        })
    }

    /// An account for one request.
    pub(crate) fn account(self: &Arc<Self>) -> Account {
        Account {
            memory: Arc::clone(self),
            held: 0,
            unshared: 0,
        }
    }

    /// Bytes that may be held.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that requests hold now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one request holds. What is left on it when it is dropped is given back.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Arc<Memory>,
    held: u64,
    unshared: i64,
}

impl Account {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.held += bytes;
        self.change(bytes as i64);
    }

    /// Bytes that are on the account.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn give_back(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.held, "more is given back than was held");
        self.held = self.held.saturating_sub(bytes);
        self.change(-(bytes as i64));
        if planted(Fault::pays_back_twice) {
            self.change(-(bytes as i64));
        }
    }

    /// Bytes by which the budget is exceeded with `more` bytes. The cache has yielded before.
    pub(crate) fn excess(&mut self, more: u64) -> u64 {
        self.share();
        let (memory, cache) = (&self.memory, &self.memory.cache);
        let wanted = memory.held() + more;
        let excess = |cached: u64| (wanted + cached).saturating_sub(memory.limit);
        match excess(cache.bytes()) {
            0 => 0,
            over => {
                cache.evict(over);
                excess(cache.bytes())
            }
        }
    }

    fn change(&mut self, by: i64) {
        self.unshared += by;
        if self.unshared.abs() >= SLACK {
            self.share();
        }
    }

    fn share(&mut self) {
        let held = &self.memory.held;
        match std::mem::take(&mut self.unshared) {
            more @ 1.. => held.fetch_add(more as u64, Ordering::Relaxed),
            0 => 0,
            less => held.fetch_sub(less.unsigned_abs(), Ordering::Relaxed),
        };
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.held);
        if planted(Fault::keeps_the_bytes_of_accounts) {
            return self.share();
        }
        self.unshared -= held as i64;
        self.share();
    }
}

/// The budget where none is set: a quarter of what the machine has, or of what the process's control
/// group, or one above it, may use.
pub(crate) fn default_limit() -> u64 {
    let machine = field("/proc/meminfo", "MemTotal:").map(|kib| kib << 10);
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = group_limits(&own).into_iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        text.trim().parse::<u64>().ok()
    });
    machine.into_iter().chain(groups).min().unwrap_or(1 << 30) / 4
}

/// The files with the limits of control groups, from what the kernel says of the process's own: of that one and all above it (version
/// 2), and of version 1 as a container sees it.
fn group_limits(own: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
    // What lies outside of a container is not seen in it.
    let path = path.filter(|path| !path.contains(".."));
    let group = root.join(path.unwrap_or_default());
    let groups = group.ancestors().take_while(|at| at.starts_with(root));
    let mut files: Vec<PathBuf> = groups.map(|at| at.join("memory.max")).collect();
    files.push(root.join("memory/memory.limit_in_bytes"));
    files
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use deriva_api::Blob;

    use super::*;

    #[test]
    fn the_limits_of_all_control_groups_are_looked_at() {
        let files = |own: &str| {
            let files = group_limits(own).into_iter();
            let files = files.map(|file| file.display().to_string());
            files.collect::<Vec<_>>()
        };
        let root = [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        for own in ["0::/\n", "", "12:memory:/x\n", "0::/../../outside\n"] {
            assert_eq!(files(own), root, "{own}");
        }
        let unit = files("0::/system.slice/deriva.service\n");
        assert_eq!(
            unit[..2],
            [
                "/sys/fs/cgroup/system.slice/deriva.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max"
            ]
        );
        assert_eq!(unit[2..], root);
    }

    #[test]
    fn an_excess_is_what_the_cache_could_not_yield() {
        const LIMIT: u64 = 1 << 20;
        let cache = Arc::new(BlobCache::new(LIMIT));
        let memory = Memory::new(LIMIT, Arc::clone(&cache));
        assert_eq!(memory.limit(), LIMIT);
        let (mut one, mut other) = (memory.account(), memory.account());
        one.add(LIMIT / 2);
        other.add(LIMIT / 4);
        assert_eq!(one.excess(LIMIT / 4), 0);
        assert_eq!(one.excess(LIMIT / 4 + 7), 7);
        assert_eq!(one.excess(LIMIT), LIMIT * 3 / 4);
        let blob = Blob::new(vec![1; 1000]);
        cache.insert(blob.stat().addr, &blob, Duration::ZERO);
        assert!(cache.bytes() > 0);
        assert_eq!(one.excess(LIMIT / 4), 0);
        assert_eq!(cache.bytes(), 0);
        drop(other);
        assert_eq!(one.excess(LIMIT / 2), 0);
        one.give_back(LIMIT / 2);
        assert_eq!(one.excess(LIMIT), 0);
        assert_eq!((one.held(), memory.held()), (0, 0));
    }

    #[test]
    fn the_default_is_a_share_of_this_machine() {
        let limit = default_limit();
        assert!((16 << 20..1 << 50).contains(&limit), "{limit}");
    }
}
