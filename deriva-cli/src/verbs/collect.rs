//! `deriva collect`: what no root needs, taken away.

use std::time::Duration;

use deriva::{CollectEvent, CollectPolicy, Deriva};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::args::CollectArgs;
use crate::exit::Outcome;
use crate::term::{Out, Style, counted, note, size, time};

/// Collects, or tells what a collection would take.
pub(crate) async fn collect(deriva: &Deriva, args: &CollectArgs, out: &mut Out) -> Outcome {
    if !args.dry_run && !args.without_roots && deriva.roots().await?.is_empty() {
        return Err(crate::usage(
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
