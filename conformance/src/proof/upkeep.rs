//! The child that invalidates, scrubs or materializes until it is killed.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use deriva_api::{AuditEvent, CAddr, Error, FunctionRegistry, Result};
use deriva_runtime::DerivaBuilder;
use deriva_testkit::functions::{function, graph};
use deriva_testkit::proof::{tell, told};

use super::Broken;
use super::store::die_at;

/// What is done to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Upkeep {
    /// All outputs of `bench.mix/1` are forgotten, with what was made from them.
    Invalidate,
    /// Everything is verified and healed.
    Scrub,
    /// What roots name is made available.
    Materialize,
    /// Every recorded output is compared with what `bench.mix/1` gives now: every other one is not that. What was found is
    /// told.
    Audit,
}

/// How the process is called.
#[derive(Args, Clone, Debug)]
pub struct UpkeepArgs {
    /// The store.
    pub uri: String,
    /// What to do.
    pub work: Upkeep,
    /// End the process, as if killed, at this failpoint.
    #[arg(long)]
    pub die_at: String,
    /// How often the failpoint is passed before.
    #[arg(long)]
    pub passes: u64,
}

impl UpkeepArgs {
    /// Runs `program` like this; answers whether it died at the failpoint.
    ///
    /// # Errors
    /// A process that ended otherwise.
    pub fn dies(&self, program: &Path) -> Result<bool, Broken> {
        self.dies_telling(program).map(|(died, _)| died)
    }

    /// The same, and the addresses that it told.
    ///
    /// # Errors
    /// A process that ended otherwise.
    pub fn dies_telling(&self, program: &Path) -> Result<(bool, Vec<CAddr>), Broken> {
        let work = self.work.to_possible_value();
        let output = Command::new(program)
            .arg("__upkeep")
            .arg(&self.uri)
            .args(work.iter().map(|work| work.get_name()))
            .arg(format!("--die-at={}", self.die_at))
            .arg(format!("--passes={}", self.passes))
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().filter_map(told).collect();
        // Others may tell something more until the process is gone.
        let died = lines.contains(&"died");
        let addrs = lines.iter().filter_map(|line| line.parse().ok());
        match died || output.status.success() {
            true => Ok((died, addrs.collect())),
            false => Err(Broken::new(format!(
                "{:?} ended: {}, {}",
                self.work,
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ))),
        }
    }
}

pub(super) fn run(args: &UpkeepArgs) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .map_err(Error::io)?;
    tokio.block_on(async {
        let opened = crate::open(&args.uri).await?;
        let mut builder = DerivaBuilder::new().functions(match args.work {
            Upkeep::Audit => edited()?,
            _ => deriva_functions::builtin(),
        });
        if let Some(blobs) = opened.blobs {
            builder = builder.blobs(blobs);
        }
        if let Some(dag) = opened.dag {
            builder = builder.dag(dag);
        }
        let deriva = builder.build().await?;
        die_at(&args.die_at, args.passes);
        match args.work {
            Upkeep::Invalidate => {
                let id = "bench.mix/1".parse()?;
                deriva.invalidate_function(&id).cascade().await?;
            }
            Upkeep::Scrub => {
                deriva.scrub().bytes_per_second(u64::MAX).await?;
            }
            Upkeep::Audit => {
                let told = |event: &AuditEvent| {
                    if let AuditEvent::Violated { addr, .. } = event {
                        tell(&addr.to_string());
                    }
                };
                deriva.audit().progress(told).await?;
            }
            Upkeep::Materialize => {
                let roots = deriva.roots().await?;
                let addrs = roots.into_iter().map(|(_, addr)| addr);
                deriva.materialize_many(addrs).await?;
            }
        }
        deriva.flush().await
    })
}

/// The functions of the workloads, of which `bench.mix/1` was edited and kept its version.
fn edited() -> Result<FunctionRegistry> {
    let mut functions = FunctionRegistry::new();
    for known in graph() {
        if known.id().name() != "bench.mix" {
            functions.register(known)?;
            continue;
        }
        let edited = function("bench.mix/1", move |inputs, params| {
            let right = known.call(inputs, params)?;
            match right.first().is_some_and(|byte| byte % 2 == 0) {
                true => Ok(right),
                false => Ok("edited".into()),
            }
        })?;
        functions.register(edited)?;
    }
    Ok(functions)
}
