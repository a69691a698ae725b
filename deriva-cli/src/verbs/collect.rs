//! `deriva collect`: what no root needs, taken away.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use deriva::admin::{CollectPolicy, Collected};
use deriva::events::CollectEvent;

use crate::exit::{Outcome, usage};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, bar, counted, note, size, time};

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
        store
            .existing()
            .work(async |handle| {
                let collected = self.collect(handle).await?;
                out.answer(&collected)?;
                if !out.json() {
                    self.note_left(&collected);
                }
                Ok(())
            })
            .await
    }

    async fn collect(&self, handle: &Handle) -> Outcome<Collected> {
        if !self.dry_run && !self.without_roots && handle.roots().await?.is_empty() {
            return Err(usage(
                "no root keeps anything, so every recipe and output would be taken",
            )
            .hint("name what is to be kept (`deriva root set NAME ADDR`), look at it (`--dry-run`), or add --without-roots")
            .into());
        }
        let mut policy = CollectPolicy::default().unreferenced_blobs(self.unreferenced);
        if let Some(bytes) = self.derived_at_most {
            policy = policy.derived_bytes_at_most(bytes);
        }
        let mut request = handle.collect().policy(policy);
        if self.dry_run {
            request = request.dry_run();
        }
        let bar = bar();
        let shown = bar.clone();
        let collected = request
            .progress(move |event| match event {
                CollectEvent::Living { recipes } => {
                    shown.set_message(format!("{recipes} recipes live"))
                }
                CollectEvent::Taken(so_far) => {
                    shown.set_message(format!("{} freed", size(so_far.bytes)))
                }
                _ => {}
            })
            .await;
        bar.finish_and_clear();
        Ok(collected?)
    }

    /// Tells of outputs that are more than was asked for.
    fn note_left(&self, collected: &Collected) {
        if let (Some(left), Some(most)) = (collected.derived_bytes, self.derived_at_most)
            && left > most
        {
            note(format!(
                "note: {} of outputs are left: roots name them, or they could not be made again",
                size(left)
            ));
        }
    }
}

impl Answer for Collected {
    fn text(&self, style: Style) -> String {
        let taken = match self.dry_run {
            true => "would be taken",
            false => "taken",
        };
        let repeated = time(Duration::try_from_secs_f64(self.rebuild_seconds).unwrap_or_default());
        let kept = format!(
            "{}, {} ({})",
            counted(self.kept_recipes, "recipe"),
            counted(self.kept_blobs, "blob"),
            size(self.kept_bytes)
        );
        [
            ("recipes", format!("{} {taken}", self.recipes)),
            ("outputs", format!("{} {taken}", self.outputs)),
            (
                "blobs",
                format!("{} {taken} ({})", self.blobs, size(self.bytes)),
            ),
            ("to repeat", format!("{repeated} of computation")),
            ("kept", kept),
        ]
        .map(|(name, value)| format!("{} {value}", style.dim(&format!("{name:<13}"))))
        .join("\n")
    }
}
