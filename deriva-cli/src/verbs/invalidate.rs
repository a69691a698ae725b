//! `deriva invalidate`.

use clap::Args;
use deriva::Deriva;
use deriva::api::{AddrPrefix, FunctionId};

use super::shared::unknown_function;
use crate::args::parsed;
use crate::exit::{Outcome, usage};
use crate::store::StoreArgs;
use crate::term::{Out, counted, size};

/// Forget outputs, so that they are computed again; recipes and blobs stay
#[derive(Debug, Args)]
pub(crate) struct Invalidate {
    /// A recipe, or a blob with `--cascade`; or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>, required_unless_present = "function")]
    addr: Option<AddrPrefix>,
    /// Forget all outputs of this function instead
    #[arg(long, value_name = "NAME/VERSION", value_parser = parsed::<FunctionId>, conflicts_with = "addr")]
    function: Option<FunctionId>,
    /// Forget what was made from them, too
    #[arg(long)]
    cascade: bool,
    /// Tell what would be forgotten; forgets nothing
    #[arg(long)]
    dry_run: bool,
}

impl Invalidate {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let work = async |deriva: &Deriva| invalidate(deriva, self, out).await;
        store.existing().work(work).await
    }
}

async fn invalidate(deriva: &Deriva, args: &Invalidate, out: &mut Out) -> Outcome {
    let mut request = match (&args.addr, &args.function) {
        (_, Some(id)) => deriva.invalidate_function(id),
        (Some(addr), None) => deriva.invalidate(deriva.find(addr).await?),
        (None, None) => return Err(usage("give an address or --function").into()),
    };
    if args.cascade {
        request = request.cascade();
    }
    if args.dry_run {
        request = request.dry_run();
    }
    let done = request.await?;
    // A program's own functions are not known here, but their outputs are.
    if let Some(id) = &args.function
        && done.recipes == 0
        && deriva.functions().get(id).is_none()
    {
        let otherwise = "no recipe here is of it, so nothing was forgotten";
        return Err(unknown_function(deriva, id, otherwise).into());
    }
    if out.json() {
        return out.value(&done);
    }
    let verb = if done.dry_run {
        "would forget"
    } else {
        "forgot"
    };
    out.line(format!(
        "{verb} {} ({}) of {}, {} deep",
        counted(done.outputs, "output"),
        size(done.bytes),
        counted(done.recipes, "recipe"),
        done.depth,
    ))
}
