//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use deriva::ScrubCursor;
use deriva::api::{AddrPrefix, Error, FunctionId, Params};

use crate::exit;
use crate::param::{self, Param};

/// Stores bytes and the computations that make them, and computes what is missing, once
#[derive(Debug, Parser)]
#[command(name = "deriva", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Where blobs and recipes live: sled:PATH, redb:PATH, memory: for this call alone, or several put together, as
    /// 'split(blobs=files:PATH, dag=redb:PATH)'
    #[cfg_attr(feature = "rocksdb", doc = "(also rocksdb:PATH)")]
    #[arg(
        long,
        global = true,
        env = "DERIVA_STORE",
        default_value = "sled:.deriva",
        value_name = "URI",
        hide_env_values = true
    )]
    pub(crate) store: String,
    /// Memory for values in flight, results that wait to be written and the cache, as 256MiB; any size will do;
    /// default: a quarter of what there is
    #[arg(
        long,
        global = true,
        env = "DERIVA_MEMORY",
        value_name = "SIZE",
        hide_env_values = true
    )]
    pub(crate) memory: Option<ByteSize>,
    /// Wait so long, as 30s, for a store that another process has open; default: not at all
    #[arg(
        long,
        global = true,
        env = "DERIVA_WAIT",
        value_name = "DURATION",
        hide_env_values = true,
        value_parser = humantime::parse_duration
    )]
    pub(crate) wait: Option<Duration>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Store files, folders, pipes (`-` is stdin) and print their addresses
    Put {
        /// Files, folders, pipes, or `-` for stdin
        #[arg(required = true, value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// Store a recipe, a function over inputs with params, and print its address
    Recipe(RecipeArgs),
    /// Print the bytes of an address, computing what is missing
    Get {
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
        /// Write to this file, which appears complete or not at all
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Write what ran when to this file, for ui.perfetto.dev or chrome://tracing
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        timeline: Option<PathBuf>,
    },
    /// Show what an address is
    Show {
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
    },
    /// Tell what is there for an address, what would be computed, and what that would take; computes nothing
    Explain {
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
        /// List all nodes, not only the first 50
        #[arg(long)]
        all: bool,
        /// Foretell the time for so many recipes at a time; default: one per core
        #[arg(long, short, value_name = "N", value_parser = jobs())]
        jobs: Option<u16>,
    },
    /// Tell what differs between the graphs of two addresses
    Diff {
        /// A blob or recipe as it was before, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        before: AddrPrefix,
        /// A blob or recipe as it is now, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        after: AddrPrefix,
        /// Stop after so many differences
        #[arg(long, value_name = "N", default_value_t = deriva::Deriva::DIFFERENCES)]
        limit: usize,
    },
    /// Tell why an address would be computed, or would not
    Why {
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
        /// Tell also what differs from this earlier one
        #[arg(long, value_name = "ADDR", value_parser = parsed::<AddrPrefix>)]
        than: Option<AddrPrefix>,
    },
    /// Draw the graph below an address: DOT on stdout, or an SVG file
    Graph {
        /// A recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
        /// Draw to this SVG file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        svg: Option<PathBuf>,
        /// Draw one node for many alike when there are more nodes than this
        #[arg(long, value_name = "N", default_value_t = 400)]
        limit: usize,
    },
    /// List the functions that recipes can use
    Functions,
    /// Count what the store holds
    Status,
    /// Name addresses that are kept
    Root {
        #[command(subcommand)]
        verb: RootVerb,
    },
    /// Forget outputs, so that they are computed again; recipes and blobs stay
    Invalidate(InvalidateArgs),
    /// Read and verify everything stored; compute again what is damaged or lost
    Scrub(ScrubArgs),
    /// Take away what no root needs
    Collect(CollectArgs),
    /// Run a pipeline file, reusing what was computed before
    Run(RunArgs),
    /// Print one hash over recipes, outputs, roots and blobs
    StateDigest,
    /// Print a script that completes this command in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct RecipeArgs {
    /// The function: `text.upper/1` (`deriva functions` lists them)
    #[arg(value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>)]
    pub(crate) function: FunctionId,
    /// An input, in order: an address or the first digits of a known one
    #[arg(short, long = "input", value_name = "ADDR", value_parser = parsed::<AddrPrefix>)]
    pub(crate) inputs: Vec<AddrPrefix>,
    /// A param: `key=text`, or `key:=json` for numbers, bools, lists
    #[arg(short, long = "param", value_name = "KEY=TEXT", value_parser = param::parse)]
    pub(crate) params: Vec<Param>,
    /// Store a recipe of a function that is not known here, unchecked, for a program that knows it
    #[arg(long)]
    pub(crate) allow_unknown: bool,
}

impl Verb {
    /// Whether it may begin a store; others have nothing to do where none is.
    pub(crate) fn begins(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Recipe(_) => true,
            Self::Run(args) => !args.explain,
            _ => false,
        }
    }
}

impl RecipeArgs {
    /// All params; a later one replaces an earlier one of its name.
    pub(crate) fn params(&self) -> Params {
        self.params
            .iter()
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum RootVerb {
    /// Name an address; moves the name if it is taken
    Set {
        /// The name
        name: String,
        /// A blob or recipe, or the first digits of its address
        #[arg(value_parser = parsed::<AddrPrefix>)]
        addr: AddrPrefix,
    },
    /// Remove a name
    Rm {
        /// The name
        name: String,
    },
    /// List names and addresses
    Ls,
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Tell what would be taken, and what computation would have to be repeated; takes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take blobs too that no recipe and no root refers to; nothing can make them again
    #[arg(long)]
    pub(crate) unreferenced: bool,
    /// Drop outputs of living recipes, too, until they are this many bytes; those first that are cheap to
    /// make again
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) derived_at_most: Option<u64>,
    /// Collect a store without roots, too, which takes every recipe and output
    #[arg(long)]
    pub(crate) without_roots: bool,
}

/// So many recipes at a time.
fn jobs() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=deriva::DerivaBuilder::MAX_JOBS as i64)
}

/// A number of bytes, such as `10GiB`.
fn size(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<ByteSize>();
    parsed
        .map(|size| size.as_u64())
        .map_err(|_| "a size is a number of bytes with a unit, such as 500MiB or 10GB".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file, or `-` for stdin
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Take the sources from this folder instead of the file's `root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) input: Option<PathBuf>,
    /// Write outputs to this folder; default: the file's `output`, else `out`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// Finish what does not depend on a failure
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Tell what would run and why; computes and writes nothing
    #[arg(long, visible_alias = "dry-run")]
    pub(crate) explain: bool,
    /// Recipes computed at a time; default: one per core
    #[arg(long, short, value_name = "N", value_parser = jobs())]
    pub(crate) jobs: Option<u16>,
    /// Write what ran when to this file, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) timeline: Option<PathBuf>,
    /// Draw what ran to this SVG file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) graph: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InvalidateArgs {
    /// A recipe, or a blob with `--cascade`; or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>, required_unless_present = "function")]
    pub(crate) addr: Option<AddrPrefix>,
    /// Forget all outputs of this function instead
    #[arg(long, value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>, conflicts_with = "addr")]
    pub(crate) function: Option<FunctionId>,
    /// Forget what was made from them, too
    #[arg(long)]
    pub(crate) cascade: bool,
    /// Tell what would be forgotten; forgets nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScrubArgs {
    /// Read at most so much in a second
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = bytes)]
    pub(crate) rate: u64,
    /// Continue where an earlier scrub ended
    #[arg(long, value_name = "CURSOR", value_parser = parsed::<ScrubCursor>)]
    pub(crate) resume: Option<ScrubCursor>,
    /// Stop after reading so much, and print where to continue
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) limit: Option<u64>,
}

/// Parses a size of at least a byte.
fn bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("a size is a number with a unit, such as 64MiB".to_owned()),
    }
}

/// Parses a value of deriva's; clap puts it into a sentence that names it already.
fn parsed<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| {
        let next = error.advice().map(|advice| format!("\nnext: {advice}"));
        format!("{}{}", error.message(), next.unwrap_or_default())
    })
}
