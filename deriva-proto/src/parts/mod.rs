//! Answers that are larger than a message: they are split where they are sent, and put together where they arrive.
//!
//! A part has at most [`ITEMS`] items and about [`BYTES`] bytes, but where one item alone has more: the params of a recipe, say,
//! which may have 2 MiB. So whoever receives takes messages of some more bytes than that.
//!
//! What arrives is not trusted: whoever puts an answer together says how much it may be, and what does not fit what came before is
//! [`ErrorKind::Invalid`]. What ends before its last part is [`ErrorKind::Corrupt`].
//!
//! | of | is split by | is put together by |
//! |---|---|---|
//! | items that count as one list: nodes, entries of the ledger | [`in_parts`] | |
//! | `Materialize.Explain` | [`of_explanation`] | [`ExplanationParts`] |
//! | `Materialize.Diff` | [`of_diff`] | [`DiffParts`] |
//! | `Graph.Walk` | [`of_graph`] | [`GraphParts`] |
//! | the result of `Materialize.Run` | [`of_result`] | [`ResultParts`] |
//!
//! ```
//! use deriva_api::{CAddr, Explanation, ExplainedNode, NodeState};
//! use deriva_proto::parts::{self, ExplanationParts};
//!
//! # fn main() -> deriva_api::Result<()> {
//! let mut explanation = Explanation::default();
//! explanation.nodes.push(ExplainedNode::new(CAddr::MIN, NodeState::Leaf));
//!
//! let mut parts = ExplanationParts::at_most(1_000_000);
//! for message in parts::of_explanation(explanation.clone()) {
//!     parts.add(message)?;
//! }
//! assert_eq!(parts.finish()?, explanation);
//! # Ok(())
//! # }
//! ```

mod diff;
mod explanation;
mod graph;
mod result;

use bytes::Bytes;
use deriva_api::{CAddr, Error, ErrorKind, Result};
use prost::Message;

pub use self::diff::{DiffParts, of_diff};
pub use self::explanation::{ExplanationParts, of_explanation};
pub use self::graph::{GraphParts, of_graph};
pub use self::result::{ResultParts, of_result};
use crate::fields::{bytes_of_all, invalid};

/// Items of a part at the most.
pub const ITEMS: usize = 4096;
/// Bytes of a part, but where one item alone has more.
pub const BYTES: usize = 1 << 20;

/// Addresses of a part: with the head of each they stay below [`BYTES`].
const ADDRS: usize = 16 << 10;
/// Bytes that an item may need beside its own: its field and its length.
const HEAD: usize = 8;

/// Splits items that count as one list into those of each part. None of the parts is empty.
pub fn in_parts<T: Message>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = items.next()?;
        let mut bytes = first.encoded_len() + HEAD;
        let mut part = vec![first];
        while part.len() < ITEMS {
            let fits = |item: &T| bytes + item.encoded_len() + HEAD <= BYTES;
            let Some(item) = items.next_if(fits) else {
                break;
            };
            bytes += item.encoded_len() + HEAD;
            part.push(item);
        }
        Some(part)
    })
}

/// Addresses by parts. None of these is empty.
fn addrs_in_parts(addrs: Vec<CAddr>) -> impl Iterator<Item = Vec<Bytes>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let part = addrs[at..].chunks(ADDRS).next()?;
        at += part.len();
        Some(bytes_of_all(part))
    })
}

/// How much may still come, in items of any sort.
#[derive(Clone, Copy, Debug)]
struct Room {
    most: u64,
    left: u64,
}

impl Room {
    fn new(most: u64) -> Self {
        Self { most, left: most }
    }

    /// Takes room for items that came.
    fn take(&mut self, items: usize) -> Result<()> {
        match self.left.checked_sub(items as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let error = Error::new(ErrorKind::Invalid, "an answer is larger than it may be");
                let error = error.with("limit", self.most);
                Err(error.hint("ask for less of it"))
            }
        }
    }
}

/// A part does not fit the ones before.
fn misplaced(field: &'static str, expected: &'static str) -> Error {
    invalid(field, expected)
}

/// The last part did not come.
fn incomplete(answer: &'static str) -> Error {
    let error = Error::new(ErrorKind::Corrupt, "an answer ended before its last part");
    error.with("answer", answer).hint("ask again")
}
