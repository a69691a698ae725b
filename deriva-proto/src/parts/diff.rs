//! What differs, in parts.

use std::iter::once;

use deriva_api::Result;
use deriva_api::diff::{Diff, Difference};

use super::{Room, in_parts, incomplete, misplaced};
use crate::v1;
use crate::v1::diff_response::Said;

/// The messages of what differs, in order.
///
/// # Errors
/// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) for what no recipe has as a param, such as a float that is not finite.
pub fn of_diff(diff: &Diff) -> Result<impl Iterator<Item = v1::DiffResponse> + use<>> {
    let differences = diff.differences.iter().map(v1::Difference::try_from);
    let differences = in_parts(differences.collect::<Result<Vec<_>>>()?);
    let differences =
        differences.map(|differences| Said::Differences(v1::Differences { differences }));
    let done = Said::Done(v1::Compared {
        pairs: diff.compared,
        truncated: diff.truncated,
    });
    let said = differences.chain(once(done));
    Ok(said.map(|said| v1::DiffResponse { said: Some(said) }))
}

/// Puts together what differs.
#[derive(Clone, Debug)]
pub struct DiffParts {
    room: Room,
    diff: Diff,
    is_complete: bool,
}

impl DiffParts {
    /// Of at most this many differences.
    #[must_use]
    pub fn at_most(differences: u64) -> Self {
        Self {
            room: Room::new(differences),
            diff: Diff::default(),
            is_complete: false,
        }
    }

    /// The next message. One that says nothing that is known is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where it is wrong in itself, does not fit what came before, or is more than may
    /// come.
    pub fn add(&mut self, message: v1::DiffResponse) -> Result<()> {
        match message.said {
            None => {}
            Some(_) if self.is_complete => {
                let expected = "nothing after what was compared";
                return Err(misplaced("DiffResponse", expected));
            }
            Some(Said::Differences(found)) => {
                self.room.take(found.differences.len())?;
                for difference in found.differences {
                    let difference = Difference::try_from(difference)?;
                    self.diff.differences.push(difference);
                }
            }
            Some(Said::Done(compared)) => {
                self.diff.compared = compared.pairs;
                self.diff.truncated = compared.truncated;
                self.is_complete = true;
            }
        }
        Ok(())
    }

    /// What differs.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](deriva_api::ErrorKind::Corrupt) where its last part did not come.
    pub fn finish(self) -> Result<Diff> {
        match self.is_complete {
            true => Ok(self.diff),
            false => Err(incomplete("diff")),
        }
    }
}
