//! `deriva collect`: what no root needs, taken away.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use deriva::{CollectEvent, CollectPolicy, Deriva};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::exit::{Outcome, usage};
use crate::store::StoreArgs;
use crate::term::{Out, Style, counted, note, size, time};

/// Take away what no root needs
#[derive(Debug, Args)]
pub(crate) struct Collect {
    /// Tell what would be taken, and what computation would have to be repeated; takes nothing
    #[arg(long)]
    dry_run: bool,
    /// Take blobs too that no recipe and no root refers to; nothing can make them again
    #[arg(long)]
    unreferenced: bool,
    /// Drop outputs of living recipes, too, until they are this many bytes; those first that are cheap to
    /// make again
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    derived_at_most: Option<u64>,
    /// Collect a store without roots, too, which takes every recipe and output
    #[arg(long)]
    without_roots: bool,
}

/// Parses a number of bytes, such as `10GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<ByteSize>();
    parsed
        .map(|size| size.as_u64())
        .map_err(|_| "a size is a number of bytes with a unit, such as 500MiB or 10GB".to_owned())
}

impl Collect {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| collect(deriva, self, out).await;
        store.existing().work(work).await
    }
}

/// Collects, or tells what a collection would take.
async fn collect(deriva: &Deriva, args: &Collect, out: &mut Out) -> Outcome {
    if !args.dry_run && !args.without_roots && deriva.roots().await?.is_empty() {
        return Err(usage(
            "no root keeps anything, so every recipe and output would be taken",
        )
        .hint("name what is to be kept (`deriva root set NAME ADDR`), look at it (`--dry-run`), or add --without-roots")
        .into());
    }
    let mut policy = CollectPolicy::default().unreferenced_blobs(args.unreferenced);
    if let Some(bytes) = args.derived_at_most {
        policy = policy.derived_bytes_at_most(bytes);
    }
    let mut request = deriva.collect().policy(policy);
    if args.dry_run {
        request = request.dry_run();
    }
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(120));
    let shown = bar.clone();
    let collected = request
        .progress(move |event| match event {
            CollectEvent::Living { recipes } => {
                shown.set_message(format!("{recipes} recipes live"))
            }
            CollectEvent::Taken(so_far) => shown.set_message(format!("{} won", size(so_far.bytes))),
            _ => {}
        })
        .await;
    bar.finish_and_clear();
    let collected = collected?;
    if out.json() {
        return out.value(&collected);
    }
    let style = Style::stdout();
    let taken = match collected.dry_run {
        true => "would be taken",
        false => "taken",
    };
    for (name, count, bytes) in [
        ("recipes", collected.recipes, None),
        ("outputs", collected.outputs, None),
        ("blobs", collected.blobs, Some(collected.bytes)),
    ] {
        let bytes = bytes.map_or_else(String::new, |bytes| format!(" ({})", size(bytes)));
        out.line(format!(
            "{} {count} {taken}{bytes}",
            style.dim(&format!("{name:<13}"))
        ))?;
    }
    let repeated = time(Duration::try_from_secs_f64(collected.rebuild_seconds).unwrap_or_default());
    let kept = format!(
        "{}, {} ({})",
        counted(collected.kept_recipes, "recipe"),
        counted(collected.kept_blobs, "blob"),
        size(collected.kept_bytes)
    );
    out.line(format!(
        "{} {repeated} of computation",
        style.dim("to repeat    ")
    ))?;
    out.line(format!("{} {kept}", style.dim("kept         ")))?;
    if let (Some(left), Some(most)) = (collected.derived_bytes, args.derived_at_most)
        && left > most
    {
        note(format!(
            "note: {} of outputs are left: roots name them, or they could not be made again",
            size(left)
        ));
    }
    Ok(())
}
