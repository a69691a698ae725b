//! Frames of HTTP/2 that are wrong: the connection or the stream ends as the protocol says, and nobody else notices.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::chance::{Chance, is_long, seed};
use super::served::{Served, in_time, mib};
use super::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, call, frame, header, message, setting,
};

const STAT: &str = "/deriva.v1.Blobs/Stat";
const GROWTH: u64 = 64 << 20;

/// Frames that a server has to refuse, by ending the stream or the connection.
fn wrong() -> Vec<(&'static str, Vec<u8>)> {
    let opened = frame(HEADERS, END_HEADERS, 1, &call(STAT, &[]));
    let after = |bytes: Vec<u8>| [opened.clone(), bytes].concat();
    let sized = |name, value| frame(SETTINGS, 0, 0, &setting(name, value));
    vec![
        ("data on stream 0", frame(DATA, 0, 0, b"x")),
        ("data on a stream that is idle", frame(DATA, 0, 7, b"x")),
        (
            "headers on stream 0",
            frame(HEADERS, END_HEADERS, 0, &call(STAT, &[])),
        ),
        (
            "headers on an even stream",
            frame(HEADERS, END_HEADERS, 2, &call(STAT, &[])),
        ),
        (
            "a stream that goes back",
            [
                frame(HEADERS, END_HEADERS, 5, &call(STAT, &[])),
                frame(HEADERS, END_HEADERS, 3, &call(STAT, &[])),
            ]
            .concat(),
        ),
        (
            "a frame longer than agreed",
            frame(DATA, 0, 1, &vec![0; 20_000]),
        ),
        (
            "headers longer than agreed",
            frame(HEADERS, 0, 1, &vec![0; 20_000]),
        ),
        (
            "settings of a length that none have",
            frame(SETTINGS, 0, 0, b"12345"),
        ),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "an answer to settings that says something",
            frame(SETTINGS, ACK, 0, &setting(3, 1)),
        ),
        ("a window that is too large", sized(4, 1 << 31)),
        ("frames that are too large", sized(5, 1 << 24)),
        ("frames that are too small", sized(5, 1)),
        ("a switch that is neither on nor off", sized(2, 2)),
        ("a ping of another length", frame(PING, 0, 0, b"1234567")),
        ("a ping on a stream", frame(PING, 0, 1, b"12345678")),
        ("no more window", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (
            "more window of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        (
            "more window than there can be",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
        ),
        (
            "more window of an idle stream",
            frame(WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1]),
        ),
        (
            "a reset of an idle stream",
            frame(RST_STREAM, 0, 9, &[0; 4]),
        ),
        ("a reset of stream 0", frame(RST_STREAM, 0, 0, &[0; 4])),
        (
            "a reset of another length",
            after(frame(RST_STREAM, 0, 1, &[0; 3])),
        ),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
        ),
        (
            "something between headers",
            [
                frame(HEADERS, 0, 1, &call(STAT, &[])),
                frame(PING, 0, 0, b"12345678"),
            ]
            .concat(),
        ),
        (
            "a continuation of another stream",
            [
                frame(HEADERS, 0, 1, &call(STAT, &[])),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ]
            .concat(),
        ),
        (
            "a push from a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        (
            "a priority of another length",
            frame(PRIORITY, 0, 1, b"1234"),
        ),
        ("a going away on a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        (
            "more padding than there is",
            after(frame(DATA, PADDED, 1, &[200, 1, 2])),
        ),
        (
            "headers that are no block",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 40]),
        ),
        (
            "an index that nothing has",
            frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0x7f]),
        ),
        (
            "a header in upper case",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(STAT, &[]), header("Upper", b"x")].concat(),
            ),
        ),
        (
            "a header of the connection",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(STAT, &[]), header("connection", b"close")].concat(),
            ),
        ),
        (
            "a path after the others",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(STAT, &[]), header(":path", b"/")].concat(),
            ),
        ),
        (
            "headers without a path",
            frame(HEADERS, END_HEADERS, 1, &header(":method", b"POST")),
        ),
        (
            "data after the end",
            [
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(STAT, &[])),
                frame(DATA, 0, 1, b"more"),
            ]
            .concat(),
        ),
        (
            "a length that is not kept",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &call(STAT, &[("content-length", b"4")]),
                ),
                frame(DATA, END_STREAM, 1, &message(&[0; 100])),
            ]
            .concat(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_end_their_connection_or_stream_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "memory:", &[]);
    let client = served.client().await;
    let leaf = client.put("of another connection").await.unwrap();
    let all = wrong();
    let cases = all.len();
    for (what, bytes) in all {
        let mut wire = Wire::begin(served.addr, &[]).await;
        wire.send(&bytes).await.unwrap();
        let answered = in_time(what, wire.answered(1)).await;
        assert!(answered.is_refused(), "{what}: {answered:?}");
        assert!(client.get(leaf).await.is_ok(), "{what}");
    }
    // What nobody knows is passed over.
    for (what, bytes) in [
        ("a frame of an unknown kind", frame(0x77, 0xff, 0, b"what?")),
        (
            "an unknown setting",
            frame(SETTINGS, 0, 0, &setting(0x9999, 7)),
        ),
        ("an answer to no ping", frame(PING, ACK, 0, b"12345678")),
    ] {
        let mut wire = Wire::begin(served.addr, &[]).await;
        let ping = frame(PING, 0, 0, b"the last");
        wire.send(&[bytes, ping].concat()).await.unwrap();
        let answered = in_time(what, wire.answered(1)).await;
        assert!(!answered.is_refused(), "{what}: {answered:?}");
    }
    eprintln!("{cases} wrong frames");
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_with_changed_bytes_end_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "memory:", &[]);
    let memory = served.memory();
    let mut chance = Chance::new(seed());
    let right = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(
            SETTINGS,
            0,
            0,
            &[setting(3, 100), setting(4, 70_000)].concat(),
        ),
        frame(HEADERS, END_HEADERS, 1, &call(STAT, &[])),
        frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]),
        frame(
            DATA,
            END_STREAM,
            1,
            &message(&[&[10, 32][..], &[7; 32]].concat()),
        ),
        frame(PING, 0, 0, b"12345678"),
        frame(
            HEADERS,
            END_HEADERS,
            3,
            &call("/deriva.v1.Graph/Insert", &[]),
        ),
        frame(DATA, 0, 3, &message(&[10, 4, 10, 2, 0x85, 1])),
    ]
    .concat();
    let inputs = if is_long() { 50_000 } else { 3_000 };
    for _ in 0..inputs {
        let mut bytes = right.clone();
        for _ in 0..=chance.below(4) {
            let Some(last) = bytes.len().checked_sub(1) else {
                break;
            };
            let at = chance.below(last as u64 + 1) as usize;
            match chance.below(4) {
                0 => bytes[at] ^= 1 << chance.below(8),
                1 => bytes[at] = chance.number() as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let ended = async {
            let mut stream = TcpStream::connect(served.addr).await.unwrap();
            if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
                let mut answer = [0; 4096];
                while stream.read(&mut answer).await.is_ok_and(|read| read > 0) {}
            }
        };
        in_time("the end of a connection with changed bytes", ended).await;
    }
    let others = served.serves_others(3).await;
    let grown = memory.grown();
    eprintln!(
        "{inputs} connections with changed bytes, {:.1} MiB more, another served in {others:?}",
        mib(grown)
    );
    assert!(grown < GROWTH);
    served.runs();
}
