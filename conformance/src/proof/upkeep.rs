//! The child that invalidates, scrubs, materializes, audits or checks until it is killed.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use deriva_api::{AuditEvent, CAddr, Error, FunctionRegistry, Result};
use deriva_runtime::DerivaBuilder;
use deriva_testkit::functions::{function, graph};
use deriva_testkit::proof::{tell, told};

use super::store::die_at;
use super::{Broken, checks};

/// The signal of `kill -9`.
const KILL: i32 = 9;

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
    /// What roots name is asked for as they say ([`super::Ask`]). Each violation that is heard of is told.
    Check,
}

/// A moment in the life of a process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What it has told by then, in lines, since it opened the store.
    pub lines: usize,
    /// How long after that.
    pub delay: Duration,
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
    pub die_at: Option<String>,
    /// How often the failpoint is passed before.
    #[arg(long, default_value_t = 0)]
    pub passes: u64,
    /// Kill it from outside, at this moment.
    #[arg(skip)]
    pub killed: Option<Moment>,
}

impl UpkeepArgs {
    /// Runs `program` like this; answers whether it died as it should.
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
        let mut child = self.command(program).spawn()?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| Broken::new("the process has no output"))?;
        let lines = BufReader::new(output).lines();
        let lines = lines.map_while(std::io::Result::ok);
        let mut lines = lines.filter_map(|line| told(&line).map(str::to_owned));
        let mut said = Vec::new();
        if let Some(Moment { lines: many, delay }) = self.killed {
            // The first one says that the store is open.
            said.extend(lines.by_ref().take(1 + many));
            std::thread::park_timeout(delay);
            child.kill()?;
        }
        said.extend(lines);
        let output = child.wait_with_output()?;
        let killed = self.killed.is_some() && output.status.signal() == Some(KILL);
        // Others may tell something more until the process is gone.
        let died = killed || said.iter().any(|line| line == "died");
        let addrs = said.iter().filter_map(|line| line.parse().ok());
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

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let work = self.work.to_possible_value();
        command.arg("__upkeep").arg(&self.uri);
        command.args(work.iter().map(|work| work.get_name()));
        if let Some(place) = &self.die_at {
            command.args([
                format!("--die-at={place}"),
                format!("--passes={}", self.passes),
            ]);
        }
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn arm(&self) {
        if let Some(place) = &self.die_at {
            die_at(place, self.passes);
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
        let builder = DerivaBuilder::new();
        let mut builder = match args.work {
            Upkeep::Audit => builder.functions(edited()?),
            Upkeep::Check => checks::with_liars(builder, "child")?,
            _ => builder.functions(deriva_functions::builtin()),
        };
        if let Some(blobs) = opened.blobs {
            builder = builder.blobs(blobs);
        }
        if let Some(dag) = opened.dag {
            builder = builder.dag(dag);
        }
        if args.work == Upkeep::Check {
            // What an earlier one left undone is done when the store is opened.
            args.arm();
        }
        let deriva = builder.build().await?;
        if args.work != Upkeep::Check {
            args.arm();
        }
        tell("open");
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
            Upkeep::Check => checks::ask(&deriva).await?,
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
