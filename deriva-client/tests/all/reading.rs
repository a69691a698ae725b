//! Who may only read at a server gets what is stored.

use std::time::Duration;

use deriva_api::{Blob, ErrorKind, NodeState, Output};
use deriva_client::Client;
use deriva_proto::v1;
use tonic::Status;

use crate::fake::{Blobs, Fake, Graph, Materialize, Served, all, now, wire};
use crate::run::addr;

/// A server that refuses all that computes, has one blob, and says these of the address that is asked for.
async fn served(state: NodeState, output: Option<Blob>, refusal: fn() -> Status) -> Served {
    let output = output.map(|blob| Output {
        addr: blob.addr(),
        len: blob.len(),
        cost: Duration::ZERO,
    });
    let fake = Fake {
        materialize: Materialize {
            run: now(move |_| Err(refusal())),
            lease: now(move |_| Err(refusal())),
            ..Materialize::default()
        },
        graph: Graph {
            outputs: now(move |_| {
                Ok(v1::OutputsResponse {
                    outputs: vec![output.into()],
                })
            }),
            states: now(move |_| {
                Ok(v1::StatesResponse {
                    states: vec![v1::NodeState::from(state).into()],
                })
            }),
            ..Graph::default()
        },
        blobs: Blobs {
            get: all(|asked: v1::GetBlobRequest| {
                let made = Blob::new("made");
                if asked.addr != wire(made.addr()) {
                    return vec![Err(Status::not_found("no such blob"))];
                }
                vec![Ok(v1::GetBlobResponse {
                    stat: Some(made.stat().into()),
                    chunk: made.into_bytes(),
                })]
            }),
            ..Blobs::default()
        },
        ..Fake::default()
    };
    fake.serve().await
}

fn denied() -> Status {
    Status::permission_denied("the token has no role that may")
}

async fn opened(client: &Client, addr: deriva_api::CAddr) -> deriva_api::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = client.open(addr).await?;
    while let Some(chunk) = reader.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_is_stored_is_gotten_and_opened_and_nothing_else() {
    let made = Blob::new("made");
    let recipe = addr("recipe");
    for (state, asked, output, expected) in [
        (NodeState::Leaf, made.addr(), None, Ok("made")),
        (NodeState::Present, recipe, Some(made.clone()), Ok("made")),
        // It was computed between two questions.
        (NodeState::Present, recipe, None, Err(ErrorKind::Invalid)),
        (
            NodeState::Present,
            recipe,
            Some(Blob::new("gone")),
            Err(ErrorKind::NotFound),
        ),
        (
            NodeState::Condemned,
            recipe,
            Some(made.clone()),
            Err(ErrorKind::Nondeterministic),
        ),
        (
            NodeState::Lost,
            recipe,
            Some(made.clone()),
            Err(ErrorKind::Invalid),
        ),
        (NodeState::Absent, recipe, None, Err(ErrorKind::Invalid)),
        (NodeState::InFlight, recipe, None, Err(ErrorKind::Invalid)),
        (
            NodeState::UnknownFunction,
            recipe,
            None,
            Err(ErrorKind::Invalid),
        ),
        (NodeState::Missing, recipe, None, Err(ErrorKind::NotFound)),
    ] {
        let served = served(state, output, denied).await;
        let client = served.client().await;
        let got = client.get(asked).await;
        let got = got.as_deref().map_err(deriva_api::Error::kind);
        assert_eq!(got, expected.map(str::as_bytes), "{state:?}");
        let opened = opened(&client, asked).await;
        let opened = opened.as_deref().map_err(deriva_api::Error::kind);
        assert_eq!(opened, expected.map(str::as_bytes), "{state:?}");
    }
}

#[tokio::test]
async fn other_refusals_stay_what_they_are() {
    let made = Blob::new("made");
    let served = served(NodeState::Leaf, None, || Status::unauthenticated("who?")).await;
    let client = served.client().await;
    assert!(client.get(made.addr()).await.is_err());
    assert!(opened(&client, made.addr()).await.is_err());
    assert_eq!(served.calls("states"), 0);
}
