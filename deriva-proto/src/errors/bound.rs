//! What is cut of an error that is too long for a header.
//!
//! In the order of what matters to who reads it: kind, message, operation and advice, context, both ends of the path, causes.

use deriva_api::Error;
use prost::Message;

use crate::v1::ErrorDetail;
use crate::v1::error_detail::cause::What;
use crate::v1::error_detail::{Cause, Context};

/// Bytes of a detail. As base64, with the message beside it, that stays below the 8 KiB of headers that proxies take.
pub(super) const MAX_DETAIL: usize = 3072;
/// Bytes of a message, and of what else people read.
const MAX_MESSAGE: usize = 1024;
const MAX_TEXT: usize = 256;
const MAX_WORD: usize = 64;
/// What context may fill, so that something of the path and the causes is left.
const UNTIL_CONTEXT: usize = 2300;
const UNTIL_PATH: usize = 2700;
/// Bytes of an address and its head.
const ADDRESS: usize = 34;

/// The same detail, or as much of it as there is room for.
pub(super) fn bounded(mut detail: ErrorDetail) -> ErrorDetail {
    if detail.encoded_len() <= MAX_DETAIL {
        return detail;
    }
    let (context, path, causes) = (
        std::mem::take(&mut detail.context),
        std::mem::take(&mut detail.path),
        std::mem::take(&mut detail.causes),
    );
    let mut kept = ErrorDetail {
        message: cut(detail.message, MAX_MESSAGE),
        operation: detail.operation.map(|text| cut(text, MAX_WORD)),
        hint: detail.hint.map(|text| cut(text, 2 * MAX_TEXT)),
        ..detail
    };
    for Context { key, value } in context {
        kept.context.push(Context {
            key: cut(key, MAX_WORD),
            value: cut(value, MAX_TEXT),
        });
        if kept.encoded_len() > UNTIL_CONTEXT {
            kept.context.pop();
            break;
        }
    }
    let room = UNTIL_PATH.saturating_sub(kept.encoded_len()) / ADDRESS;
    let (path, left_out) = without_middle(path, room);
    kept.path = path;
    kept.path_left_out += left_out;
    let mut left = causes.len();
    for cause in causes {
        kept.causes.push(text(cut(words(cause), MAX_TEXT)));
        left -= 1;
        // The last one has to leave room for the word that it is the last.
        if kept.encoded_len() > MAX_DETAIL - MAX_WORD {
            kept.causes.pop();
            kept.causes.push(text(format!("... {} more", left + 1)));
            break;
        }
    }
    kept
}

fn text(text: String) -> Cause {
    Cause {
        what: Some(What::Text(text)),
    }
}

/// A cause as it prints itself.
fn words(cause: Cause) -> String {
    match cause.what {
        Some(What::Text(text)) => text,
        Some(What::Error(detail)) => Error::from(detail).to_string(),
        Some(What::Violation(violation)) => match deriva_api::Violation::try_from(violation) {
            Ok(violation) => violation.to_string(),
            Err(error) => error.to_string(),
        },
        None => String::new(),
    }
}

/// Both ends of a path, this many addresses together, and how many are left out between them.
pub(super) fn without_middle<T>(mut path: Vec<T>, most: usize) -> (Vec<T>, u64) {
    let left_out = path.len().saturating_sub(most);
    let begins = most - most / 2;
    if left_out > 0 {
        path.drain(begins..begins + left_out);
    }
    (path, left_out as u64)
}

/// The beginning of a text, and how much is left out, where it has more than this many bytes.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let kept = text.floor_char_boundary(most);
    let left_out = text.len() - kept;
    text.truncate(kept);
    text + &format!(" [... {left_out} bytes more]")
}
