//! A network that cuts connections after N bytes: whatever is asked comes whole in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{Blob, BlobStat, BlobStore, Clock, SystemClock, async_trait};
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fake::{Fake, Store, builder};

/// Something between that passes on N bytes of each connection in either direction, a few more each time, and cuts it.
async fn cutting(to: SocketAddr, first: usize, cuts: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut most = first;
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            most += most / 10 + 1;
            let (cuts, most) = (Arc::clone(&cuts), most);
            tokio::spawn(async move {
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                // Where one direction is through, both are.
                tokio::select! {
                    () = passed(near_in, far_out, most) => {}
                    () = passed(far_in, near_out, most) => {}
                }
                cuts.fetch_add(1, SeqCst);
            });
        }
    });
    addr
}

async fn passed(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    most: usize,
) {
    let mut left = most;
    let mut buffer = vec![0; 4096];
    while left > 0 {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]).await {
            Ok(read) if read > 0 => {
                left -= read;
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// Waits no longer than a moment between two attempts, however many they are. What must not take long may take its time.
#[derive(Debug)]
struct Hasty(SystemClock);

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Duration {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        let is_delay = duration < Duration::from_secs(20);
        let moment = Duration::from_millis(1);
        self.0.sleep(if is_delay { moment } else { duration }).await;
    }
}

#[tokio::test]
async fn what_is_asked_over_a_network_that_cuts_comes_whole() {
    let bytes = |n: usize| -> Vec<u8> { (0..n * 977).map(|at| (at * n) as u8).collect() };
    let blobs: Vec<Blob> = (0..40).map(|n| Blob::new(bytes(n))).collect();
    let large = Blob::new(bytes(300));
    for first in [1, 30, 200, 3000, 50_000] {
        let store = Store::of(&blobs[..20]);
        let fake = Fake {
            blobs: store.served(700),
            ..Fake::default()
        };
        let served = fake.serve().await;
        let cuts = Arc::new(AtomicUsize::new(0));
        let addr = cutting(served.addr, first, Arc::clone(&cuts)).await;
        let client = builder(addr)
            .attempts(100)
            .clock(Arc::new(Hasty(SystemClock::new())))
            .connect()
            .await
            .unwrap();
        for blob in &blobs[..20] {
            let got = BlobStore::get(&client, blob.addr()).await.unwrap();
            assert_eq!(got.as_ref(), Some(blob));
        }
        BlobStore::put(&client, &blobs).await.unwrap();
        BlobStore::put(&client, std::slice::from_ref(&large))
            .await
            .unwrap();
        let got = BlobStore::get(&client, large.addr()).await.unwrap();
        assert_eq!(got, Some(large.clone()));
        let listed: Vec<BlobStat> = BlobStore::list(&client, None).try_collect().await.unwrap();
        let mut expected: Vec<BlobStat> = blobs.iter().chain([&large]).map(Blob::stat).collect();
        expected.sort_unstable_by_key(|stat| stat.addr);
        assert_eq!(listed, expected);
        assert!(cuts.load(SeqCst) > 1, "{first}: the network was good");
        assert_eq!(store.len(), 41);
    }
}
