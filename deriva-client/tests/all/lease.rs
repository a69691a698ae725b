//! Leases: held by a stream that is kept open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use deriva_api::{CAddr, Error, ErrorKind, Materializer};
use deriva_proto::{status_of, v1};
use futures::StreamExt;
use futures::stream::{once, pending};

use crate::fake::{Fake, Materialize, Streamed, all, away, counting, now, until};

fn fake(lease: Streamed<v1::LeaseRequest, v1::LeaseResponse>) -> Fake {
    Fake {
        materialize: Materialize {
            lease,
            ..Materialize::default()
        },
        ..Fake::default()
    }
}

/// Counts a lease as long as it lives.
struct Held(Arc<AtomicUsize>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, SeqCst);
    }
}

/// A server that counts the addresses that are leased. The first N leases break as soon as they are held.
fn counted(held: &Arc<AtomicUsize>, breaks: usize) -> Fake {
    let (held, calls) = (Arc::clone(held), counting());
    fake(now(move |asked: v1::LeaseRequest| {
        let holds = once(std::future::ready(Ok(v1::LeaseResponse {})));
        if calls() < breaks {
            return Ok(holds.chain(once(std::future::ready(Err(away())))).boxed());
        }
        held.fetch_add(asked.addrs.len(), SeqCst);
        let it = Held(Arc::clone(&held), asked.addrs.len());
        let stays = pending().map(move |never: std::convert::Infallible| {
            let _ = &it;
            match never {}
        });
        Ok(holds.chain(stays).boxed())
    }))
}

fn addrs(count: u32) -> Vec<CAddr> {
    (0..count)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect()
}

#[tokio::test]
async fn a_lease_holds_until_it_is_dropped_however_many_addresses_it_has() {
    let held = Arc::new(AtomicUsize::new(0));
    let served = counted(&held, 0).serve().await;
    let client = served.client().await;
    for count in [1, 5000] {
        let lease = client.lease(&addrs(count)).await.unwrap();
        assert_eq!(held.load(SeqCst), count as usize);
        assert!(lease.is_held());
        drop(lease);
        until("nothing is held any more", || held.load(SeqCst) == 0).await;
    }
    let lease = Materializer::lease(&client, &addrs(3)).await.unwrap();
    assert_eq!(held.load(SeqCst), 3);
    drop(lease);
    until("nothing is held any more", || held.load(SeqCst) == 0).await;
    let lease = client.lease(&[]).await.unwrap();
    assert!(lease.is_held());
}

#[tokio::test]
async fn a_lease_that_breaks_is_taken_again() {
    let held = Arc::new(AtomicUsize::new(0));
    let served = counted(&held, 3).serve().await;
    let client = served.client().await;
    let lease = client.lease(&addrs(7)).await.unwrap();
    until("it is held again", || held.load(SeqCst) == 7).await;
    assert_eq!(served.calls("lease"), 4);
    assert!(lease.is_held());
    drop(lease);
    until("nothing is held any more", || held.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn a_lease_that_the_server_refuses_is_none() {
    let refused = Error::new(ErrorKind::Unsupported, "no leases here");
    let calls = counting();
    let lease = all(move |_| match calls() {
        0 => vec![],
        1 => vec![Err(status_of(&refused))],
        2 => vec![Ok(v1::LeaseResponse {})],
        _ => vec![Err(status_of(&refused))],
    });
    let served = fake(lease).serve().await;
    let client = served.client().await;
    let asked = addrs(1);
    let kind = async || {
        client
            .lease(&asked)
            .await
            .map_err(|error| error.kind())
            .err()
    };
    assert_eq!(
        kind().await,
        Some(ErrorKind::Internal),
        "it ended without a word"
    );
    assert_eq!(kind().await, Some(ErrorKind::Unsupported));
    let lease = client.lease(&asked).await.unwrap();
    until("the client knows that it is gone", || !lease.is_held()).await;
}
