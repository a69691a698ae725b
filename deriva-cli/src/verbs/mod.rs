//! The verbs. The file of each holds its arguments, what it does, and how people read its answer.
//!
//! A new verb is a file, its `mod`, and one line in the list below, which has the order of the help. In the file are a
//! struct of arguments, whose doc comment is the verb's help, and its method `run`.

mod audit;
mod bisect;
mod checks;
mod collect;
mod completions;
mod diff;
mod explain;
mod functions;
mod get;
mod graph;
mod invalidate;
mod ledger;
mod man;
mod put;
mod quarantine;
mod recipe;
mod request;
mod root;
mod run;
mod scrub;
mod serve;
mod shared;
mod show;
mod state_digest;
mod status;
mod top;
mod why;

use clap::Subcommand;

pub(crate) use serve::printed as serve_printed;

use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::Out;

verbs! {
    put::Put,
    recipe::Recipe,
    get::Get,
    show::Show,
    explain::Explain,
    diff::Diff,
    why::Why,
    graph::Graph,
    functions::Functions,
    status::Status,
    root::Root,
    invalidate::Invalidate,
    scrub::Scrub,
    audit::Audit,
    ledger::Ledger,
    quarantine::Quarantine,
    bisect::Bisect,
    collect::Collect,
    run::Run,
    serve::Serve,
    top::Top,
    state_digest::StateDigest,
    completions::Completions,
    man::Man,
}

/// Makes of the list what clap reads and the one place that performs a verb.
macro_rules! verbs {
    ($($file:ident::$verb:ident,)+) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum Verb {
            $($verb($file::$verb),)+
        }

        impl Verb {
            /// What it is called on the command line.
            pub(crate) fn name(&self) -> String {
                let file = match self {
                    $(Self::$verb(_) => stringify!($file),)+
                };
                file.replace('_', "-")
            }

            /// Performs the verb.
            pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
                match self {
                    $(Self::$verb(verb) => verb.run(store, out).await,)+
                }
            }
        }
    };
}
use verbs;
