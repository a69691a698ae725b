//! Errors on their way: [`status_of`] an error, and the [`error_of`] a status.
//!
//! | file | what is in it |
//! |---|---|
//! | `detail.rs` | an error as a message, with its causes |
//! | `bound.rs` | what is cut of it, so that it fits into a header |
//! | `status.rs` | the status around it |
//! | `foreign.rs` | what a status without it means: of a proxy, of a library, of the server's own door |

mod bound;
mod detail;
mod foreign;
mod status;

pub use status::{
    RETRY_AFTER, code_of, error_of, kind_of, retry_after, status_of, status_with_retry,
};
