//! What cannot be watched, and what is said of it.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::common::Bench;

/// Answers each request for a path with what `answer` makes, until the process ends; says where.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut ask = [0; 4096];
            let read = stream.read(&mut ask).unwrap_or_default();
            let ask = String::from_utf8_lossy(&ask[..read]);
            let path = ask.split_whitespace().nth(1).unwrap_or_default();
            stream.write_all(answer(path).as_bytes()).ok();
        }
    });
    host
}

#[test]
fn wrong_calls_are_told_with_what_would_be_right() {
    let bench = Bench::new();
    let told = bench.fails(2, &["top"]);
    assert!(
        told.contains("DERIVA_SERVER") && told.contains("next:"),
        "{told}"
    );
    for (url, says) in [
        ("localhost", "a port is missing"),
        ("ftp://localhost:1", "an http URL was expected"),
        ("https://localhost:1", "only plain http"),
        ("http://", "next:"),
    ] {
        let told = bench.fails(2, &["top", url]);
        assert!(told.contains(says) && told.contains("next:"), "{told}");
    }
    for interval in ["0", "0.05", "61", "-1", "NaN", "inf", "soon", "1e-320"] {
        let told = bench.fails(
            2,
            &["top", "localhost:1", &format!("--interval={interval}")],
        );
        assert!(told.contains("0.1 to 60"), "{told}");
    }
    assert!(!bench.path(".deriva").exists());
}

#[test]
fn what_does_not_answer_as_a_deriva_does_is_told_at_once() {
    let bench = Bench::new();
    let gone = {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap().to_string()
    };
    let told = bench.fails(6, &["top", &gone]);
    assert!(
        told.contains("does not answer") && told.contains("refused"),
        "{told}"
    );
    for (answer, code, says) in [
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", 6, "500"),
        (
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            6,
            "no /metrics",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nup{} 1\r\n\r",
            2,
            "no metrics of deriva",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{",
            6,
            "does not answer",
        ),
        ("no http\r\n\r\n", 6, "does not answer"),
        ("", 6, "does not answer"),
    ] {
        let told = bench.fails(code, &["top", &serve(move |_| answer.to_owned())]);
        assert!(told.contains(says) && told.contains("next:"), "{told}");
    }
}

/// An answer that ends its connection.
fn page(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn a_server_is_shown_by_what_it_tells_whatever_that_is() {
    let bench = Bench::new();
    let metrics = "deriva_build_info{version=\"7.7.7\"} 1\nderiva_materialize_active 5678\n\
                   deriva_compute_duration_seconds_sum{function=\"a\u{1b}[2J\u{202e}b\"} 1e300\n\
                   deriva_cache_bytes -1\nderiva_memory_budget_bytes 1e-300\nnonsense{\n";
    let counts_alone = serve(move |path| match path {
        "/metrics" => page("200 OK", metrics),
        _ => page("404 Not Found", ""),
    });
    let text = bench.ok(&["top", &counts_alone, "--interval", "0.1", "--once"]);
    for part in [
        "deriva 7.7.7",
        "5678 active",
        "not told",
        "a\\u{1b}[2J\\u{202e}b",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let odd = serve(move |path| match path {
        "/metrics" => page("200 OK", metrics),
        _ => page(
            "200 OK",
            r#"{"active": 18446744073709551615, "more": [], "now_millis": 1}"#,
        ),
    });
    bench.ok(&["top", &odd, "--interval", "0.1"]);
    let garbage = serve(move |path| match path {
        "/metrics" => page("200 OK", metrics),
        _ => page("200 OK", "[1, 2]"),
    });
    let told = bench.fails(6, &["top", &garbage]);
    assert!(told.contains("/activity"), "{told}");
}
