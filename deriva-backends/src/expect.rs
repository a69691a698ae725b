//! The check that a writer makes when it was told what to expect.

use deriva_api::{BlobStat, Error, ErrorKind, Result};

/// Fails with [`ErrorKind::Invalid`] unless `found` is what was expected.
pub(crate) fn check_expected(expect: Option<BlobStat>, found: BlobStat) -> Result<()> {
    match expect {
        Some(expect) if expect != found => Err(Error::new(
            ErrorKind::Invalid,
            "the bytes written are not the blob that was announced",
        )
        .during("finish")
        .with("expected", expect.addr)
        .with("expected_length", expect.len)
        .with("found", found.addr)
        .with("found_length", found.len)),
        _ => Ok(()),
    }
}
