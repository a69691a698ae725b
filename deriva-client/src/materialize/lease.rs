//! What is kept from collection, for as long as a stream is open.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use deriva_api::{CAddr, ErrorKind, Result};
use deriva_proto::{bytes_of_all, v1};
use futures::StreamExt;
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tonic::Streaming;

use crate::answers::was;
use crate::batches::MAX_ITEMS;
use crate::client::Client;
use crate::failure::{Attempts, Failure};

/// Keeps addresses, with all that they need, from collection there until it is dropped. A task holds the connection for it.
///
/// Where the connection breaks, the lease is taken again as soon as there is one; until then nothing is kept, and what was collected
/// meanwhile is gone. Nobody can hold more than that over a network.
#[derive(Debug)]
#[must_use = "what it keeps is kept until it is dropped"]
pub struct Lease(Vec<Holding>);

/// One stream, and the task that looks after it.
#[derive(Debug)]
struct Holding {
    stream: Held,
    task: JoinHandle<()>,
}

/// The open stream; none once it is given up.
type Held = Arc<Mutex<Option<Streaming<v1::LeaseResponse>>>>;

impl Drop for Holding {
    fn drop(&mut self) {
        self.task.abort();
        // At once, and not when the task ends: what is asked next comes after it.
        drop(self.stream.lock().take());
    }
}

/// Waits until a stream ends, however it does. There is no other answer than the first.
async fn ended(stream: &Held) {
    poll_fn(|context| {
        let mut stream = stream.lock();
        while let Some(open) = stream.as_mut() {
            match ready!(open.poll_next_unpin(context)) {
                Some(Ok(_)) => {}
                _ => *stream = None,
            }
        }
        Poll::Ready(())
    })
    .await;
}

impl Lease {
    /// Whether the server still holds all of it, as far as is known: false for good once the server refuses to.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.iter().all(|holding| !holding.task.is_finished())
    }
}

/// Whether a lease will not be had later either.
fn is_final(kind: ErrorKind) -> bool {
    use ErrorKind::{Internal, Invalid, Unsupported};
    matches!(kind, Internal | Invalid | Unsupported)
}

impl Client {
    /// Keeps addresses, with all that they need, from collection until the answer is dropped. Nothing need be stored under them yet.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn lease(&self, addrs: &[CAddr]) -> Result<Lease> {
        let batches = addrs.chunks(MAX_ITEMS);
        let held = try_join_all(batches.map(|batch| self.hold(batch.to_vec()))).await?;
        Ok(Lease(held))
    }

    async fn hold(&self, addrs: Vec<CAddr>) -> Result<Holding> {
        let stream: Held = Arc::new(Mutex::new(Some(self.held(&addrs).await?)));
        let (client, holding) = (self.clone(), Arc::clone(&stream));
        let task = self.link().tokio.spawn(async move {
            loop {
                ended(&holding).await;
                let again = loop {
                    client.link().clock.sleep(client.link().first_delay).await;
                    match client.held(&addrs).await {
                        Ok(stream) => break stream,
                        Err(error) if is_final(error.kind()) => return,
                        Err(_) => {}
                    }
                };
                *holding.lock() = Some(again);
            }
        });
        Ok(Holding { stream, task })
    }

    /// A lease that is held.
    async fn held(&self, addrs: &[CAddr]) -> Result<Streaming<v1::LeaseResponse>> {
        let mut attempts = Attempts::new(self.link(), "lease");
        loop {
            match self.try_hold(addrs).await {
                Ok(stream) => return Ok(stream),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    async fn try_hold(&self, addrs: &[CAddr]) -> Result<Streaming<v1::LeaseResponse>, Failure> {
        let link = self.link();
        let request = v1::LeaseRequest {
            addrs: bytes_of_all(addrs),
        };
        let mut service = link.materialize();
        let mut stream = link.in_time(service.lease(request)).await?.into_inner();
        match link.in_time(stream.message()).await? {
            Some(_) => Ok(stream),
            None => Err(was("that the lease holds", "nothing").into()),
        }
    }
}
