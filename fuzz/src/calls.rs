//! Calls of the service, with whatever messages, on a store that has a blob, a recipe over it, and a root.
//!
//! Each call is answered, by an error of the caller's where it is wrong; and what an upload stores is what its frames say.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use deriva::stores::builtin;
use deriva::{Blob, Deriva, DerivaBuilder, functions};
use deriva_api::BlobStat;
use deriva_proto::v1;
use deriva_server::Limits;
use deriva_server::foreign::{Answered, Calls};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::Code;

use crate::{Read, headed, pieces};

/// A call that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(20);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
});

/// The first line is a call, as `Blobs/Put`; its messages follow, with a line of `--` between them. After `raw Blobs/Put` the bytes of
/// all messages follow, in the framing of gRPC.
pub fn read(bytes: &[u8]) -> Read {
    let Some((head, rest)) = headed(bytes) else {
        return Read::Refused;
    };
    let (call, body) = match head.strip_prefix("raw ") {
        Some(call) => (call, Bytes::copy_from_slice(rest)),
        None => (head, framed(&pieces(rest))),
    };
    // It is answered for as long as its caller stays.
    if call == "Materialize/Lease" {
        return Read::Refused;
    }
    let path = format!("/deriva.v1.{call}");
    let path_is_one = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    if !path_is_one {
        return Read::Refused;
    }
    RUNTIME.block_on(async {
        let deriva = stored().await;
        let calls = Calls::over(deriva.clone(), limits());
        let answered = tokio::time::timeout(LONGEST, calls.call(&path, body.clone())).await;
        let answered = answered.expect("a call is answered in time");
        let answered = answered.expect("a call is answered with a status");
        check_status(&answered);
        if call == "Blobs/Put" {
            check_put(&deriva, &body, &answered).await;
        }
        match answered.status.code() {
            Code::Ok => Read::Taken,
            _ => Read::Refused,
        }
    })
}

/// Small ones, so that small inputs meet them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.batch = 8;
    limits.depth = 100;
    limits.nodes = 100;
    limits.params_bytes = 1024;
    limits.stored_bytes = Some(1 << 20);
    limits
}

async fn stored() -> Deriva {
    let builder = DerivaBuilder::new()
        .stores(builtin())
        .functions(functions::builtin());
    let deriva = builder
        .store("memory:")
        .jobs(1)
        .build()
        .await
        .expect("a store");
    let blob = deriva.put("a blob").await.expect("there is room");
    let recipe = deriva.recipe("text.upper", "1").input(blob).insert().await;
    deriva
        .set_root("root", recipe.expect("it is one"))
        .await
        .expect("there is room");
    deriva
}

fn framed(messages: &[&[u8]]) -> Bytes {
    let mut body = BytesMut::new();
    for message in messages {
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.put_slice(message);
    }
    body.freeze()
}

/// No input shows a defect: an error of ours that says so has details, which those of the framing below it have not.
fn check_status(answered: &Answered) {
    let status = &answered.status;
    let is_defect = matches!(
        status.code(),
        Code::Internal | Code::Unknown | Code::DataLoss
    );
    assert!(!is_defect || status.details().is_empty(), "{status:?}");
}

/// The blobs are stored that the frames say, or the call failed.
async fn check_put(deriva: &Deriva, body: &[u8], answered: &Answered) {
    let expected = frames(body).and_then(uploaded);
    if answered.status.code() != Code::Ok {
        assert!(expected.is_none(), "{:?} of {expected:?}", answered.status);
        return;
    }
    let expected = expected.expect("these are frames of blobs");
    let answer = messages(&answered.body).expect("it is framed");
    let [answer] = &answer[..] else {
        panic!("{} answers", answer.len());
    };
    let answer = v1::PutResponse::decode(*answer).expect("it is an answer");
    let stats: Vec<BlobStat> = expected.iter().map(Blob::stat).collect();
    let found = answer.blobs.into_iter().map(BlobStat::try_from);
    assert_eq!(found.collect::<Result<Vec<_>, _>>().ok(), Some(stats));
    for blob in expected {
        let stored = deriva.get(blob.addr()).await.expect("it is stored");
        assert_eq!(stored, blob.bytes());
    }
}

/// Messages in the framing of gRPC, if all of it is.
fn messages(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<5>()?;
        let [0, len @ ..] = *head else {
            return None;
        };
        let (message, rest) = rest.split_at_checked(u32::from_be_bytes(len) as usize)?;
        messages.push(message);
        body = rest;
    }
    Some(messages)
}

fn frames(body: &[u8]) -> Option<Vec<v1::PutRequest>> {
    let frames = messages(body)?.into_iter().map(v1::PutRequest::decode);
    frames.collect::<Result<_, _>>().ok()
}

/// The blobs of an upload, if it is a right one.
fn uploaded(frames: Vec<v1::PutRequest>) -> Option<Vec<Blob>> {
    let mut blobs = Vec::new();
    let mut now: Option<(Option<BlobStat>, Vec<u8>)> = None;
    for v1::PutRequest { begin, chunk, end } in frames {
        if let Some(begin) = begin {
            if now.is_some() || blobs.len() >= limits().batch {
                return None;
            }
            let expect = begin.expect.map(BlobStat::try_from).transpose().ok()?;
            if expect.is_some_and(|stat| stat.len > 1 << 19) {
                return None;
            }
            now = Some((expect, Vec::new()));
        }
        now.as_mut()?.1.extend_from_slice(&chunk);
        if end {
            let (expect, bytes) = now.take()?;
            let blob = Blob::new(bytes);
            if expect.is_some_and(|stat| stat != blob.stat()) {
                return None;
            }
            blobs.push(blob);
        }
    }
    now.is_none().then_some(blobs)
}
