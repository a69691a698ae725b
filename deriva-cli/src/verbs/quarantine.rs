//! `deriva quarantine`: functions of which too much is known to be trusted.

use clap::{Args, Subcommand};
use deriva::admin::Invalidated;
use deriva::authors::nearest;
use deriva::determinism::Suspect;
use deriva::{CAddr, Error, ErrorKind, FunctionId};
use futures::TryStreamExt;
use serde::Serialize;

use super::checks::QuarantineArgs;
use super::shared::known_or_used;
use crate::args::parsed;
use crate::exit::Outcome;
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, lines, table};

/// List functions whose recipes gave different outputs, and what they made
#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    verb: QuarantineVerb,
}

#[derive(Debug, Subcommand)]
enum QuarantineVerb {
    /// List functions with recipes in the ledger that were not released
    Ls(QuarantineArgs),
    /// Release all recipes of a function, as `ledger release` does one
    Release {
        /// The function
        #[arg(value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>)]
        function: FunctionId,
    },
    /// List the recorded outputs of a function
    Outputs {
        /// The function
        #[arg(value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>)]
        function: FunctionId,
        /// Forget them instead, and all that was made from them
        #[arg(long)]
        forget: bool,
    },
}

impl Quarantine {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let opening = store.existing();
        let opening = match &self.verb {
            QuarantineVerb::Ls(after) => opening
                .not_there(after.not_there())
                .built_with(|builder| after.build(builder)),
            _ => opening,
        };
        opening
            .work(async |handle| match &self.verb {
                QuarantineVerb::Ls(after) => out.answer(&Suspects {
                    suspects: handle.suspects().await?,
                    is_judged: after.is_given(),
                }),
                QuarantineVerb::Release { function } => out.answer(&Released {
                    released: release(handle, function).await?,
                    function,
                }),
                QuarantineVerb::Outputs { function, forget } => {
                    let otherwise = "no recipe here is of it, so it has no outputs";
                    known_or_used(handle, function, otherwise).await?;
                    match forget {
                        true => out.answer(&forgotten(handle, function).await?),
                        false => outputs(handle, function, out).await,
                    }
                }
            })
            .await
    }
}

async fn release(handle: &Handle, function: &FunctionId) -> Outcome<u64> {
    let suspects = handle.suspects().await?;
    let released = handle.release_function(function).await?;
    if released > 0 {
        return Ok(released);
    }
    let known = suspects.iter().map(|suspect| suspect.function.to_string());
    let known: Vec<String> = known.collect();
    let near = nearest(&function.to_string(), known.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`? `deriva quarantine ls` lists all"),
        None => "`deriva quarantine ls` lists those that have".to_owned(),
    };
    let what = "the ledger has no recipe of this function that was not released";
    Err(Error::new(ErrorKind::NotFound, what)
        .with("function", function)
        .hint(hint)
        .into())
}

async fn forgotten(handle: &Handle, function: &FunctionId) -> Outcome<Invalidated> {
    Ok(handle.invalidate_function(function).cascade().await?)
}

/// Recipes whose outputs are asked for at a time.
const BATCH: usize = 1024;

async fn outputs(handle: &Handle, function: &FunctionId, out: &mut Out) -> Outcome {
    let dag = handle.dag();
    let recipes = dag.by_function(function, None);
    let mut batches = recipes.try_chunks(BATCH);
    while let Some(batch) = batches.try_next().await.map_err(|error| error.1)? {
        let outputs = dag.outputs(&batch).await?;
        for (recipe, output) in batch.iter().zip(outputs) {
            let Some(output) = output else { continue };
            out.item(&Made {
                recipe: *recipe,
                output: output.addr,
                bytes: output.len,
            })?;
        }
    }
    out.end_items()
}

/// A recorded output.
#[derive(Serialize)]
struct Made {
    recipe: CAddr,
    output: CAddr,
    bytes: u64,
}

impl Answer for Made {
    fn text(&self, _: Style) -> String {
        format!("{}  {}  {}", self.recipe, self.output, self.bytes)
    }
}

/// A function whose recipes were released.
#[derive(Serialize)]
struct Released<'a> {
    function: &'a FunctionId,
    released: u64,
}

impl Answer for Released<'_> {
    fn text(&self, _: Style) -> String {
        format!(
            "released {} of {}",
            counted(self.released, "recipe"),
            self.function
        )
    }
}

/// Functions with entries, by name.
#[derive(Serialize)]
#[serde(transparent)]
struct Suspects {
    suspects: Vec<Suspect>,
    /// Whether it is known from how many entries on a function is refused.
    #[serde(skip)]
    is_judged: bool,
}

impl Answer for Suspects {
    fn text(&self, style: Style) -> String {
        if self.suspects.is_empty() {
            return String::new();
        }
        let mut rows = table([("function", false), ("recipes", true), ("state", false)]);
        for suspect in &self.suspects {
            let state = match (self.is_judged, suspect.quarantined) {
                (_, true) => style.error("in quarantine"),
                (true, false) => "computed".to_owned(),
                (false, false) => "-".to_owned(),
            };
            rows.add_row([
                suspect.function.to_string(),
                suspect.entries.len().to_string(),
                state,
            ]);
        }
        lines(&rows)
    }
}
