//! A thousand streams at once: those that are read, and those whose reader stops.

use std::time::Instant;

use deriva::stores::BlobStore;
use deriva::{Blob, Bytes};
use deriva_proto::v1::blobs_client::BlobsClient;
use deriva_proto::v1::materialize_client::MaterializeClient;
use deriva_proto::v1::run_response::Said;
use deriva_proto::{bytes_of, v1};
use futures::future::join_all;
use tonic::Streaming;
use tonic::transport::Channel;

use super::chance::Chance;
use super::served::{Served, in_time, mib, until};

pub(crate) const STREAMS: usize = 1000;
pub(crate) const CONNECTIONS: usize = 8;
/// By how much the server may grow.
pub(crate) const GROWTH: u64 = 256 << 20;
/// Some frames of each stream.
const LEN: usize = 1 << 20;

/// A stream of bytes that has begun.
enum Begun {
    Get(Streaming<v1::GetBlobResponse>),
    Run(Streaming<v1::RunResponse>),
}

impl Begun {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Get(frames) => {
                let frame = frames.message().await.unwrap();
                frame.map(|frame| frame.chunk)
            }
            Self::Run(said) => loop {
                let said = said.message().await.unwrap()?.said;
                if let Some(Said::Bytes(bytes)) = said {
                    return Some(bytes.chunk);
                }
            },
        }
    }
}

/// A stream of one kind or the other, and its first bytes.
async fn begin(channel: Channel, place: usize, blob: Blob) -> (Begun, Bytes) {
    let mut begun = match place % 2 {
        0 => {
            let asked = v1::GetBlobRequest {
                addr: bytes_of(blob.addr()),
                range: None,
            };
            let frames = BlobsClient::new(channel).get(asked).await.unwrap();
            Begun::Get(frames.into_inner())
        }
        _ => {
            let asked = v1::RunRequest {
                targets: vec![bytes_of(blob.addr())],
                wanted: Some(v1::Wanted {
                    bytes: true,
                    ..v1::Wanted::default()
                }),
                ..v1::RunRequest::default()
            };
            let said = MaterializeClient::new(channel).run(asked).await.unwrap();
            Begun::Run(said.into_inner())
        }
    };
    let first = begun.next().await.unwrap();
    (begun, first)
}

/// All of them have begun, and nobody reads.
async fn begun(served: &Served, blobs: &[Blob]) -> Vec<(Begun, Bytes)> {
    let client = served.client().await;
    BlobStore::put(&client, blobs).await.unwrap();
    let channels = join_all((0..CONNECTIONS).map(|_| served.channel())).await;
    let all = (0..STREAMS).map(|place| {
        let channel = channels[place % CONNECTIONS].clone();
        begin(channel, place, blobs[place % blobs.len()].clone())
    });
    in_time("the first bytes", join_all(all)).await
}

fn blobs() -> Vec<Blob> {
    let mut chance = Chance::new(1000);
    let blobs = (0..7).map(|_| Blob::new(chance.bytes(LEN)));
    blobs.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_cost_bounded_memory_and_bring_right_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let (memory, began) = (served.memory(), Instant::now());
    let blobs = blobs();
    let streams = begun(&served, &blobs).await;
    assert_eq!(streams.len(), STREAMS);
    let reads = streams
        .into_iter()
        .enumerate()
        .map(|(place, (mut begun, first))| {
            let whole = blobs[place % blobs.len()].clone().into_bytes();
            async move {
                assert!(whole.starts_with(&first) && first.len() < whole.len());
                let mut came = first.len();
                while let Some(chunk) = begun.next().await {
                    let end = came + chunk.len();
                    assert!(whole[came..end] == chunk, "other bytes at {came}");
                    came = end;
                }
                assert_eq!(came, whole.len());
            }
        });
    in_time("the rest of all streams", join_all(reads)).await;
    let grown = memory.grown();
    eprintln!(
        "{STREAMS} streams in {:?}, {:.1} MiB more",
        began.elapsed(),
        mib(grown)
    );
    assert!(grown < GROWTH);
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_that_stop_cost_bounded_memory_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let memory = served.memory();
    let streams = begun(&served, &blobs()).await;
    let others = served.serves_others(1).await;
    let grown = memory.grown();
    eprintln!(
        "{STREAMS} readers stopped: another was served in {others:?}, {:.1} MiB more",
        mib(grown)
    );
    assert!(grown < GROWTH);
    // When they leave, nothing of them stays.
    drop(streams);
    let free = || served.metric("deriva_leases") == 0.0;
    let took = until("their leases", free).await;
    eprintln!("their leases ended in {took:?}");
    served.runs();
}
