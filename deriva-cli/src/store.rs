//! The store that a call names: made only by what fills it, and waited for where that was asked. Or the server that stands for one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueHint};
use deriva::client::Client;
use deriva::events::Observer;
use deriva::stores::StoreUri;
use deriva::{Clock, Deriva, DerivaBuilder, Error, ErrorKind, SystemClock};

use crate::exit::{Failure, Outcome, usage};
use crate::handle::Handle;
use crate::interrupt::interruptible;
use crate::metrics::{self, Listening};
use crate::otlp::Sending;
use crate::term::note;

/// The store that is meant where none is named.
pub(crate) const DEFAULT: &str = "sled:.deriva";

/// Between two attempts to open a store that another process has.
const PAUSE: Duration = Duration::from_millis(20);

// No doc comment: it would become that of the command.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where blobs and recipes live: sled:PATH, redb:PATH, memory: for this call alone, or several put together, as
    /// 'split(blobs=files:PATH, dag=redb:PATH)' [default: sled:.deriva]
    #[cfg_attr(feature = "rocksdb", doc = "(also rocksdb:PATH)")]
    #[arg(
        long,
        global = true,
        env = "DERIVA_STORE",
        value_name = "URI",
        hide_env_values = true
    )]
    store: Option<String>,
    /// Let a server do it, over its store: deriva://HOST:PORT, or derivas://HOST:PORT with TLS; options follow a `?`
    #[arg(
        long,
        global = true,
        env = "DERIVA_SERVER",
        value_name = "URL",
        value_hint = ValueHint::Url,
        hide_env_values = true
    )]
    server: Option<String>,
    /// Memory for values in flight, results that wait to be written and the cache, as 256MiB; any size will do;
    /// default: a quarter of what there is
    #[arg(
        long,
        global = true,
        env = "DERIVA_MEMORY",
        value_name = "SIZE",
        hide_env_values = true
    )]
    memory: Option<ByteSize>,
    /// Wait this long, as 30s, for a store that another process has open; default: not at all
    #[arg(
        long,
        global = true,
        env = "DERIVA_WAIT",
        value_name = "DURATION",
        hide_env_values = true,
        value_parser = humantime::parse_duration
    )]
    wait: Option<Duration>,
    /// Options on the command line that a server has settings of its own for.
    #[arg(skip)]
    not_there: Vec<&'static str>,
    /// Whether the server stands on the command line.
    #[arg(skip)]
    names_server: bool,
    /// To whom the work on the store is told.
    #[arg(skip)]
    pub(crate) sending: Sending,
}

/// What is opened where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    /// Nothing: the verb has nothing to do.
    Refused,
    /// The store, which begins.
    Begun,
    /// An empty one in memory.
    Empty,
}

/// How a verb opens its store.
pub(crate) struct Opening<'a> {
    args: &'a StoreArgs,
    uri: &'a str,
    /// Who does the work instead.
    server: Option<&'a str>,
    not_there: Vec<&'static str>,
    absent: Absent,
    jobs: Option<u16>,
    settings: Box<dyn Fn(DerivaBuilder) -> DerivaBuilder + 'a>,
    next: Box<dyn FnOnce() -> Option<String> + 'a>,
    metrics: MetricsArgs<'a>,
}

/// Where what was counted is told.
#[derive(Default)]
struct MetricsArgs<'a> {
    file: Option<&'a Path>,
    listen: Option<SocketAddr>,
}

/// Who is told what is done, if anybody is.
type Observing<'a> = Option<&'a Arc<dyn Observer>>;

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StoreArgs {
    /// Takes the store or the server, where both are named: the command line goes over the environment, and the server over the
    /// store.
    ///
    /// # Errors
    /// `Invalid` where the command line names both.
    pub(crate) fn choose(&mut self, matches: &ArgMatches) -> Outcome {
        let is_given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        // A variable that is set to nothing names nothing.
        self.server.take_if(|server| server.is_empty());
        match (is_given("store"), is_given("server")) {
            (true, true) => {
                return Err(usage("a store was named, and a server, which has its own")
                    .hint("leave --store or --server away")
                    .into());
            }
            (true, false) => self.server = None,
            (false, _) => {}
        }
        self.names_server = is_given("server");
        let own = [("memory", "--memory"), ("wait", "--wait")];
        let own = own.into_iter().filter(|(id, _)| is_given(id));
        self.not_there = own.map(|(_, option)| option).collect();
        Ok(())
    }

    /// Refuses a server that the command line names, for a verb that is done in this process.
    ///
    /// # Errors
    /// `Invalid` where it does.
    pub(crate) fn only_here(&self, verb: &str, next: &str) -> Outcome {
        match &self.server {
            Some(server) if self.names_server => {
                Err(usage(format!("`{verb}` is not left to a server"))
                    .with("server", server)
                    .hint(format!("leave --server away: {next}"))
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// The server that does the work, where there is one.
    pub(crate) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Connects to that server.
    ///
    /// # Errors
    /// `Invalid` for what is no URL of one, and what the connection says.
    pub(crate) async fn connected(&self) -> Outcome<Option<Client>> {
        match self.server() {
            Some(server) => Ok(Some(connect(server).await?)),
            None => Ok(None),
        }
    }

    /// The URI of the store.
    pub(crate) fn uri(&self) -> &str {
        self.given().unwrap_or(DEFAULT)
    }

    /// The same, where somebody named one.
    pub(crate) fn given(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Bytes of memory, where somebody said how many.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.memory.map(|size| size.as_u64())
    }

    /// Opens the store that is there; that there is none is an error.
    pub(crate) fn existing(&self) -> Opening<'_> {
        self.opening(Absent::Refused)
    }

    /// The same of another store than the one that the call names.
    pub(crate) fn existing_at<'a>(&'a self, uri: &'a str) -> Opening<'a> {
        Opening {
            uri,
            server: None,
            ..self.existing()
        }
    }

    /// Opens the store, or begins it.
    pub(crate) fn begun(&self) -> Opening<'_> {
        self.opening(Absent::Begun)
    }

    /// The same of another store than the one that the call names.
    pub(crate) fn begun_at<'a>(&'a self, uri: &'a str) -> Opening<'a> {
        Opening {
            uri,
            server: None,
            ..self.begun()
        }
    }

    /// Opens the store that is there, or an empty one in its place: what would be done with a store that is yet to be
    /// made can be told.
    pub(crate) fn existing_or_empty(&self) -> Opening<'_> {
        self.opening(Absent::Empty)
    }

    fn opening(&self, absent: Absent) -> Opening<'_> {
        Opening {
            args: self,
            uri: self.uri(),
            server: self.server(),
            not_there: self.not_there.clone(),
            absent,
            jobs: None,
            settings: Box::new(|builder| builder),
            next: Box::new(|| None),
            metrics: MetricsArgs::default(),
        }
    }
}

impl<'a> Opening<'a> {
    /// Recipes computed at a time; default: one per core.
    pub(crate) fn jobs(self, jobs: Option<u16>) -> Self {
        Self { jobs, ..self }
    }

    /// What else the handle is built with.
    pub(crate) fn built_with(self, settings: impl Fn(DerivaBuilder) -> DerivaBuilder + 'a) -> Self {
        let settings = Box::new(settings);
        Self { settings, ..self }
    }

    /// Refuses these options, where they are given, when a server does the work: it has settings of its own for what they say.
    pub(crate) fn not_there(
        mut self,
        options: impl IntoIterator<Item = (&'static str, bool)>,
    ) -> Self {
        let given = options.into_iter().filter(|(_, is_given)| *is_given);
        self.not_there.extend(given.map(|(option, _)| option));
        self
    }

    /// Writes what was counted to a file at the end, however the work ends.
    pub(crate) fn metrics(mut self, file: Option<&'a Path>) -> Self {
        self.metrics.file = file;
        self.not_there([("--metrics", file.is_some())])
    }

    /// Tells what was counted so far, at this address, to who asks meanwhile.
    pub(crate) fn metrics_at(mut self, listen: Option<SocketAddr>) -> Self {
        self.metrics.listen = listen;
        self.not_there([("--metrics-listen", listen.is_some())])
    }

    /// What to do next, as an interrupted call tells it.
    pub(crate) fn if_interrupted(self, next: impl FnOnce() -> Option<String> + 'a) -> Self {
        let next = Box::new(next);
        Self { next, ..self }
    }

    /// Opens the store, or connects to the server, and does `work` on it, until it is done or a signal comes.
    ///
    /// # Errors
    /// `Invalid` for what is no URI of a store, `NotFound` where nothing is there; what the store and `work` say.
    pub(crate) async fn work(self, work: impl AsyncFnOnce(&Handle) -> Outcome) -> Outcome {
        let Some(server) = self.server else {
            let here = self.work_here(async |deriva| work(&Handle::Here(deriva.clone())).await);
            return here.await;
        };
        if !self.not_there.is_empty() {
            let options = self.not_there.join(", ");
            return Err(usage("a server does the work, and has settings of its own")
                .with("options", options)
                .with("server", server)
                .hint("leave these options away, or say it where the server is started: `deriva serve --print-config`")
                .into());
        }
        let handle = Handle::There {
            client: connect(server).await?,
            writes: self.absent == Absent::Begun,
        };
        let flush = async || handle.flush().await;
        interruptible(flush, work(&handle), self.next, &self.args.sending).await
    }

    /// Opens the store in this process and does `work` on it, as [`Opening::work`] does.
    ///
    /// # Errors
    /// As [`Opening::work`].
    pub(crate) async fn work_here(self, work: impl AsyncFnOnce(&Deriva) -> Outcome) -> Outcome {
        let MetricsArgs { file, listen } = self.metrics;
        let listening = match listen {
            Some(addr) => Some(Listening::at(addr).await?),
            None => None,
        };
        let observer = listening.as_ref().map(Listening::observer);
        let deriva = self.open(observer.as_ref()).await?;
        let serving = listening.map(|it| AbortOnDrop(tokio::spawn(it.serve(deriva.clone()))));
        let sending = &self.args.sending;
        sending.counts(&deriva);
        let flush = async || deriva.flush().await;
        let done = interruptible(flush, work(&deriva), self.next, sending).await;
        drop(serving);
        sending.counted(&deriva).await;
        let Some(path) = file else {
            return done;
        };
        match (done, metrics::write(&deriva, path).await) {
            (Ok(()), written) => Ok(written?),
            (failed, Err(error)) => {
                note(format!("note: the metrics were not written: {error}"));
                failed
            }
            (failed, Ok(())) => failed,
        }
    }

    /// Opens it, for who does not end it by a signal.
    ///
    /// # Errors
    /// As [`Opening::work`].
    pub(crate) async fn opened(self, observer: Observing<'_>) -> Outcome<Deriva> {
        self.open(observer).await
    }

    /// Opens it for its work, which this one observes.
    async fn open(&self, observer: Observing<'_>) -> Outcome<Deriva> {
        let args = self.args;
        let uri: StoreUri = self.uri.parse()?;
        // Said before anything is looked for.
        deriva::stores::builtin().check(&uri)?;
        if self.absent != Absent::Begun
            && let Some(absent) = absent(&uri)
        {
            if self.absent == Absent::Empty {
                return self.attempt("memory:", observer).await;
            }
            let how = match self.uri == args.uri() {
                true => "name another with --store or DERIVA_STORE",
                false => "name another",
            };
            let begin = "`deriva put` and `deriva run` begin one";
            return Err(Error::new(ErrorKind::NotFound, "there is no store here")
                .with("store", absent)
                .hint(format!("{how}; {begin}"))
                .into());
        }
        let clock = SystemClock::new();
        let until = clock.now().saturating_add(args.wait.unwrap_or_default());
        loop {
            match self.attempt(self.uri, observer).await {
                Err(Failure::Error { error, .. }) if error.kind() == ErrorKind::Locked => {
                    if clock.now() >= until {
                        let hint = match args.wait {
                            Some(_) => "close the store in the other process, or wait longer",
                            None => "add --wait 30s to wait for it, or choose another store",
                        };
                        return Err(error.hint_instead(hint).into());
                    }
                    clock.sleep(PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    async fn attempt(&self, store: &str, observer: Observing<'_>) -> Outcome<Deriva> {
        let mut builder = (self.settings)(deriva::builder().store(store));
        if let Some(jobs) = self.jobs {
            builder = builder.jobs(jobs.into());
        }
        if let Some(memory) = self.args.memory {
            builder = builder.memory(memory.as_u64());
        }
        if let Some(observer) = observer {
            builder = builder.observer(Arc::clone(observer));
        }
        let built = builder.build().await;
        // What is missing is said with the builder's methods, which this command's callers do not see.
        Ok(built.map_err(|error| match error.context("missing") {
            Some(_) => {
                error.hint_instead("name a store of blobs and recipes, as sled:PATH or redb:PATH")
            }
            None => error,
        })?)
    }
}

/// Whether URIs of this scheme name a server.
fn is_server(scheme: &str) -> bool {
    matches!(scheme, "deriva" | "derivas")
}

/// Connects to a server.
async fn connect(server: &str) -> Outcome<Client> {
    let scheme = server.split_once(':').map_or("", |(scheme, _)| scheme);
    if !is_server(scheme) {
        let hint = match scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        {
            true => {
                "a server prints its URL when it is ready: deriva://HOST:PORT; by http it answers metrics alone"
            }
            false => "write deriva://HOST:PORT, or derivas://HOST:PORT for a server with TLS",
        };
        let what = "a server's URL begins with deriva:// or derivas://";
        return Err(usage(what).with("server", server).hint(hint).into());
    }
    Ok(Client::connect(server).await?)
}

/// That of the stores that are put together where nothing is. Copies are no loss: a fast store may be made anew.
fn absent(uri: &StoreUri) -> Option<&StoreUri> {
    if uri.is_stack() {
        let mut stores = uri.stores().filter(|(name, _)| *name != "fast");
        return stores.find_map(|(_, store)| absent(store));
    }
    if is_server(uri.scheme()) {
        return None;
    }
    let is_there = match std::fs::read_dir(uri.path()) {
        // What cannot be looked at is told by opening it.
        Err(error) => uri.path().is_empty() || error.kind() != std::io::ErrorKind::NotFound,
        Ok(mut entries) => entries.next().is_some(),
    };
    (!is_there).then_some(uri)
}
