//! A network that is bad, by chance that can be repeated: something between that passes bytes on as it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::chance::Chance;

/// What the network does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It delays, splits, throttles, cuts, closes halves, doubles connections: what arrives is what was sent.
    Bad,
    /// It also changes a bit now and then.
    Lying,
}

/// It runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    /// Connections to which it did something.
    pub(crate) harmed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How one direction of a connection is passed on.
#[derive(Clone, Debug)]
struct Way {
    chance: Chance,
    /// Bytes at a time at the most.
    most: usize,
    /// How long each piece waits, at the most.
    delay: Duration,
    /// Bytes after which nothing is passed on any more.
    left: u64,
    /// The byte of which a bit is changed.
    lie: Option<u64>,
}

/// What happens where a way is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both directions end.
    Cut,
    /// This direction alone does.
    Half,
}

/// A network between here and a server.
pub(crate) async fn network(to: SocketAddr, weather: Weather, seed: u64) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let harmed = Arc::new(AtomicU64::new(0));
    let harming = Arc::clone(&harmed);
    let task = tokio::spawn(async move {
        let mut chance = Chance::new(seed);
        // All connections end with this task.
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let chance = Chance::new(chance.number());
            connections.spawn(connection(near, to, weather, chance, Arc::clone(&harming)));
        }
    });
    Proxy { addr, harmed, task }
}

/// A network that cuts the first connection after bytes of this number to the server, and passes on all else as it comes.
pub(crate) async fn cut_once(to: SocketAddr, after: u64) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let harmed = Arc::new(AtomicU64::new(0));
    let harming = Arc::clone(&harmed);
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        let mut left = after;
        while let Ok((near, _)) = listener.accept().await {
            connections.spawn(passed(near, to, left, Arc::clone(&harming)));
            left = u64::MAX;
        }
    });
    Proxy { addr, harmed, task }
}

async fn passed(near: TcpStream, to: SocketAddr, left: u64, harmed: Arc<AtomicU64>) {
    let far = TcpStream::connect(to).await.unwrap();
    let way = |left| Way {
        chance: Chance::new(0),
        most: 1 << 16,
        delay: Duration::ZERO,
        left,
        lie: None,
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pass(near_in, far_out, None, way(left)) => {
            if left < u64::MAX {
                harmed.fetch_add(1, SeqCst);
            }
        }
        () = pass(far_in, near_out, None, way(u64::MAX)) => {}
    }
}

async fn connection(
    near: TcpStream,
    to: SocketAddr,
    weather: Weather,
    mut chance: Chance,
    harmed: Arc<AtomicU64>,
) {
    let way = |chance: &mut Chance| Way {
        chance: Chance::new(chance.number()),
        most: 1 << 16,
        delay: Duration::ZERO,
        left: u64::MAX,
        lie: None,
    };
    let (mut up, mut down, mut end) = (way(&mut chance), way(&mut chance), End::Cut);
    // Most ends come early, some in the midst of what is large.
    let place = |chance: &mut Chance| {
        let most = [100, 3000, 60_000, 1_000_000][chance.below(4) as usize];
        chance.below(most)
    };
    let kind = chance.below(10);
    if weather == Weather::Lying {
        let lying = if chance.once_in(2) {
            &mut up
        } else {
            &mut down
        };
        lying.lie = Some(place(&mut chance));
    }
    match kind {
        0 => {}
        1 => {
            up.delay = Duration::from_millis(5);
            down.delay = Duration::from_millis(5);
        }
        2 => up.most = 1 + chance.below(50) as usize,
        3 => down.most = 1 + chance.below(50) as usize,
        4 => {
            (up.most, down.most) = (2000, 2000);
            (up.delay, down.delay) = (Duration::from_millis(2), Duration::from_millis(2));
        }
        5 => up.left = place(&mut chance),
        6 => down.left = place(&mut chance),
        7 => {
            up.left = place(&mut chance);
            end = End::Half;
        }
        8 => {
            down.left = place(&mut chance);
            end = End::Half;
        }
        // What the client sends comes twice, over a connection each.
        _ => {}
    }
    if kind > 0 || weather == Weather::Lying {
        harmed.fetch_add(1, SeqCst);
    }
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    // Nobody waits for more than was sent.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let twin = match kind {
        9 => TcpStream::connect(to).await.ok(),
        _ => None,
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let (twin_in, twin_out) = twin.map(TcpStream::into_split).unzip();
    let unheard = async {
        if let Some(mut twin_in) = twin_in {
            let _ = tokio::io::copy(&mut twin_in, &mut sink()).await;
        }
        std::future::pending::<()>().await;
    };
    let (up, down) = (
        pass(near_in, far_out, twin_out, up),
        pass(far_in, near_out, None, down),
    );
    match end {
        End::Cut => tokio::select! {
            () = up => {}
            () = down => {}
            () = unheard => {}
        },
        End::Half => {
            tokio::join!(up, down);
        }
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut also: Option<OwnedWriteHalf>,
    mut way: Way,
) {
    let mut buffer = vec![0; way.most];
    let mut passed = 0;
    while way.left > passed {
        let room = (way.left - passed).min(way.most as u64) as usize;
        let read = match from.read(&mut buffer[..room]).await {
            Ok(read) if read > 0 => read,
            _ => return,
        };
        if let Some(at) = way.lie.and_then(|lie| lie.checked_sub(passed))
            && at < read as u64
        {
            buffer[at as usize] ^= 1 << way.chance.below(8);
        }
        passed += read as u64;
        if !way.delay.is_zero() {
            let most = way.delay.as_micros() as u64 + 1;
            let delay = Duration::from_micros(way.chance.below(most));
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if let Some(twin) = &mut also {
            let _ = twin.write_all(&buffer[..read]).await;
        }
    }
}
