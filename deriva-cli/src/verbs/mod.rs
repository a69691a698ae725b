//! The verbs.

pub(crate) mod collect;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod info;
pub(crate) mod invalidate;
pub(crate) mod put;
pub(crate) mod read;
pub(crate) mod run;
pub(crate) mod scrub;
pub(crate) mod shell;

use deriva::Deriva;
use deriva::api::{Error, ErrorKind, FunctionId};
use serde_json::json;

use crate::args::{RecipeArgs, RootVerb, Verb};
use crate::exit::{self, Failure, Outcome};
use crate::term::{Out, lines, plain, table};

/// Performs a verb that needs a store.
pub(crate) async fn perform(deriva: &Deriva, verb: &Verb, out: &mut Out) -> Outcome {
    match verb {
        Verb::Put { paths } => put::put(deriva, paths, out).await,
        Verb::Recipe(args) => recipe(deriva, args, out).await,
        Verb::Get {
            addr,
            output,
            timeline,
        } => {
            let addr = deriva.find(addr).await?;
            let got = async {
                if let Some(path) = timeline {
                    read::timed(deriva, addr, path).await?;
                }
                read::get(deriva, addr, output.as_deref(), out).await
            };
            with_path(deriva, got.await).await
        }
        Verb::Show { addr } => read::show(deriva, deriva.find(addr).await?, out).await,
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
            diff::why(deriva, deriva.find(addr).await?, than, out).await
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
        Verb::Status => info::status(deriva, out).await,
        Verb::Collect(args) => collect::collect(deriva, args, out).await,
        Verb::Root { verb } => root(deriva, verb, out).await,
        Verb::Invalidate(args) => invalidate::invalidate(deriva, args, out).await,
        Verb::StateDigest => {
            let digest = deriva.state_digest().await?;
            match out.json() {
                true => out.value(&json!({ "digest": digest })),
                false => out.line(digest),
            }
        }
        // These were performed before: without a store, or as they can be interrupted and continued.
        Verb::Functions | Verb::Run(_) | Verb::Scrub(_) | Verb::Completions { .. } | Verb::Man => {
            Ok(())
        }
    }
}

async fn recipe(deriva: &Deriva, args: &RecipeArgs, out: &mut Out) -> Outcome {
    let mut inputs = Vec::with_capacity(args.inputs.len());
    for prefix in &args.inputs {
        // A whole address may name what is stored later.
        inputs.push(match prefix.complete() {
            Some(addr) => addr,
            None => deriva.find(prefix).await?,
        });
    }
    let recipe = deriva
        .recipe(args.function.name(), args.function.version())
        .inputs(inputs)
        .params(args.params());
    if !args.allow_unknown && deriva.functions().get(&args.function).is_none() {
        let otherwise = "--allow-unknown stores a recipe for a program that knows it";
        return Err(unknown_function(deriva, &args.function, otherwise).into());
    }
    let addr = recipe.insert().await.map_err(written_as_json)?;
    match out.json() {
        true => out.value(&json!({ "addr": addr })),
        false => out.line(addr),
    }
}

/// Says how a param is written that was taken for text.
fn written_as_json(error: Error) -> Error {
    match (error.context("param"), error.context("found")) {
        (Some(param), Some("text")) if error.advice().is_none() => {
            let hint =
                format!("what is not text is written as JSON: `{param}:=5`, `{param}:=[\"a\"]`");
            error.hint(hint)
        }
        _ => error,
    }
}

async fn root(deriva: &Deriva, verb: &RootVerb, out: &mut Out) -> Outcome {
    match verb {
        RootVerb::Set { name, addr } => {
            let addr = deriva.find(addr).await?;
            deriva.set_root(name, addr).await?;
            match out.json() {
                true => out.value(&json!({ "name": name, "addr": addr })),
                false => Ok(()),
            }
        }
        RootVerb::Rm { name } => {
            if !deriva.remove_root(name).await? {
                let error = Error::new(ErrorKind::NotFound, "there is no root of this name")
                    .with("name", name)
                    .hint("`deriva root ls` lists the names");
                return Err(error.into());
            }
            match out.json() {
                true => out.value(&json!({ "name": name, "removed": true })),
                false => Ok(()),
            }
        }
        RootVerb::Ls => {
            let roots = deriva.roots().await?;
            if out.json() {
                let roots: Vec<_> = roots
                    .iter()
                    .map(|(name, addr)| json!({ "name": name, "addr": addr }))
                    .collect();
                return out.value(&roots);
            }
            if roots.is_empty() {
                return Ok(());
            }
            let mut rows = table([("address", false), ("name", false)]);
            for (name, addr) in roots {
                rows.add_row([addr.to_string(), plain(&name)]);
            }
            out.line(lines(&rows))
        }
    }
}

/// Nothing here has a function of this name; `otherwise` says what can be done where that is right.
fn unknown_function(deriva: &Deriva, id: &FunctionId, otherwise: &str) -> Error {
    let functions = deriva.functions();
    let hint = match (functions.absent_feature(id.name()), functions.nearest(id)) {
        (Some(feature), _) => format!("build with the crate feature `{feature}`; {otherwise}"),
        (_, Some(near)) => {
            format!("did you mean `{near}`? `deriva functions` lists all; {otherwise}")
        }
        _ => format!("`deriva functions` lists those that are there; {otherwise}"),
    };
    Error::new(ErrorKind::NotFound, "the function is not known here")
        .with("function", id)
        .hint(hint)
}

/// Adds the path with the names of functions to a failure that has one.
async fn with_path(deriva: &Deriva, outcome: Outcome) -> Outcome {
    match outcome {
        Err(Failure::Error { error, .. }) => {
            let path = exit::path_lines(&error, &**deriva.dag(), |_| None).await;
            Err(Failure::Error { error, path })
        }
        other => other,
    }
}
