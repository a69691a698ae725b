//! Since when what is unreachable is known to be so.
//!
//! Stores keep no times, so the only honest age is that of an observation: a collection that is asked for
//! an age notes what it found unreachable, and a later one takes what was noted long enough ago and has
//! been unreachable in each such collection since. The notes live as long as their [`crate::Deriva`].

use std::time::Duration;

use deriva_api::{CAddr, Result};
use tokio::runtime::Handle;

use crate::shared::address_index::{Index, Position, SharedIndex};

/// When each address was first seen unreachable, by the clock of the [`crate::Deriva`].
#[derive(Debug, Default)]
pub(crate) struct UnreachableSince {
    pub(crate) recipes: Option<FirstSeen>,
    pub(crate) blobs: Option<FirstSeen>,
}

/// Addresses with the time of when they were first seen.
#[derive(Debug)]
pub(crate) struct FirstSeen(SharedIndex<8>);

impl FirstSeen {
    pub(crate) fn new(tokio: &Handle) -> Self {
        Self(SharedIndex::new(tokio))
    }

    /// Adds addresses after all others: with the time of when they were first seen among `earlier`, else with
    /// `now`. Answers with these times.
    ///
    /// # Errors
    /// The disk.
    pub(crate) async fn add(
        &self,
        addrs: Vec<CAddr>,
        earlier: Option<&Self>,
        now: Duration,
    ) -> Result<Vec<Duration>> {
        let since = match earlier {
            Some(earlier) => earlier.times(addrs.clone(), now).await?,
            None => vec![now; addrs.len()],
        };
        let noted = since.clone();
        let push = move |index: &mut Index<8>| {
            let mut entries = addrs.into_iter().zip(noted);
            entries.try_for_each(|(addr, since)| index.push(addr, encode(since)))
        };
        self.0.with(push).await?;
        Ok(since)
    }

    async fn times(&self, addrs: Vec<CAddr>, now: Duration) -> Result<Vec<Duration>> {
        let time = move |index: &mut Index<8>, addr: CAddr| match index.find(addr)? {
            Some(at) => decode(index, at),
            None => Ok(now),
        };
        let times =
            move |index: &mut Index<8>| addrs.into_iter().map(|addr| time(index, addr)).collect();
        self.0.with(times).await
    }
}

fn encode(time: Duration) -> [u8; 8] {
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .to_le_bytes()
}

fn decode(index: &mut Index<8>, at: Position) -> Result<Duration> {
    Ok(Duration::from_nanos(u64::from_le_bytes(index.read(at)?.1)))
}
