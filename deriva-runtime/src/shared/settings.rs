//! Numbers that users set.
//!
//! One rule for all of them: a number works as it is, or it is `Invalid`, with the range, when that is built
//! for which it was set. Where nothing can fail, as in the setters of layers, the nearest number of the range
//! is taken, and the setter says so. `docs/reference/settings.md` lists them all.

use std::fmt::Display;
use std::ops::RangeInclusive;

use deriva_api::{Error, ErrorKind, Result};

/// The most jobs of a builder or a request: each may take a thread.
pub(crate) const MAX_JOBS: usize = 1024;

/// Fails with `Invalid` where a number that was set is out of its range.
pub(crate) fn in_range<T: PartialOrd + Display>(
    setting: &'static str,
    given: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&given) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(Error::new(ErrorKind::Invalid, "a setting is out of range")
        .with("setting", setting)
        .with("given", given)
        .with("range", format_args!("{least} to {most}")))
}
