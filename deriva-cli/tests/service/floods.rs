//! Floods of frames that are right each for itself: the connection that sends them pays for them, and nobody else.

use std::time::Duration;

use deriva_proto::{bytes_of, v1};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{Served, in_time, mib};
use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, call, frame, header, message, setting,
};

const STAT: &str = "/deriva.v1.Blobs/Stat";
const GROWTH: u64 = 64 << 20;
/// How long a sender waits that nobody takes anything from.
const STUCK: Duration = Duration::from_secs(2);

/// How a flood ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The server closed the connection, or said that it goes, for this reason.
    Refused(Option<u32>),
    /// The server took no more, as nobody reads what it answers.
    Stuck,
    /// It took everything.
    Taken,
}

/// Sends a flood of N pieces. Where `reads`, the answers are read at the same time.
async fn flood(wire: Wire, piece: impl Fn(u32) -> Vec<u8>, pieces: u32, reads: bool) -> Ended {
    let (mut from, mut to) = wire.0.into_split();
    let send = async {
        let mut pieces = 0..pieces;
        loop {
            let bytes: Vec<u8> = pieces.by_ref().take(64).flat_map(&piece).collect();
            if bytes.is_empty() {
                return Ended::Taken;
            }
            match tokio::time::timeout(STUCK, to.write_all(&bytes)).await {
                Err(_) => return Ended::Stuck,
                Ok(Err(_)) => return Ended::Refused(None),
                Ok(Ok(())) => {}
            }
        }
    };
    if !reads {
        return send.await;
    }
    // What comes is read to its end: the reason stands in the last frame but the end.
    let read = async {
        let mut came = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read) = from.read(&mut buffer).await {
            if read == 0 {
                break;
            }
            came.extend_from_slice(&buffer[..read]);
        }
        Ended::Refused(reason(&came))
    };
    let (mut send, mut read) = (std::pin::pin!(send), std::pin::pin!(read));
    let sent = tokio::select! {
        ended = &mut read => return ended,
        sent = &mut send => sent,
    };
    // A moment for what it says in the end.
    match tokio::time::timeout(STUCK, read).await {
        Ok(ended) => ended,
        Err(_) => sent,
    }
}

/// Why the server goes, if it says so in what it sent.
fn reason(mut came: &[u8]) -> Option<u32> {
    while came.len() >= 9 {
        let len = u32::from_be_bytes([0, came[0], came[1], came[2]]) as usize;
        if came[3] == GOAWAY && came.len() >= 17 {
            return Some(u32::from_be_bytes([came[13], came[14], came[15], came[16]]));
        }
        came = came.get(9 + len..)?;
    }
    None
}

/// Floods a server, asks it meanwhile as another client, and tells how that went.
async fn flooded(
    what: &str,
    settings: &[u8],
    first: &[u8],
    piece: impl Fn(u32) -> Vec<u8> + Send + Sync,
    pieces: u32,
    reads: bool,
) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "memory:", &[]);
    served.serves_others(4).await;
    let memory = served.memory();
    let mut wire = Wire::begin(served.addr, settings).await;
    wire.send(first).await.unwrap();
    let flooding = flood(wire, piece, pieces, reads);
    let (ended, others) = in_time(what, async {
        tokio::join!(flooding, served.serves_others(5))
    })
    .await;
    let after = served.serves_others(6).await;
    let grown = memory.grown();
    eprintln!(
        "{what}: {ended:?} of {pieces}, {:.1} MiB more, another served in {others:?} meanwhile and {after:?} after",
        mib(grown)
    );
    assert!(grown < GROWTH, "{what}");
    served.runs();
    ended
}

fn odd(place: u32) -> u32 {
    2 * place + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_taken_back_at_once_end_the_connection() {
    let piece = |place| {
        let open = frame(HEADERS, END_HEADERS, odd(place), &call(STAT, &[]));
        [open, frame(RST_STREAM, 0, odd(place), &[0, 0, 0, 8])].concat()
    };
    let ended = flooded("rapid resets", &[], &[], piece, 100_000, true).await;
    assert!(
        matches!(ended, Ended::Refused(None | Some(11))),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_break_the_rules_end_the_connection() {
    // The server resets each of them.
    let piece = |place| {
        let open = frame(HEADERS, END_HEADERS, odd(place), &call(STAT, &[]));
        [open, frame(WINDOW_UPDATE, 0, odd(place), &[0; 4])].concat()
    };
    let ended = flooded("resets that are provoked", &[], &[], piece, 100_000, true).await;
    assert!(matches!(ended, Ended::Refused(_)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_whose_answers_nobody_reads_cost_nothing() {
    let ping = |_| frame(PING, 0, 0, b"12345678");
    flooded("pings", &[], &[], ping, 1_000_000, false).await;
    let settings = |_| frame(SETTINGS, 0, 0, &setting(4, 70_000));
    flooded("settings", &[], &[], settings, 1_000_000, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_say_nothing_cost_nothing() {
    let open = frame(HEADERS, END_HEADERS, 1, &call("/deriva.v1.Blobs/Put", &[]));
    let empty = |_| frame(DATA, 0, 1, &[]);
    flooded("empty data", &[], &open, empty, 200_000, true).await;
    let priority = |place| frame(PRIORITY, 0, odd(place % 1000), &[0, 0, 0, 0, 9]);
    flooded("priorities", &[], &[], priority, 200_000, true).await;
    let window = |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    flooded("windows", &[], &[], window, 200_000, true).await;
    let unknown = |_| frame(0x77, 0, 0, &[0; 100]);
    flooded("unknown frames", &[], &[], unknown, 200_000, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_end_the_connection() {
    let open = frame(HEADERS, 0, 1, &call(STAT, &[]));
    let empty = |_| frame(CONTINUATION, 0, 1, &[]);
    let ended = flooded("continuations of nothing", &[], &open, empty, 100_000, true).await;
    assert!(matches!(ended, Ended::Refused(_)), "{ended:?}");
    let more = |_| frame(CONTINUATION, 0, 1, &header("x", &[b'y'; 16_000]));
    let ended = flooded("continuations", &[], &open, more, 20_000, true).await;
    assert!(matches!(ended, Ended::Refused(_)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_large_or_many_are_refused() {
    // Each stream anew, so that what is refused stream by stream is seen, too.
    let large = |place| {
        let block = call(STAT, &[("x-large", &[b'y'; 16_000])]);
        [
            frame(HEADERS, 0, odd(place), &block[..block.len() / 2]),
            frame(
                CONTINUATION,
                END_HEADERS,
                odd(place),
                &block[block.len() / 2..],
            ),
        ]
        .concat()
    };
    flooded("large headers", &[], &[], large, 1_500, true).await;
    let many = |place| {
        let more: Vec<u8> = (0..1000).flat_map(|_| header("x", b"y")).collect();
        let block = [call(STAT, &[]), more].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, odd(place), &block)
    };
    flooded("many headers", &[], &[], many, 1_500, true).await;
    // One header is remembered, and named again and again: a few bytes that stand for megabytes.
    let bomb = |place| {
        let mut block = call(STAT, &[]);
        if place == 0 {
            let mut kept = header("x", &[b'y'; 3000]);
            kept[0] = 0x40;
            block.extend_from_slice(&kept);
        }
        block.extend(std::iter::repeat_n(0x80 | 62, 8000));
        frame(HEADERS, END_HEADERS | END_STREAM, odd(place), &block)
    };
    flooded(
        "a few headers that stand for many",
        &[],
        &[],
        bomb,
        1_500,
        true,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_stays_shut_holds_little() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let leaf = served.client().await.put(vec![7; 2 << 20]).await.unwrap();
    let memory = served.memory();
    let get = v1::GetBlobRequest {
        addr: bytes_of(leaf),
        range: None,
    };
    let get = message(&get.encode_to_vec());
    let mut wires = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::begin(served.addr, &setting(4, 0)).await;
        for place in 0..250 {
            let open = call("/deriva.v1.Blobs/Get", &[]);
            let open = frame(HEADERS, END_HEADERS, odd(place), &open);
            let asked = [open, frame(DATA, END_STREAM, odd(place), &get)].concat();
            wire.send(&asked).await.unwrap();
        }
        wire.send(&frame(PING, 0, 0, b"the last")).await.unwrap();
        let answered = in_time("the last ping", wire.answered(0)).await;
        assert!(!answered.is_refused(), "{answered:?}");
        wires.push(wire);
    }
    let others = served.serves_others(7).await;
    let grown = memory.grown();
    eprintln!(
        "1000 calls behind shut windows: {:.1} MiB more, another served in {others:?}",
        mib(grown)
    );
    assert!(grown < 2 * GROWTH);
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_take_no_place_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--set limits.connections=50 --set limits.header_timeout=500ms";
    let more: Vec<&str> = more.split(' ').collect();
    let mut served = Served::begin(dir.path(), "memory:", &more);
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(served.addr).await.unwrap());
    }
    // As soon as the first have been shut out there is room for others.
    let served_after = served.serves_others(8).await;
    for stream in &mut silent {
        let mut byte = [0; 64];
        let closed = async { while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {} };
        in_time("the end of a silent connection", closed).await;
    }
    eprintln!("60 silent connections of 50: another served after {served_after:?}");
    served.runs();
}
