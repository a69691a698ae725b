//! Taking samples.

use std::path::Path;

use deriva::{Clock, Error, Result, SystemClock};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What one repetition took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Wall time.
    pub(crate) seconds: f64,
    /// CPU time of the whole process.
    pub(crate) cpu_seconds: f64,
    /// Growth of resident memory at its peak.
    pub(crate) peak_bytes: u64,
    /// Bytes on disk afterwards, where the caller fills it in.
    pub(crate) disk_bytes: u64,
}

/// Runs `work` once and measures it.
pub(crate) fn sample<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Sample)> {
    // Resets the peak of resident memory to what is resident now; without it the peak is too high,
    // never too low.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = status_bytes("VmRSS:");
    let (clock, cpu) = (SystemClock::new(), cpu_seconds());
    let began = clock.now();
    let done = work()?;
    let seconds = (clock.now() - began).as_secs_f64();
    let peak_bytes = status_bytes("VmHWM:").saturating_sub(before);
    Ok((
        done,
        Sample {
            seconds,
            cpu_seconds: cpu_seconds() - cpu,
            peak_bytes,
            disk_bytes: 0,
        },
    ))
}

/// Repeats two measurements in turn and gives the median of each. The first pair only warms up.
pub(crate) fn interleaved(
    repetitions: usize,
    mut ours: impl FnMut() -> Result<Sample>,
    mut baseline: impl FnMut() -> Result<Sample>,
) -> Result<(Sample, Sample)> {
    let (mut mine, mut base) = (Vec::new(), Vec::new());
    for repetition in 0..=repetitions {
        let (b, m) = (baseline()?, ours()?);
        if repetition > 0 {
            base.push(b);
            mine.push(m);
        }
    }
    Ok((median(mine), median(base)))
}

/// The sample with the median time.
fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Bytes that the files below a folder take on disk.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).map_err(Error::io)? {
            let entry = entry.map_err(Error::io)?;
            let metadata = entry.metadata().map_err(Error::io)?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                total += metadata.blocks() * 512;
            }
        }
    }
    Ok(total)
}

/// An async runtime with this many workers.
pub(crate) fn runtime(workers: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(Error::io)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn status_bytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
