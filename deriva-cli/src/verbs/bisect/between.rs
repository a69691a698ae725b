//! Two stores.

use deriva::determinism::Difference;
use deriva::{CAddr, Deriva, ErrorKind};

use super::told::{Bisected, Culprit};
use crate::exit::Outcome;
use crate::term::{bar, counted};

/// Compares what two stores have recorded.
pub(super) async fn between(
    first: &Deriva,
    second: &Deriva,
    targets: Vec<CAddr>,
) -> Outcome<Bisected> {
    let bar = bar();
    let shown = bar.clone();
    let request = targets
        .into_iter()
        .fold(first.bisect(second), |it, addr| it.target(addr));
    let found = request
        .progress(move |so_far| {
            let compared = counted(so_far.compared, "recipe");
            shown.set_message(format!("{compared} compared, {} differ", so_far.differing));
        })
        .await;
    bar.finish_and_clear();
    let found = found?;
    let mut culprits = Vec::with_capacity(found.culprits.len());
    for culprit in found.culprits {
        let mut culprit = Culprit {
            recipe: culprit.recipe,
            function: culprit.function,
            first: Some(culprit.first),
            first_len: culprit.first_len,
            second: Some(culprit.second),
            second_len: culprit.second_len,
            error: None,
            difference: None,
        };
        if culprits.len() < READ {
            culprit.difference = difference(first, second, &culprit).await?;
        }
        culprits.push(culprit);
    }
    Ok(Bisected {
        compared: found.compared,
        differing: found.differing,
        culprits,
        unknown: found.unknown,
        seconds: found.seconds,
    })
}

/// Culprits whose outputs are read, to tell where they differ; and the most bytes of one.
const READ: usize = 100;
const READ_BYTES: u64 = 64 << 20;

/// Where the outputs of a culprit begin to differ, as far as both can be read.
async fn difference(
    first: &Deriva,
    second: &Deriva,
    culprit: &Culprit,
) -> Outcome<Option<Difference>> {
    let (Some(one), Some(other)) = (culprit.first, culprit.second) else {
        return Ok(None);
    };
    if culprit.first_len.max(culprit.second_len) > READ_BYTES {
        return Ok(None);
    }
    let mut read = Vec::new();
    for (deriva, addr) in [(first, one), (second, other)] {
        match deriva.blobs().get(addr).await {
            Ok(blob) => read.extend(blob),
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(match read.as_slice() {
        [one, other] => Difference::between(one.bytes(), other.bytes()),
        _ => None,
    })
}
