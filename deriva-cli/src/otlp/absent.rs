//! In the place of `sending`, where the feature `otel` is left out: nothing is sent, and who asks for it is told.
//!
//! A variable of the environment asks nobody in particular, so it asks for nothing here.

use deriva::{Deriva, ErrorKind, Result};
use tracing::Span;
use tracing_subscriber::layer::Identity;

use super::left_out;

/// Sends nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending;

impl Sending {
    pub(super) fn begin(url: Option<&str>) -> Result<Self> {
        match url {
            Some(url) => Err(left_out(url)),
            None => Ok(Self),
        }
    }

    pub(crate) fn layer(&self) -> Option<Identity> {
        None
    }

    pub(crate) fn span(&self, _: &str) -> Span {
        Span::none()
    }

    pub(crate) fn counts(&self, _: &Deriva) {}

    pub(crate) async fn counted(&self, _: &Deriva) {}

    pub(crate) async fn end(&self, _: u8, _: Option<ErrorKind>) {}
}
