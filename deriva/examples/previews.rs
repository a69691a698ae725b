//! Previews on demand: a web service shows the first words of Markdown documents, as many as somebody asks for. A preview
//! is computed when it is first wanted, and once, however many ask. `cargo run -p deriva --example previews`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deriva::prelude::*;
use pulldown_cmark::{Event, Parser};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static COMPUTED: AtomicU64 = AtomicU64::new(0);

/// The first words of a document, without its markup.
fn preview(inputs: &[Bytes], params: &Params) -> Result<Bytes> {
    COMPUTED.fetch_add(1, Ordering::Relaxed);
    let document = String::from_utf8_lossy(&inputs[0]);
    let texts = Parser::new(&document).filter_map(|event| match event {
        Event::Text(text) => Some(text.into_string()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join(" ");
    let words = text
        .split_whitespace()
        .take(params.int("words")?.unwrap_or(10) as usize);
    Ok(words.collect::<Vec<_>>().join(" ").into())
}

/// A recipe's address names its bytes for ever: it is their entity tag, known before they are computed.
async fn answer(deriva: Deriva, document: &str, words: i64, asked: &HeaderMap) -> Result<Response> {
    let recipe = deriva.recipe("preview", "1").input(document.parse()?);
    let recipe = recipe.param("words", words).insert().await?;
    let tag = format!("\"{recipe}\"");
    if asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|has| *has == tag)
    {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(([(header::ETAG, tag)], deriva.get(recipe).await?).into_response())
}

async fn show(
    State(deriva): State<Deriva>,
    Path((document, words)): Path<(String, i64)>,
    asked: HeaderMap,
) -> Response {
    let answer = answer(deriva, &document, words, &asked).await;
    answer.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND.into_response(),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    })
}

/// What a client gets, head and body.
async fn ask(to: SocketAddr, path: &str, header: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let builder = Deriva::builder().store("memory:");
    let deriva = builder.function("preview", "1", preview).build().await?;
    let document = deriva.put("# Ships\n\nA *ship* is a large boat.").await?;

    let routes = Router::new().route("/{document}/{words}", axum::routing::get(show));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    // It ends with the program.
    tokio::spawn(axum::serve(listener, routes.with_state(deriva)).into_future());

    let path = format!("/{document}/4");
    let eight = futures::future::try_join_all((0..8).map(|_| ask(at, &path, ""))).await?;
    for got in &eight {
        assert!(got.ends_with("\r\n\r\nShips A ship is"), "{got}");
    }
    assert_eq!(COMPUTED.load(Ordering::Relaxed), 1);
    let got = &eight[0];
    println!("eight clients asked, and it was computed once:\n{got}");

    let tag = got.lines().find_map(|line| line.strip_prefix("etag: "));
    let header = format!("if-none-match: {}\r\n", tag.unwrap_or_default());
    assert!(ask(at, &path, &header).await?.starts_with("HTTP/1.1 304"));
    let lost = format!("/{}/4", Blob::new("lost").addr());
    assert!(ask(at, &lost, "").await?.starts_with("HTTP/1.1 404"));
    Ok(())
}
