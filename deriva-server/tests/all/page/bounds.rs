//! What pages may take.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use deriva::layers::{intercept, intercept_layer};
use deriva::prelude::*;
use deriva::stores::Capabilities;
use deriva_server::{Limits, Server};
use intercept::{Intercept, Operation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::super::common::{PATIENCE, loopback, serve, until};
use super::{World, got, page};

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_graph_is_drawn_to_a_depth_and_a_large_one_in_groups() {
    let world = World::new().await;
    let mut top = world.deriva.put("leaf").await.unwrap();
    for _ in 0..6000 {
        top = world.joined(&[top, top]).await;
    }
    let path = format!("/graph/{top}");
    let drawn = page(world.http, &path).await;
    drawn
        .has("9 nodes")
        .has("2 inputs are left out: at most 8 edges");
    drawn.has("href=\"/graph/").has("depth=8&amp;zoom=200");
    let deep = page(world.http, &format!("{path}?depth=1000")).await;
    deep.has("1,001 nodes").has("drawn in groups");
    assert!(deep.body.len() < 300_000, "{}", deep.body.len());
    assert_eq!(
        got(world.http, &format!("{path}?depth=1001")).await.code,
        400
    );
    assert_eq!(
        page(world.http, &format!("{path}?depth=0"))
            .await
            .text()
            .matches("<g>")
            .count(),
        1
    );
    // In a size of its own, and as it is otherwise.
    let width = |answer: &super::Answer| {
        let text = answer.text();
        let start = text.find("<svg").unwrap();
        let rest = text[start..].split(" width=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().parse::<f64>().unwrap()
    };
    let double = page(world.http, &format!("{path}?zoom=200")).await;
    assert_eq!(width(&double), 2.0 * width(&drawn));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_cut_off_or_go_on_at_a_link() {
    let world = World::new().await;
    let leaf = world.deriva.put("leaf").await.unwrap();
    let mut all = Vec::new();
    for n in 0..120 {
        let recipe = world.deriva.recipe("join", "1").inputs([leaf, leaf]);
        let recipe = recipe.param("n", n).insert().await.unwrap();
        world
            .deriva
            .set_root(&format!("r/{n:03}&x"), recipe)
            .await
            .unwrap();
        all.push(recipe);
    }
    let inputs: Vec<CAddr> = all.iter().copied().cycle().take(3000).collect();
    let wide = world.joined(&inputs).await;
    let shown = page(world.http, &format!("/address/{wide}")).await;
    shown.has("The first 100 of 3,000 inputs.");
    page(world.http, &format!("/address/{leaf}"))
        .await
        .has("And others.");
    for (path, of_each) in [
        ("/roots", "/address/"),
        ("/function?id=join/1", "/address/"),
    ] {
        let (mut next, mut seen, mut pages) = (Some(path.to_owned()), Vec::new(), 0);
        while let Some(path) = next.take() {
            let answer = page(world.http, &path).await;
            let links = answer.attributes("href");
            let listed = links.iter().filter(|link| link.starts_with(of_each));
            seen.extend(listed.map(|link| link.to_string()));
            let more = links.iter().find(|link| link.contains("after="));
            next = more.map(|link| link.replace("&amp;", "&"));
            pages += 1;
        }
        assert_eq!(pages, 3, "{path}");
        for addr in &all {
            let count = seen.iter().filter(|link| link.ends_with(&addr.to_string()));
            assert_eq!(count.count(), 1, "{path}: {addr}");
        }
    }
    let long = world
        .deriva
        .recipe("join", "1")
        .param("long", "x".repeat(100_000));
    let long = long.insert().await.unwrap();
    let shown = page(world.http, &format!("/address/{long}")).await;
    shown.has("(100002 bytes in all)");
    assert!(shown.body.len() < 20_000, "{}", shown.body.len());
}

/// Asking how much is stored waits until somebody lets it.
#[derive(Clone, Debug)]
struct Held(Arc<Semaphore>);

#[derive(Debug)]
struct HeldCalls(Arc<Semaphore>);

impl Held {
    fn interceptor(&self, _: &dyn Display) -> HeldCalls {
        HeldCalls(Arc::clone(&self.0))
    }
}

intercept_layer!(Held);

impl Intercept for HeldCalls {
    const NAME: &'static str = "held";
    type Attempts = ();

    fn settings(&self) -> &str {
        ""
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }

    async fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        if operation.name == "usage" {
            drop(self.0.acquire().await);
        }
        call().await
    }

    async fn again(&self, (): &mut (), error: Error) -> Result<()> {
        Err(error)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_too_many_is_refused_at_once_and_one_that_takes_too_long_is_given_up() {
    let let_go = Arc::new(Semaphore::new(0));
    let builder = Deriva::builder().store("memory:");
    let deriva = builder
        .layer(Held(Arc::clone(&let_go)))
        .build()
        .await
        .unwrap();
    let mut limits = Limits::default();
    (limits.pages, limits.page_timeout) = (2, Duration::from_secs(5));
    let running = serve(Server::new(deriva).limits(limits).http(loopback())).await;
    let http = running.http.unwrap();
    let ask = || tokio::spawn(async move { got(http, "/").await });
    let waiting: Vec<_> = (0..2).map(|_| ask()).collect();
    // Others find room as long as those have not come.
    let refused = async {
        loop {
            let answer = got(http, "/roots").await;
            if answer.code == 503 {
                break answer;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(refused.header("retry-after"), "1");
    refused.has("2 pages are being made at once");
    // What is no page needs no such room.
    assert_eq!(got(http, "/healthz").await.code, 200);
    for answer in waiting {
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer.code, 503);
        answer.has("the page was not ready in time");
    }
    // Their places are free again.
    assert_eq!(got(http, "/roots").await.code, 200);
    let again = ask();
    let_go.add_permits(1);
    assert_eq!(again.await.unwrap().code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_refused_where_too_many_bytes_are_on_their_way() {
    let builder = Deriva::builder().store("memory:");
    let deriva = builder.build().await.unwrap();
    let mut large = b"\x89PNG\r\n\x1a\n".to_vec();
    large.resize(2 << 20, 0);
    let large = deriva.put(large).await.unwrap();
    let mut limits = Limits::default();
    limits.bytes_in_flight = 1 << 20;
    let running = serve(Server::new(deriva).limits(limits).http(loopback())).await;
    let http = running.http.unwrap();
    let refused = got(http, &format!("/blob/{large}")).await;
    assert_eq!((refused.code, refused.header("retry-after")), (503, "1"));
    refused.has("bytes are on their way");
    assert_eq!(got(http, "/").await.code, 200);
}

/// Whether a new connection is answered; with the connection, which stays.
async fn answered(addr: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.ok()?;
    (&begin == b"HTTP/1.1 200").then_some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_http_are_as_many_as_there_may_be_and_no_more() {
    let deriva = Deriva::builder().store("memory:").build().await.unwrap();
    let mut limits = Limits::default();
    limits.connections = 2;
    let running = serve(Server::new(deriva).limits(limits).http(loopback())).await;
    let http = running.http.unwrap();
    let held = (answered(http).await, answered(http).await);
    assert!(held.0.is_some() && held.1.is_some());
    assert!(answered(http).await.is_none());
    drop(held);
    until(async || answered(http).await.is_some()).await;
}
