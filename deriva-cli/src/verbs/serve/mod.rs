//! Serving a store to others.

mod config;
mod settings;
mod setup;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use deriva::metrics::Activity;
use deriva::{Error, SystemClock};
use serde::Serialize;

use config::{CONFIG, Config, Origin};
use settings::{SETTINGS, Value};
use setup::Setup;

use crate::exit::{Failure, Outcome, usage};
use crate::interrupt::{HangUps, again, interrupted};
use crate::pipeline::Mistakes;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, note};

/// Serve the store to others, by gRPC and HTTP
///
/// Ends at SIGINT or SIGTERM, after the calls that are under way; SIGHUP reads tokens and certificates again.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where gRPC is answered: an address or a name of this host, with a port [default: 127.0.0.1:6733]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where HTTP is answered, metrics, probes and pages; or off [default: 127.0.0.1:6734]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Recipes computed at a time; default: one for each core
    #[arg(long, short, value_name = "N")]
    jobs: Option<String>,
    /// Check computations by running them again: off, dual, sampled:RATE, quorum:AGREE/OF
    #[arg(long, value_name = "MODE")]
    verify: Option<String>,
    /// A file of tokens; without one, nobody needs a token
    #[arg(long, value_name = "FILE")]
    tokens: Option<String>,
    /// A certificate with its chain, as PEM: TLS is spoken
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The private key of the certificate, as PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Clients must show a certificate that one of these signed, as PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// Listen for gRPC where others can reach it without TLS and tokens, too: they may do everything
    #[arg(long)]
    exposed_without_protection: bool,
    /// Answer HTTP where others can reach it, without TLS and tokens: they see metrics, status and what is under way
    #[arg(long)]
    http_exposed_without_protection: bool,
    /// Any setting, as limits.requests=100; --print-config lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A file of settings (TOML); the environment goes over it, and the command line over both
    #[arg(
        long,
        value_name = "FILE",
        env = CONFIG,
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Print every setting, as a file that can be given to --config, with its unit and where it comes from, and do nothing else
    #[arg(long)]
    print_config: bool,
}

/// A setting as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    key: &'static str,
    value: Option<String>,
    unit: &'static str,
    about: &'static str,
    origin: String,
}

impl Serve {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store.only_here("deriva serve", "--store names what is served")?;
        let config = self.config(store)?;
        if self.print_config {
            return print(&config, out);
        }
        let Setup { server, listen } = Setup::of(&config).await?;
        let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
        let listening = server
            .activity(Arc::clone(&activity))
            .listen(listen)
            .await?;
        let bound = listening.over(self.open(store, &config, &activity).await?);
        let http = bound.http_addr()?.map(|http| format!(", http://{http}"));
        let http = http.unwrap_or_default();
        // Who reads that it is ready may send signals.
        let (stop, mut hang_ups) = (stopped(), HangUps::new());
        note(format!("ready: deriva://{}{http}", bound.addr()?));
        let reloading = bound.reloading();
        let reloads = async move {
            loop {
                hang_ups.next().await;
                match reloading.reload() {
                    Ok(()) => note("tokens and certificates were read again"),
                    Err(error) => {
                        note("tokens and certificates stay as they were:");
                        Failure::from(error).report();
                    }
                }
            }
        };
        let drained = tokio::select! {
            drained = bound.serve(stop) => drained?,
            () = reloads => return Ok(()),
        };
        if !drained.complete {
            let what = "calls that were under way did not end in time, and were given up";
            let error = Error::new(deriva::ErrorKind::Timeout, what);
            return Err(error
                .hint("allow them more, as --set limits.drain=2min")
                .into());
        }
        note("stopped");
        Ok(())
    }

    /// What holds.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn config(&self, store: &StoreArgs) -> Outcome<Config> {
        let mut config = Config::defaults();
        let mut wrong: Vec<Failure> = Vec::new();
        if let Some(file) = &self.config {
            wrong.extend(config.file(file).err());
        }
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        wrong.extend(config.environment(variables).into_iter().map(Failure::from));
        let memory = store.memory().map(|bytes| format!("{bytes}B"));
        let given = [
            ("--store", "store", store.given().map(str::to_owned)),
            ("--memory", "memory", memory),
            ("--jobs", "jobs", self.jobs.clone()),
            ("--verify", "verify", self.verify.clone()),
            ("--listen", "listen", self.listen.clone()),
            ("--http", "http", self.http.clone()),
            ("--tokens", "tokens", self.tokens.clone()),
            ("--tls-cert", "tls.cert", self.tls_cert.clone()),
            ("--tls-key", "tls.key", self.tls_key.clone()),
            (
                "--tls-client-ca",
                "tls.client_ca",
                self.tls_client_ca.clone(),
            ),
            (
                "--exposed-without-protection",
                "exposed_without_protection",
                on(self.exposed_without_protection),
            ),
            (
                "--http-exposed-without-protection",
                "http_exposed_without_protection",
                on(self.http_exposed_without_protection),
            ),
        ];
        for (name, key, text) in given {
            if let Some(text) = text {
                // clap reads these two from the environment, too.
                let same = config.get(key).is_some_and(|(value, origin)| {
                    matches!(origin, Origin::Variable(_))
                        && value.written().trim_matches('"') == text
                });
                if !same {
                    wrong.extend(config.argument(name, key, &text).err().map(Failure::from));
                }
            }
        }
        for set in &self.set {
            let done = match set.split_once('=') {
                Some((key, text)) => config.argument("--set", key.trim(), text.trim()),
                None => {
                    let error = usage("KEY=VALUE was expected").with("argument", "--set");
                    Err(error.with("found", set))
                }
            };
            wrong.extend(done.err().map(Failure::from));
        }
        wrong.extend(setup::tls(&config).err().map(Failure::from));
        Failure::all(wrong).map(|()| config)
    }

    async fn open(
        &self,
        store: &StoreArgs,
        config: &Config,
        activity: &Arc<Activity>,
    ) -> Outcome<deriva::Deriva> {
        let uri = match config.get("store") {
            Some((Value::Text(uri), _)) => uri.clone(),
            _ => crate::store::DEFAULT.to_owned(),
        };
        let opening = store.begun_at(&uri).built_with(|mut builder| {
            if let Some((Value::Bytes(bytes), _)) = config.get("memory") {
                builder = builder.memory(*bytes);
            }
            if let Some((Value::Count(jobs), _)) = config.get("jobs") {
                builder = builder.jobs(usize::try_from(*jobs).unwrap_or(usize::MAX));
            }
            if let Some((Value::Mode(mode), _)) = config.get("verify") {
                builder = builder.determinism(*mode);
            }
            builder
        });
        opening.opened(Some(&(Arc::clone(activity) as _))).await
    }
}

/// The text of a switch that is given.
fn on(is_given: bool) -> Option<String> {
    is_given.then(|| "true".to_owned())
}

/// Waits for a signal; at a second one the process ends at once.
fn stopped() -> impl Future<Output = ()> {
    let first = interrupted();
    async move {
        first.await;
        let second = again();
        note("stopping: calls that are under way come to their end; a second signal ends them");
        tokio::spawn(async {
            second.await;
            std::process::exit(crate::exit::INTERRUPTED.into());
        });
    }
}

fn print(config: &Config, out: &mut Out) -> Outcome {
    for shown in shown(config) {
        out.item(&shown)?;
    }
    out.end_items()
}

fn shown(config: &Config) -> impl Iterator<Item = Shown> {
    SETTINGS.iter().map(|setting| {
        let found = config.get(setting.key);
        Shown {
            key: setting.key,
            value: found.map(|(value, _)| value.written()),
            unit: setting.kind.unit(),
            about: setting.about,
            origin: found.map_or_else(|| "not set".to_owned(), |(_, origin)| origin.to_string()),
        }
    })
}

/// What `--print-config` prints of a file with this text.
///
/// # Errors
/// All mistakes of the file.
pub(crate) fn printed(path: &Path, text: &str) -> Result<String, Mistakes> {
    let mut config = Config::defaults();
    config.text(path, text)?;
    let lines: Vec<String> = shown(&config)
        .map(|shown| shown.text(Style::plain()))
        .collect();
    Ok(lines.join("\n"))
}

impl Answer for Shown {
    fn text(&self, _: Style) -> String {
        let Self {
            key,
            about,
            unit,
            origin,
            ..
        } = self;
        let set = match &self.value {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} ="),
        };
        format!("# {about} ({unit}); from: {origin}\n{set}")
    }
}
