//! HTTP/2 by hand: frames that no library would send.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame: its head of nine bytes, and what it carries.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A setting.
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    let mut bytes = name.to_be_bytes().to_vec();
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes
}

/// A number as HPACK writes it, in the low bits of a byte that begins so.
fn number(begin: u8, bits: u8, number: usize, into: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if number < most {
        into.push(begin | number as u8);
        return;
    }
    into.push(begin | most as u8);
    let mut rest = number - most;
    while rest >= 128 {
        into.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    into.push(rest as u8);
}

/// A header as it stands in a block: neither packed nor remembered.
pub(crate) fn header(name: &str, value: &[u8]) -> Vec<u8> {
    let mut block = vec![0];
    number(0, 7, name.len(), &mut block);
    block.extend_from_slice(name.as_bytes());
    number(0, 7, value.len(), &mut block);
    block.extend_from_slice(value);
    block
}

/// The headers of a call, and more of them.
pub(crate) fn call(path: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let known: [(&str, &[u8]); 6] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"x"),
        ("content-type", b"application/grpc"),
        ("te", b"trailers"),
    ];
    let all = known.iter().chain(more);
    all.flat_map(|(name, value)| header(name, value)).collect()
}

/// A message as gRPC sends it: whether it is packed, its length, itself.
pub(crate) fn message(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0], &len[..], bytes].concat()
}

/// How something was answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// The server said that it goes, and why.
    pub(crate) goaway: Option<u32>,
    /// It reset a stream, and why.
    pub(crate) reset: Option<u32>,
    pub(crate) is_closed: bool,
}

impl Answered {
    pub(crate) fn is_refused(&self) -> bool {
        self.goaway.is_some() || self.reset.is_some() || self.is_closed
    }
}

/// A connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    /// A connection that has begun, with these settings.
    pub(crate) async fn begin(addr: SocketAddr, settings: &[u8]) -> Self {
        let mut wire = Self(TcpStream::connect(addr).await.unwrap());
        let first = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        wire.0.write_all(&first).await.unwrap();
        wire
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Sends the headers of a call on a stream.
    pub(crate) async fn open(&mut self, stream: u32, path: &str, more: &[(&str, &[u8])]) {
        let opened = frame(HEADERS, END_HEADERS, stream, &call(path, more));
        self.send(&opened).await.unwrap();
    }

    /// The next frame: kind, flags, stream and what it carries. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; len as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], stream, payload))
    }

    /// Reads until the server has ended the stream or the connection, or has answered a ping.
    pub(crate) async fn answered(&mut self, stream: u32) -> Answered {
        let mut answered = Answered::default();
        loop {
            let Some((kind, flags, of, payload)) = self.next().await else {
                answered.is_closed = true;
                return answered;
            };
            match kind {
                GOAWAY => {
                    let code = payload[4..8].try_into().unwrap();
                    answered.goaway = Some(u32::from_be_bytes(code));
                }
                RST_STREAM if of == stream => {
                    let code = payload[..4].try_into().unwrap();
                    answered.reset = Some(u32::from_be_bytes(code));
                    return answered;
                }
                HEADERS | DATA if of == stream && flags & END_STREAM != 0 => return answered,
                PING if flags & ACK != 0 => return answered,
                _ => {}
            }
        }
    }
}
