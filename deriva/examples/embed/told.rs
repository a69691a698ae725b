//! What operators and clients are told.

use std::sync::atomic::{AtomicU64, Ordering};

use deriva::prelude::*;

/// What the service counts for its operators.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    computed: AtomicU64,
    reused: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    pub(crate) fn hear(&self, event: &Event) {
        let count = match event {
            Event::Computed { .. } => &self.computed,
            Event::Reused { .. } => &self.reused,
            Event::Failed { .. } => &self.failed,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> [u64; 3] {
        [&self.computed, &self.reused, &self.failed].map(|count| count.load(Ordering::Relaxed))
    }
}

/// What a client over HTTP is told.
pub(crate) fn status(error: &Error) -> u16 {
    match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::Invalid | ErrorKind::Function => 422,
        ErrorKind::Unsupported => 501,
        ErrorKind::Conflict => 409,
        ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Cancelled => 503,
        ErrorKind::Timeout => 504,
        ErrorKind::Full => 507,
        _ => 500,
    }
}
