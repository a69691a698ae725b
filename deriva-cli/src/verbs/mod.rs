//! The verbs.

pub(crate) mod collect;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod functions;
pub(crate) mod get;
pub(crate) mod graph;
pub(crate) mod invalidate;
pub(crate) mod man;
pub(crate) mod put;
pub(crate) mod recipe;
pub(crate) mod root;
pub(crate) mod run;
pub(crate) mod scrub;
pub(crate) mod show;
pub(crate) mod state_digest;
pub(crate) mod status;
mod unknown;
pub(crate) mod why;

use deriva::Deriva;

use crate::args::Verb;
use crate::exit::Outcome;
use crate::term::Out;

/// Performs a verb that needs a store.
pub(crate) async fn perform(deriva: &Deriva, verb: &Verb, out: &mut Out) -> Outcome {
    match verb {
        Verb::Put { paths } => put::put(deriva, paths, out).await,
        Verb::Recipe(args) => recipe::recipe(deriva, args, out).await,
        Verb::Get {
            addr,
            output,
            timeline,
        } => {
            let addr = deriva.find(addr).await?;
            let got = async {
                if let Some(path) = timeline {
                    get::timed(deriva, addr, path).await?;
                }
                get::get(deriva, addr, output.as_deref(), out).await
            };
            get::with_path(deriva, got.await).await
        }
        Verb::Show { addr } => show::show(deriva, deriva.find(addr).await?, out).await,
        Verb::Explain { addr, all, .. } => {
            explain::explain(deriva, deriva.find(addr).await?, *all, out).await
        }
        Verb::Diff {
            before,
            after,
            limit,
        } => {
            let (before, after) = (deriva.find(before).await?, deriva.find(after).await?);
            diff::diff(deriva, before, after, *limit, out).await
        }
        Verb::Why { addr, than } => {
            let than = match than {
                Some(than) => Some(deriva.find(than).await?),
                None => None,
            };
            why::why(deriva, deriva.find(addr).await?, than, out).await
        }
        Verb::Graph { addr, svg, limit } => {
            graph::graph(
                deriva,
                deriva.find(addr).await?,
                svg.as_deref(),
                *limit,
                out,
            )
            .await
        }
        Verb::Status => status::status(deriva, out).await,
        Verb::Collect(args) => collect::collect(deriva, args, out).await,
        Verb::Root { verb } => root::root(deriva, verb, out).await,
        Verb::Invalidate(args) => invalidate::invalidate(deriva, args, out).await,
        Verb::StateDigest => state_digest::state_digest(deriva, out).await,
        // These were performed before: without a store, or as they can be interrupted and continued.
        Verb::Functions | Verb::Run(_) | Verb::Scrub(_) | Verb::Completions { .. } | Verb::Man => {
            Ok(())
        }
    }
}
