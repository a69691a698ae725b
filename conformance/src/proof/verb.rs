//! The proofs as verbs of the `conformance` command.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use deriva_testkit::proof::serve;

use super::collect::{self, CollectorArgs};
use super::power::{self, PowerArgs};
use super::store::{UriStore, VERB};
use super::upkeep::{self, UpkeepArgs};
use super::{Broken, Calls, Crash, Damage, prover};
use crate::check::{CASE, run_case};

/// The proofs that take long, and the children that all of them run.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Kills a process that writes, again and again, and checks that nothing acknowledged is lost
    Crash {
        /// The stores, as SCHEME or SCHEME?OPTIONS
        #[arg(long, value_delimiter = ',', required = true)]
        stores: Vec<String>,
        /// Kills of each store
        #[arg(long, default_value_t = 200)]
        kills: u64,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kills a process within its calls, at every system call that changes a file and at random moments, and checks that
    /// each call is there as a whole or not at all
    Calls {
        /// The stores, as SCHEME or SCHEME?OPTIONS
        #[arg(long, value_delimiter = ',', required = true)]
        stores: Vec<String>,
        /// Kills of each sort and store; where there are more system calls, that many, spread evenly over them
        #[arg(long, default_value_t = 1000)]
        kills: u64,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Damages the files of stores, and checks that answers are right or typed errors
    Damage {
        /// The stores, as SCHEME or SCHEME?OPTIONS
        #[arg(long, value_delimiter = ',', required = true)]
        stores: Vec<String>,
        /// Damages of each store
        #[arg(long, default_value_t = 1000)]
        damages: u64,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Shows what acknowledgements wait for, and which durability class that proves
    Durability {
        /// The stores, as SCHEME or SCHEME?OPTIONS
        #[arg(long, value_delimiter = ',', required = true)]
        stores: Vec<String>,
    },
    /// Opens stores in the disk states that a loss of power may leave, and checks that nothing acknowledged is lost
    Power(PowerArgs),
    /// Runs one case on a store under a stack of layers
    #[command(name = CASE, hide = true)]
    Case {
        /// The store
        store: String,
        /// The stack
        stack: String,
    },
    /// Opens the store for a proof, and does what that asks for
    #[command(name = VERB, hide = true)]
    Proof {
        /// The store
        store: String,
    },
    /// Invalidates, scrubs, materializes, audits or checks until it is killed
    #[command(name = "__upkeep", hide = true)]
    Upkeep(UpkeepArgs),
    /// Collects until it is killed
    #[command(name = "__collector", hide = true)]
    Collector(CollectorArgs),
}

impl Verb {
    /// Does it: 0 when all held.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match self {
            Self::Case { store, stack } => run_case(store, stack).map_err(Broken::from),
            Self::Proof { store } => {
                serve(&UriStore(store.clone()));
                Err(Broken::new("a proof starts this, and tells what to do"))
            }
            Self::Power(args) => return power::run(args),
            Self::Upkeep(args) => upkeep::run(args).map_err(Broken::from),
            Self::Collector(args) => collect::run(args).map_err(Broken::from),
            Self::Crash {
                stores,
                kills,
                seed,
            } => for_each(stores, "crash", |program, store| {
                let crash = Crash {
                    prover: prover(program, store),
                    kills: *kills,
                    seed: *seed,
                };
                Ok(crash
                    .run(|done| progress("kills", done, *kills))?
                    .to_string())
            }),
            Self::Calls {
                stores,
                kills,
                seed,
            } => for_each(stores, "calls", |program, store| {
                let calls = Calls {
                    prover: prover(program, store),
                    kills: *kills,
                    seed: *seed,
                };
                Ok(calls.run()?.to_string())
            }),
            Self::Damage {
                stores,
                damages,
                seed,
            } => for_each(stores, "damage", |program, store| {
                let damage = Damage {
                    prover: prover(program, store),
                    damages: *damages,
                    seed: *seed,
                };
                Ok(damage
                    .run(|done| progress("damages", done, *damages))?
                    .to_string())
            }),
            Self::Durability { stores } => for_each(stores, "durability", durability),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(broken) => {
                say_aside(&format!("{broken}\n"));
                ExitCode::FAILURE
            }
        }
    }
}

/// Does it to each store and says what came of it; fails at the end if one failed.
fn for_each(
    stores: &[String],
    what: &str,
    run: impl Fn(&Path, &str) -> Result<String, Broken>,
) -> Result<(), Broken> {
    let program = std::env::current_exe()?;
    let mut failed = 0;
    for store in stores {
        let told = match run(&program, store) {
            Ok(told) => told,
            Err(broken) => {
                failed += 1;
                format!("BROKEN: {broken}")
            }
        };
        let line = format!("{what} {store}: {told}\n");
        std::io::stdout().write_all(line.as_bytes())?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(Broken::new(format!(
            "{failed} of {} stores failed",
            stores.len()
        ))),
    }
}

fn durability(program: &Path, store: &str) -> Result<String, Broken> {
    let prover = prover(program, store);
    let proved = prover.durability()?;
    let mut told = format!("declared: {}; proved: {}", proved.declared, proved.class);
    match prover.waits()? {
        Err(why) => told.push_str(&format!("\n  NOT CHECKED: {why}")),
        Ok(waits) => {
            for waits in waits {
                told.push_str(&format!("\n  {}: {}", waits.call, waits.said()));
            }
        }
    }
    match proved.is_honest() {
        true => Ok(told),
        false => Err(Broken::new(told)),
    }
}

fn progress(what: &str, done: u64, of: u64) {
    if done.is_multiple_of(50) || done == of {
        say_aside(&format!("{done} of {of} {what}\n"));
    }
}

/// On stderr, where nobody may listen.
fn say_aside(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}
