//! `deriva run`: a pipeline file over real files.
//!
//! Sources are stored in batches, recipes inserted in batches, and one request asks for everything that
//! no other step reads. What happened to each node is tallied from the request's events.

mod draw;
mod dry;
mod expand;
mod lists;
mod outputs;
mod place;
mod progress;
mod report;
mod scan;
mod tally;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use deriva::events::Timeline;
use deriva::functions::FunctionRegistry;
use deriva::stores::StoreUri;
use deriva::{CAddr, Clock, Error, ErrorKind, Result, SystemClock};

use super::checks::VerifyArgs;
use super::request::RequestArgs;
use crate::args::jobs;
use crate::exit::{self, Failure, Outcome};
use crate::files::{self, at};
use crate::handle::{Handle, Materialize};
use crate::pipeline::Pipeline;
use crate::store::StoreArgs;
use crate::term::{Out, Style, counted, note};
use expand::Expansion;
use progress::Progress;
use tally::Tally;

/// Run a pipeline file, reusing what was computed before
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The pipeline file, or `-` for stdin
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Take the sources from this folder instead of the file's `root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    input: Option<PathBuf>,
    /// Write outputs to this folder; default: the file's `output`, else `out`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Finish what does not depend on a failure
    #[arg(long)]
    keep_going: bool,
    /// Tell what would run and why; computes and writes nothing
    #[arg(long, visible_alias = "dry-run")]
    explain: bool,
    /// Recipes computed at a time; default: one per core
    #[arg(long, short, value_name = "N", value_parser = jobs())]
    jobs: Option<u16>,
    /// Write what ran when to this file, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    timeline: Option<PathBuf>,
    /// Draw what ran to this SVG file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    graph: Option<PathBuf>,
    /// Write what was counted to this file at the end, for Prometheus (its text format)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    metrics: Option<PathBuf>,
    /// While it runs, tell what was counted at this address (`/metrics`), such as 127.0.0.1:9464; `deriva top` shows it
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    verify: VerifyArgs,
}

impl Run {
    /// Checks the pipeline before a store is opened, or begun, for it.
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        // What a server can do is known once there is a connection to it.
        let pipeline = match store.server() {
            None => Some(load(&self.file, &deriva::functions::builtin())?),
            Some(_) => None,
        };
        let own = match store.server() {
            None => Some(store.uri()),
            Some(_) => None,
        };
        let opening = match self.explain {
            true => store.existing_or_empty(),
            false => store.begun(),
        };
        opening
            .jobs(self.jobs)
            .not_there(self.verify.not_there())
            .not_there([("--timeline", self.timeline.is_some())])
            .built_with(|builder| self.verify.build(builder))
            .metrics(self.metrics.as_deref())
            .metrics_at(self.metrics_listen)
            .if_interrupted(|| {
                Some("run the same command again: what was computed is kept".to_owned())
            })
            .work(async |handle| {
                let pipeline = match pipeline {
                    Some(pipeline) => pipeline,
                    None => load(&self.file, &handle.functions().await?)?,
                };
                run(handle, own, pipeline, self, out).await
            })
            .await
    }
}

/// What came from disk.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    files: u64,
    bytes: u64,
    time: Duration,
}

/// Where a run reads and writes.
#[derive(Clone, Debug)]
struct Places {
    root: PathBuf,
    output: PathBuf,
}

/// Reads and checks a pipeline file.
///
/// # Errors
/// All mistakes in it, or that it cannot be read.
fn load(file: &Path, functions: &FunctionRegistry) -> Outcome<Pipeline> {
    let no_text = |message: &'static str| {
        Error::new(ErrorKind::Invalid, message)
            .with("path", file.display())
            .hint("name a pipeline file, such as `pipeline.toml`")
    };
    if file.is_dir() {
        return Err(no_text("a pipeline is a file, and this is a folder").into());
    }
    let bytes = match file.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map(|_| bytes)
        }
        false => std::fs::read(file),
    };
    let bytes = bytes.map_err(|error| at(error, file))?;
    let text = String::from_utf8(bytes)
        .map_err(|source| no_text("a pipeline file is UTF-8 text").caused_by(source))?;
    Ok(Pipeline::parse(file, &text, functions)?)
}

/// Runs a pipeline, or tells what would run.
///
/// # Errors
/// What failed; with `keep_going`, that something did, after everything else was done.
async fn run(
    handle: &Handle,
    store: Option<&str>,
    pipeline: Pipeline,
    args: &Run,
    out: &mut Out,
) -> Outcome {
    let clock = SystemClock::new();
    let places = places(&pipeline, args);
    let progress = Progress::new();
    let (files, read) = sources(handle, store, &pipeline, &places, args, &progress, &clock).await?;
    if args.explain {
        progress.clear();
        let expansion = expand::expand(&pipeline, files, None).await?;
        let foretold = dry::explain(handle, &pipeline, &expansion, &places.output).await?;
        return out.answer(&foretold);
    }
    let expansion = Arc::new(expand::expand(&pipeline, files, Some(handle)).await?);
    let wanted = outputs::wanted(&pipeline, &expansion);
    let tally = Arc::new(Tally::new(Arc::clone(&expansion)));
    let timeline = args.timeline.as_ref().map(|_| Timeline::new());
    let request = handle.materialize_many(wanted.iter().copied());
    let mut request = args.request.request(args.verify.request(request));
    for (addr, mode) in expansion.verify() {
        request = request.determinism_at([addr], mode);
    }
    let request = match &timeline {
        Some(timeline) => request.timeline(timeline.clone()),
        None => request,
    };
    let finished = materialize(request, args, &tally, &progress).await;
    progress.clear();
    if let (Some(path), Some(timeline)) = (&args.timeline, &timeline) {
        files::write_timeline(path, timeline)?;
    }
    let tally = tally.take();
    if let Some(path) = &args.graph {
        draw::draw(&pipeline, &expansion, &tally, finished.is_ok(), path)?;
    }
    let materialized = match finished {
        Ok(materialized) => materialized,
        Err(error) => {
            let label = |addr: CAddr| label(&pipeline, &expansion, addr);
            let path = exit::path_lines(&error, &*handle.dag(), label).await;
            return Err(Failure::Error { error, path });
        }
    };
    let made = outputs::Made::new(&wanted, &materialized);
    let written = outputs::write(
        handle,
        &pipeline,
        &expansion,
        &made,
        &places.output,
        args.keep_going,
    )
    .await?;
    outputs::set_roots(handle, &pipeline, &expansion).await?;
    let report = report::Report {
        pipeline: &pipeline,
        expansion: &expansion,
        tally: &tally,
        read,
        written: &written,
        output: &places.output,
        summary: &materialized.summary,
        time: clock.now(),
    };
    out.answer(&report)?;
    if written.failed > 0 {
        tell_unwritten(&written);
    }
    if tally.failed() > 0 {
        tell_failures(handle, &pipeline, &expansion, &tally).await;
    } else if written.failed == 0 {
        return Ok(());
    }
    Err(Failure::Partly(match tally.differs {
        true => ErrorKind::Nondeterministic,
        false => ErrorKind::Function,
    }))
}

fn places(pipeline: &Pipeline, args: &Run) -> Places {
    let folder = pipeline.folder();
    Places {
        root: args
            .input
            .clone()
            .unwrap_or_else(|| folder.join(&pipeline.root)),
        output: match (&args.output, &pipeline.output) {
            (Some(given), _) => given.clone(),
            (None, Some(named)) => folder.join(named),
            (None, None) => PathBuf::from("out"),
        },
    }
}

/// Finds, reads and stores the files of all sources.
async fn sources(
    handle: &Handle,
    store: Option<&str>,
    pipeline: &Pipeline,
    places: &Places,
    args: &Run,
    progress: &Progress,
    clock: &SystemClock,
) -> Outcome<(Vec<(Vec<String>, Vec<CAddr>)>, Read)> {
    let mut skip = vec![places.output.clone()];
    if let Some(Ok(uri)) = store.map(str::parse::<StoreUri>) {
        let folders = uri.leaves().map(StoreUri::path);
        skip.extend(folders.filter(|path| !path.is_empty()).map(PathBuf::from));
    }
    // A walk over a large tree takes a while, and a signal must be heard meanwhile.
    let (root, name, wanted) = (
        places.root.clone(),
        pipeline.name.clone(),
        pipeline.sources.clone(),
    );
    let walk = tokio::task::spawn_blocking(move || scan::scan(&root, &name, &wanted, &skip));
    let found = walk.await.map_err(|source| {
        Error::new(ErrorKind::Internal, "the walk over the sources ended early").caused_by(source)
    })??;
    let counts: Vec<usize> = found.files.iter().map(Vec::len).collect();
    let mut mistakes = expand::check_counts(pipeline, &counts, &places.root.display().to_string());
    if found.products > 0 {
        for mistake in &mut mistakes {
            mistake.help.get_or_insert_default().push_str(&format!(
                "; {} left out, as runs wrote them: to read those of another pipeline, name their folder as the root",
                counted(found.products, "file")
            ));
        }
    }
    let refuse = |mistakes| Failure::from(pipeline.mistakes(mistakes));
    if !mistakes.is_empty() {
        return Err(refuse(mistakes));
    }
    let names = place::names(pipeline, &found.files).map_err(refuse)?;
    let planned = place::plan(pipeline, &names).map_err(refuse)?;
    let others: Vec<&Path> = [&args.graph, &args.timeline]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    tokio::task::block_in_place(|| {
        place::check(pipeline, places, &planned, &found.files, &others)
    })?;
    progress.reading(counts.iter().sum::<usize>() as u64);
    let store = (!args.explain).then_some(handle);
    let mut read = Read::default();
    let mut sources = Vec::with_capacity(names.len());
    for (files, names) in found.files.into_iter().zip(names) {
        let paths = files.iter().map(|file| places.root.join(file)).collect();
        let stats = files::put_files(store, paths, |stats| {
            progress.read(stats.len() as u64, stats.iter().map(|stat| stat.len).sum());
        })
        .await?;
        read.files += stats.len() as u64;
        read.bytes += stats.iter().map(|stat| stat.len).sum::<u64>();
        sources.push((names, stats.into_iter().map(|stat| stat.addr).collect()));
    }
    read.time = clock.now();
    Ok((sources, read))
}

async fn materialize(
    request: Materialize,
    args: &Run,
    tally: &Arc<Tally>,
    progress: &Progress,
) -> Result<deriva::Materialized> {
    let events = Arc::clone(tally);
    let mut request = request.progress(move |event| events.take_in(event));
    if args.keep_going {
        request = request.keep_going();
    }
    if let Some(jobs) = args.jobs {
        request = request.jobs(jobs.into());
    }
    let request = std::future::IntoFuture::into_future(request);
    tokio::pin!(request);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            done = &mut request => return done,
            _ = tick.tick() => progress.show(&tally.totals()),
        }
    }
}

/// What a node is in the pipeline: its step, and the item where one is.
fn label(pipeline: &Pipeline, expansion: &Expansion, addr: CAddr) -> Option<String> {
    let node = expansion.node(&addr)?;
    let owner = expansion.owner[node as usize] as usize;
    let step = match owner.checked_sub(expansion.sources) {
        Some(step) => &pipeline.steps[step].name,
        None => &pipeline.sources[owner].name,
    };
    let item = expansion.item_name(node).filter(|item| item != step);
    Some(item.map_or_else(|| step.clone(), |item| format!("{step}: {item}")))
}

fn tell_unwritten(written: &outputs::Written) {
    for error in &written.failures {
        exit::tell(error, &[]);
    }
    let more = written.failed - written.failures.len() as u64;
    if more > 0 {
        note(format!("and {}", counted(more, "more failure")));
    }
    note(format!(
        "{} {} could not be written",
        Style::stderr().error("error:"),
        counted(written.failed, "output")
    ));
}

async fn tell_failures(
    handle: &Handle,
    pipeline: &Pipeline,
    expansion: &Expansion,
    tally: &tally::Tallied,
) {
    for (addr, error) in &tally.failures {
        let label_of = |addr: CAddr| label(pipeline, expansion, addr);
        let mut path = exit::path_lines(error, &*handle.dag(), label_of).await;
        if path.is_empty() {
            path.extend(label_of(*addr));
        }
        exit::tell(error, &path);
    }
    let more = tally.failed().saturating_sub(tally.failures.len() as u64);
    if more > 0 {
        note(format!("and {}", counted(more, "more failure")));
    }
    note(format!(
        "{} {} failed; what does not depend on them is done and kept",
        Style::stderr().error("error:"),
        counted(tally.failed(), "recipe")
    ));
}
