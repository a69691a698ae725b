//! One cold LAYERED graph on one thread, to be profiled or to see how much memory it takes:
//! `valgrind --tool=callgrind target/release/examples/layered 1000 20`, or
//! `target/release/examples/layered 10000 1000 sled:/tmp/store 1024` for ten million recipes in a
//! budget of 1024 MiB. With a fifth argument, `without`, it goes without metrics.
#![allow(clippy::print_stdout, reason = "a program that prints its figures")]

use deriva::prelude::*;
use deriva::{Clock, SystemClock};
use deriva_testkit::Workload;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default| {
        let arg = args.get(place).and_then(|arg| arg.parse().ok());
        arg.unwrap_or(default)
    };
    let (width, layers) = (number(0, 1000), number(1, 20));
    let store = args.get(2).map_or("memory:", String::as_str);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Error::io)?;
    runtime.block_on(async {
        let mut builder = Deriva::builder().store(store).jobs(1);
        if let Some(bytes) = args.get(3).and_then(|mib| mib.parse::<u64>().ok()) {
            builder = builder.memory(bytes << 20);
        }
        if args.get(4).is_some_and(|arg| arg == "without") {
            builder = builder.without_instrument();
        }
        let deriva = builder.build().await?;
        let (clock, workload) = (SystemClock::new(), Workload::Layered { width, layers });
        let began = clock.now();
        let root = workload.load(&**deriva.blobs(), &**deriva.dag()).await?;
        let loaded = clock.now();
        let resident = status("VmRSS:");
        // Resets the peak.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let done = deriva.materialize(root).await?;
        let ended = clock.now();
        assert_eq!(done.summary.computed, workload.len());
        println!(
            "{} recipes on {store}: loaded in {:?}",
            workload.len(),
            loaded - began
        );
        println!(
            "materialized in {:?}, root {:02x?}",
            ended - loaded,
            deriva.get(root).await?
        );
        println!(
            "resident before {resident}, at the peak {}",
            status("VmHWM:")
        );
        Ok(())
    })
}

fn status(key: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or("unknown").trim().to_owned()
}
