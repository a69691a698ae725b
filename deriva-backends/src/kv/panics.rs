//! Panics of databases that meet files which make no sense, as errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use deriva_api::{Error, ErrorKind, Result};

/// Does what panics where a database meets files that make no sense: `Corrupt`, with this message.
pub(crate) fn caught<T>(message: &'static str, work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        Error::new(ErrorKind::Corrupt, message).with("panic", said.unwrap_or_default())
    })
}
