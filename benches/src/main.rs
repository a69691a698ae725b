//! Measures deriva against bare loops and raw engines, in ratios taken in one run.
//!
//! Each row interleaves deriva with its baseline and compares medians. CPU seconds, peak memory and
//! bytes on disk stand beside the time. But for the bench of the cache itself, nothing is served from one:
//! every repetition works on a store of its own.
#![allow(clippy::print_stdout, reason = "a program that prints its figures")]

mod bare;
mod cache;
mod determinism;
mod heap;
mod materialize;
mod measure;
mod overhead;
mod report;
mod rpc;
mod schedule;
mod stores;

use std::process::ExitCode;

use clap::Parser;
use deriva::Result;

use report::Report;

/// Measures deriva against bare loops and raw engines.
#[derive(Debug, Parser)]
#[command(name = "deriva-bench", version)]
struct Args {
    /// Benchmarks to run; `list` prints their names; none means all.
    names: Vec<String>,
    /// Smaller workloads and fewer repetitions.
    #[arg(long)]
    quick: bool,
    /// One JSON object per row instead of a table.
    #[arg(long)]
    json: bool,
    /// Prints the peak of memory that `materialize` measures in a process of its own.
    #[arg(long, hide = true)]
    peak: bool,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
struct Scale {
    quick: bool,
}

impl Scale {
    /// `full`, or `quick` where little time is to be spent.
    fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn repetitions(self) -> usize {
        self.pick(5, 3)
    }
}

type Bench = fn(Scale, &mut Report) -> Result<()>;

const BENCHES: [(&str, &str, Bench); 7] = [
    (
        "materialize",
        "graphs computed cold, in memory against the bare loop and on each store against its engine alone",
        materialize::run,
    ),
    (
        "schedule",
        "makespans in virtual time, 1 to 1000 workers, against the bound: a recorded graph and random ones",
        schedule::run,
    ),
    (
        "stores",
        "each store against its engine alone: inserts, opening, reads, edges, blobs by size",
        stores::run,
    ),
    (
        "cache",
        "the memory cache: a warm get, and what its policy saves against LRU and an upper bound",
        cache::run,
    ),
    (
        "determinism",
        "what it costs to check computations by running them again, and how quickly an audit goes",
        determinism::run,
    ),
    (
        "overhead",
        "what metrics cost: a request and reads with them and without, and a scrape of a busy instance",
        overhead::run,
    ),
    (
        "rpc",
        "a client of a server on loopback against a bare service of the same messages: blobs by size, small gets, recipes",
        rpc::run,
    ),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let scale = Scale { quick: args.quick };
    if args.peak {
        return print_peak(scale);
    }
    heap::keep();
    if args.names.iter().any(|name| name == "list") {
        for (name, about, _) in BENCHES {
            println!("{name:12} {about}");
        }
        return ExitCode::SUCCESS;
    }
    let known = |name: &String| BENCHES.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = args.names.iter().find(|name| !known(name)) {
        eprintln!("error: there is no benchmark {unknown:?}; `list` prints those that there are");
        return ExitCode::from(2);
    }
    let mut report = Report::new(args.json);
    for (name, _, bench) in BENCHES {
        if !args.names.is_empty() && !args.names.iter().any(|chosen| chosen == name) {
            continue;
        }
        if let Err(error) = bench(scale, &mut report) {
            eprintln!("error: {name}: {error:?}");
            return ExitCode::FAILURE;
        }
    }
    report.finish();
    ExitCode::SUCCESS
}

fn print_peak(scale: Scale) -> ExitCode {
    match materialize::peak(scale).map(|sample| serde_json::to_string(&sample)) {
        Ok(Ok(line)) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        failed => {
            eprintln!("error: {failed:?}");
            ExitCode::FAILURE
        }
    }
}
