//! Replayed losses of power as a verb of the command.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};
use deriva_api::{Error, ErrorKind, Result};
use deriva_testkit::power::{Model, Power, PowerReport, Scenario, SyncKind, Tally, Verdict};
use serde_json::json;

use super::{Broken, prover};

/// The stores that lie in files, durable and buffered. Those of schemes that were not compiled in are among them.
pub const STORES: &[&str] = &[
    "sled",
    "sled?durability=buffered",
    "redb",
    "redb?durability=buffered",
    "rocksdb",
    "rocksdb?durability=buffered",
    "files",
    "files?durability=buffered",
];

/// How losses of power are asked for.
#[derive(Args, Clone, Debug)]
pub struct PowerArgs {
    /// The stores, as SCHEME or SCHEME?OPTIONS; `all` for all that lie in files
    #[arg(long, value_delimiter = ',', required = true)]
    stores: Vec<String>,
    /// Disk states of each store
    #[arg(long, default_value_t = 2000)]
    states: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the folders of states that fail in this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    keep: Option<PathBuf>,
    /// Record only these; default: all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// Take this kind of sync out of what was recorded, to see that it is missed: fsync, fdatasync,
    /// folder, syncfs
    #[arg(long, value_name = "KIND")]
    without: Option<SyncKind>,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    report: Format,
    /// The same as `--report json`
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for each store
    #[default]
    Table,
    /// A line of JSON for each store, model and scenario
    Json,
}

/// Does it: 0 when every state of every store held, 2 for a store that cannot be asked.
pub(super) fn run(args: &PowerArgs) -> ExitCode {
    let stores = match stores(&args.stores) {
        Ok(stores) => stores,
        Err(error) => {
            say_aside(&format!("error: {error}\n"));
            return ExitCode::from(2);
        }
    };
    let mut held = true;
    for store in stores {
        let told = match replay(args, &store) {
            Ok(Ok(report)) => {
                held &= report.held();
                match args.json || args.report == Format::Json {
                    true => json_lines(&report),
                    false => format!("power {store}:\n{report}"),
                }
            }
            Ok(Err(why)) => {
                held = false;
                say_aside(&format!("power {store}: NOT CHECKED: {why}\n"));
                continue;
            }
            Err(broken) => {
                held = false;
                say_aside(&format!("power {store}: BROKEN: {broken}\n"));
                continue;
            }
        };
        // That nobody reads it is no failure.
        std::io::stdout().write_all(told.as_bytes()).ok();
    }
    match held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn stores(given: &[String]) -> Result<Vec<String>> {
    let mut stores: Vec<String> = Vec::new();
    for name in given {
        match name.as_str() {
            "all" => {
                let compiled = STORES.iter().filter(|store| parsed(store).is_ok());
                stores.extend(compiled.map(|store| (*store).to_owned()));
            }
            name => {
                parsed(name)?;
                stores.push(name.to_owned());
            }
        }
    }
    Ok(stores)
}

/// Asks whether this is a store that lies in one folder of files.
fn parsed(name: &str) -> Result<()> {
    let store: crate::stores::Store = name.parse()?;
    match store.uris() {
        [uri] if uri.scheme() != "memory" => Ok(()),
        _ => {
            let message = "losses of power are replayed on stores that lie in one folder";
            Err(Error::new(ErrorKind::Invalid, message)
                .with("given", name)
                .hint(format!("the stores are: {}", STORES.join(", "))))
        }
    }
}

fn replay(
    args: &PowerArgs,
    store: &str,
) -> std::result::Result<std::result::Result<PowerReport, String>, Broken> {
    let mut power = Power::new(
        prover(std::env::current_exe()?, store),
        args.states,
        args.seed,
    );
    power.keep = args.keep.clone();
    power.without = args.without;
    if !args.scenarios.is_empty() {
        power.scenarios = args.scenarios.clone();
    }
    power.run(|done| {
        if done.is_multiple_of(100) {
            say_aside(&format!("{store}: {done} of {} states\n", args.states));
        }
    })
}

fn json_lines(report: &PowerReport) -> String {
    let line = |((scenario, model), tally): (&(Scenario, Model), &Tally)| {
        let mut line = json!({
            "store": report.store,
            "model": model.to_string(),
            "scenario": scenario.to_string(),
            "states": tally.states,
            "acknowledged": tally.acknowledged,
            "torn": tally.torn,
            "replayed": report.replayed(*model),
        });
        for verdict in Verdict::ALL {
            line[verdict.name()] = tally.of(verdict).into();
        }
        format!("{line}\n")
    };
    report.tallies.iter().map(line).collect()
}

/// On stderr, where nobody may listen.
fn say_aside(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}
