//! `deriva invalidate`.

use deriva::Deriva;

use crate::args::InvalidateArgs;
use crate::exit::Outcome;
use crate::term::{Out, counted, size};

/// Forgets outputs of an address or a function.
pub(crate) async fn invalidate(deriva: &Deriva, args: &InvalidateArgs, out: &mut Out) -> Outcome {
    let mut request = match (&args.addr, &args.function) {
        (_, Some(id)) => deriva.invalidate_function(id),
        (Some(addr), None) => deriva.invalidate(deriva.find(addr).await?),
        (None, None) => return Err(crate::usage("give an address or --function").into()),
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
        return Err(super::unknown::unknown_function(deriva, id, otherwise).into());
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
