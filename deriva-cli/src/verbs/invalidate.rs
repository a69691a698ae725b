//! `deriva invalidate`.

use clap::Args;
use deriva::admin::Invalidated;
use deriva::{AddrPrefix, FunctionId};

use super::shared::unknown_function;
use crate::args::parsed;
use crate::exit::{Outcome, usage};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, size};

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
        store
            .existing()
            .work(async |handle| out.answer(&self.invalidate(handle).await?))
            .await
    }

    async fn invalidate(&self, handle: &Handle) -> Outcome<Invalidated> {
        let mut request = match (&self.addr, &self.function) {
            (_, Some(id)) => handle.invalidate_function(id),
            (Some(addr), None) => handle.invalidate(handle.find(addr).await?),
            (None, None) => return Err(usage("give an address or --function").into()),
        };
        if self.cascade {
            request = request.cascade();
        }
        if self.dry_run {
            request = request.dry_run();
        }
        let done = request.await?;
        // A program's own functions are not known here, but their outputs are.
        if let Some(id) = &self.function
            && done.recipes == 0
        {
            let functions = handle.functions().await?;
            if functions.get(id).is_none() {
                let otherwise = "no recipe here is of it, so nothing was forgotten";
                return Err(unknown_function(&functions, id, otherwise).into());
            }
        }
        Ok(done)
    }
}

impl Answer for Invalidated {
    fn text(&self, _: Style) -> String {
        let verb = match self.dry_run {
            true => "would forget",
            false => "forgot",
        };
        format!(
            "{verb} {} ({}) of {}, {} deep",
            counted(self.outputs, "output"),
            size(self.bytes),
            counted(self.recipes, "recipe"),
            self.depth,
        )
    }
}
