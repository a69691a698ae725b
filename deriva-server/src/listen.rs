//! Connections: how many there may be, how they begin, and when they have been silent for too long.

#![allow(
    clippy::disallowed_methods,
    reason = "the other end of a connection lives by the time of its own machine"
)]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::limits::Limits;

/// Bytes with which every client of HTTP/2 begins.
const PREFACE: u64 = 24;
/// Connections that wait to be served.
const WAITING: usize = 64;
/// After an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The certificate that is in force, if there is any: exchanged when it is loaded again.
pub(crate) type TlsInForce = Arc<RwLock<Option<Arc<ServerConfig>>>>;

/// What is known of the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    calls: Arc<Calls>,
}

#[derive(Debug)]
struct Calls {
    now: AtomicU64,
    /// When the last one ended, in milliseconds since `begun`.
    ended: AtomicU64,
    begun: Instant,
}

/// A call that is under way on a connection.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Calls>);

impl Peer {
    /// A call begins.
    pub(crate) fn begin(&self) -> Busy {
        self.calls.now.fetch_add(1, Relaxed);
        Busy(Arc::clone(&self.calls))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let since = self.0.begun.elapsed().as_millis();
        self.0
            .ended
            .store(u64::try_from(since).unwrap_or(u64::MAX), Relaxed);
        self.0.now.fetch_sub(1, Relaxed);
    }
}

/// A connection.
pub(crate) struct Conn {
    stream: Stream,
    peer: Peer,
    read: u64,
    limits: Arc<Limits>,
    look: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Conn {
    fn new(
        stream: Stream,
        limits: Arc<Limits>,
        cut: CancellationToken,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let calls = Calls {
            now: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            begun: Instant::now(),
        };
        let look = Box::pin(sleep(limits.header_timeout.min(limits.idle_timeout)));
        Self {
            stream,
            peer: Peer {
                calls: Arc::new(calls),
            },
            read: 0,
            limits,
            look,
            cut: Box::pin(cut.cancelled_owned()),
            _permit: permit,
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// Until when it may go on as it is; the end where that is over.
    fn patience(&self) -> Option<Instant> {
        let calls = &self.peer.calls;
        let until = if self.read < PREFACE {
            calls.begun + self.limits.header_timeout
        } else if calls.now.load(Relaxed) > 0 {
            Instant::now() + self.limits.idle_timeout
        } else {
            let ended = Duration::from_millis(calls.ended.load(Relaxed));
            calls.begun + ended + self.limits.idle_timeout
        };
        (until > Instant::now()).then_some(until)
    }
}

impl Connected for Conn {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if polled.is_ready() {
            self.read += (buf.filled().len() - before) as u64;
            return polled;
        }
        while self.look.as_mut().poll(cx).is_ready() {
            match self.patience() {
                Some(until) => self.look.as_mut().reset(until),
                None => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            }
        }
        Poll::Pending
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Connections as they come, once they are ready. One too many is closed at once, as is one whose handshake fails or takes
/// too long; the others do not notice. All of them end when `cut` is cancelled.
pub(crate) fn connections(
    listener: TcpListener,
    tls: TlsInForce,
    limits: Arc<Limits>,
    cut: CancellationToken,
) -> ReceiverStream<io::Result<Conn>> {
    let (sender, ready) = mpsc::channel(WAITING);
    tokio::spawn(accept(listener, tls, limits, cut, sender));
    ReceiverStream::new(ready)
}

async fn accept(
    listener: TcpListener,
    tls: TlsInForce,
    limits: Arc<Limits>,
    cut: CancellationToken,
    ready: mpsc::Sender<io::Result<Conn>>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (stream, addr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: "deriva", %error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(target: "deriva", %addr, "a connection was closed, as there are as many as there may be");
            continue;
        };
        // Where it fails small messages wait for others.
        let _ = stream.set_nodelay(true);
        let config = tls.read().clone();
        let (ready, limits, cut) = (ready.clone(), Arc::clone(&limits), cut.clone());
        tokio::spawn(async move {
            let patience = limits.header_timeout;
            let stream = match shaken(stream, addr, config, patience).await {
                Some(stream) => stream,
                None => return,
            };
            let _ = ready.send(Ok(Conn::new(stream, limits, cut, permit))).await;
        });
    }
}

/// A connection after its handshake, if there is one.
async fn shaken(
    stream: TcpStream,
    addr: SocketAddr,
    config: Option<Arc<ServerConfig>>,
    patience: Duration,
) -> Option<Stream> {
    let Some(config) = config else {
        return Some(Stream::Plain(stream));
    };
    match timeout(patience, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(target: "deriva", %addr, %error, "a handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(target: "deriva", %addr, "a handshake took too long");
            None
        }
    }
}
