//! What states are called where people read of them: in the command and on the pages of a server.

use std::time::{Duration, UNIX_EPOCH};

use deriva_api::{LedgerEntry, NodeState};

/// What a request for a node would do, and why. `forgotten` is what [`Why`](deriva_api::Why) says of its output.
#[must_use]
pub fn standing(state: NodeState, forgotten: bool) -> &'static str {
    match state {
        NodeState::Leaf => "a stored blob: nothing is computed",
        NodeState::Present => "its output is there: nothing is computed",
        NodeState::Absent if forgotten => {
            "would be computed again: its output was forgotten (a recipe over it has one)"
        }
        NodeState::Absent => "would be computed: it never was, as far as the store tells",
        NodeState::Lost => {
            "would be computed again: its output is recorded, but the bytes are gone"
        }
        NodeState::InFlight => "another request computes it",
        NodeState::UnknownFunction => "a request would fail: its function is not known here",
        NodeState::Condemned => {
            "a request would fail: its runs gave different outputs, or its function is in quarantine"
        }
        NodeState::Missing => "a request would fail: it is neither a blob nor a recipe here",
        _ => "unknown",
    }
}

/// What becomes of requests for the recipe of an entry of the ledger.
#[must_use]
pub fn entry_state(entry: &LedgerEntry) -> &'static str {
    let accepted = entry.violation.as_ref().and_then(|seen| seen.accepted);
    match (entry.released, &entry.damage, accepted) {
        (true, ..) => "released",
        (false, Some(_), _) => "refused; the entry is damaged",
        (false, None, Some(_)) => "served as most runs gave it",
        (false, None, None) => "refused",
    }
}

/// A point in time, in milliseconds since 1970, as RFC 3339 writes it, in UTC.
#[must_use]
pub fn date(at_millis: u64) -> String {
    // The year 10000, which the form does not reach.
    const END: u64 = 253_402_300_800_000;
    match at_millis {
        at if at < END => {
            let date = UNIX_EPOCH + Duration::from_millis(at);
            humantime::format_rfc3339_millis(date).to_string()
        }
        at => format!("{at} ms after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_told_whatever_an_entry_says() {
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(date(u64::MAX), "18446744073709551615 ms after 1970");
    }
}
