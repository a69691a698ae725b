//! Threads of a server, whose CPU time can be told from that of its clients in the same process.

use std::fs;
use std::path::Path;

use deriva::{Error, Result};
use tokio::runtime::{Builder, Runtime};

/// A runtime whose threads have a name that no others have.
pub(super) struct Threads {
    pub(super) runtime: Runtime,
    name: &'static str,
}

impl Threads {
    /// Two threads; the name has 15 bytes at the most, as many as the kernel keeps.
    pub(super) fn new(name: &'static str) -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).thread_name(name).enable_all();
        Ok(Self {
            runtime: runtime.build().map_err(Error::io)?,
            name,
        })
    }

    /// CPU time of all of them so far, in seconds, as fine as the kernel's ticks.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0;
        for task in fs::read_dir("/proc/self/task").map_err(Error::io)? {
            ticks += self
                .ticks(&task.map_err(Error::io)?.path())
                .unwrap_or_default();
        }
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Those of one thread; `None` where it is another's, or has ended meanwhile.
    fn ticks(&self, task: &Path) -> Option<u64> {
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        // The name stands in parentheses, and may itself have some.
        let (before, fields) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = fields.split_whitespace().skip(11);
        let (user, system) = (fields.next()?, fields.next()?);
        let both = user.parse::<u64>().ok()? + system.parse::<u64>().ok()?;
        (name == self.name).then_some(both)
    }
}
