//! Pages, over real sockets.

mod access;
mod bounds;
mod content;
mod hostile;
mod looks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deriva::metrics::Activity;
use deriva::prelude::*;
use deriva_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::common::{Running, loopback, serve};

/// An answer of HTTP.
struct Answer {
    code: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    #[track_caller]
    fn has(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "{text} in {}", self.text());
        self
    }

    #[track_caller]
    fn lacks(&self, text: &str) -> &Self {
        assert!(!self.text().contains(text), "{text} in {}", self.text());
        self
    }

    /// The values of an attribute, as they stand there.
    fn attributes(&self, name: &str) -> Vec<&str> {
        let begin = format!(" {name}=\"");
        let rest = self.text().split(&begin).skip(1);
        rest.map(|rest| rest.split('"').next().unwrap()).collect()
    }
}

/// Asks with a method and more headers.
async fn asked(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request += "host: localhost\r\n";
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let code = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        code: code.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

async fn got(addr: SocketAddr, path: &str) -> Answer {
    asked(addr, "GET", path, &[]).await
}

/// The page of a path, which is there.
async fn page(addr: SocketAddr, path: &str) -> Answer {
    let answer = got(addr, path).await;
    assert_eq!(answer.code, 200, "{path}: {}", answer.text());
    answer
}

/// A store with a little of everything, and a function that counts how often it runs.
struct World {
    deriva: Deriva,
    _running: Running,
    http: SocketAddr,
    runs: Arc<AtomicU64>,
}

impl World {
    async fn new() -> Self {
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
        let builder = Deriva::builder()
            .store("memory:")
            .observer(activity.clone());
        let builder = builder
            .function("join", "1", move |inputs: &[Bytes], _: &Params| {
                counted.fetch_add(1, Relaxed);
                Ok(inputs.concat().into())
            })
            .function("lie", "1", {
                let lies = AtomicU64::new(0);
                move |_: &[Bytes], _: &Params| {
                    let lie = lies.fetch_add(1, Relaxed);
                    Ok(lie.to_string().into())
                }
            });
        let deriva = builder.build().await.unwrap();
        let server = Server::new(deriva.clone()).http(loopback());
        let running = serve(server.activity(activity)).await;
        Self {
            deriva,
            http: running.http.unwrap(),
            _running: running,
            runs,
        }
    }

    async fn joined(&self, inputs: &[CAddr]) -> CAddr {
        let recipe = self.deriva.recipe("join", "1");
        let recipe = recipe.inputs(inputs.iter().copied());
        recipe.insert().await.unwrap()
    }
}
