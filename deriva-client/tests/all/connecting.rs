//! How a client comes to its server.

use std::io::Write;
use std::process::Command;

use deriva_api::{BlobStore, DagStore, ErrorKind};
use deriva_client::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::fake::{Fake, builder};

#[tokio::test]
async fn where_nobody_listens_it_is_unavailable_after_all_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = builder(addr).attempts(3).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("server"), Some(&*addr.to_string()));
    assert_eq!(error.context("attempts"), Some("3"));
    assert!(error.advice().unwrap().contains("server runs"), "{error:#}");
}

#[tokio::test]
async fn a_server_of_another_kind_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            drop(socket.write_all(answer).await);
        }
    });
    let error = builder(addr).attempts(2).connect().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal),
        "{error:#}"
    );
    assert!(error.advice().is_some() && error.context("server").is_some());
}

#[tokio::test]
async fn what_the_server_can_do_is_asked_once_and_is_shared() {
    let served = Fake::default().serve().await;
    let client = served.client().await;
    let (blobs, dag) = (client.blobs(), client.dag());
    assert!(blobs.capabilities().shared && dag.capabilities().shared);
    assert_eq!(blobs.capabilities().identity, dag.capabilities().identity);
    assert!(blobs.capabilities().identity.is_some());
    assert_eq!(served.calls("usage"), 2);
    assert_eq!(BlobStore::usage(&client).await.unwrap().unwrap().bytes, 5);
    assert_eq!(DagStore::usage(&client).await.unwrap(), None);
    let uri = client.to_string();
    assert_eq!(uri, format!("deriva://{}?first_delay=1ms", served.addr));
    let again = Client::connect(&uri).await.unwrap();
    assert_eq!(again.to_string(), uri);
}

#[tokio::test]
async fn the_token_goes_with_each_call_and_is_never_shown() {
    let served = Fake::default().serve().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "  of-the-file ").unwrap();
    for (builder, token) in [
        (served.builder().token("of-the-call"), "of-the-call"),
        (served.builder().token_file(file.path()), "of-the-file"),
        (
            served
                .builder()
                .token_file(file.path())
                .token("of-the-call"),
            "of-the-call",
        ),
    ] {
        assert!(!format!("{builder:?}").contains(token), "{builder:?}");
        let client = builder.connect().await.unwrap();
        assert!(!format!("{client:?} {client}").contains(token));
        BlobStore::usage(&client).await.unwrap();
        let seen = served.seen.lock().unwrap();
        let (_, metadata) = seen.last().unwrap();
        let sent = metadata.get("authorization").unwrap().to_str().unwrap();
        assert_eq!(sent, format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn a_token_of_the_environment_goes_with_each_call() {
    const CHILD: &str = "DERIVA_CLIENT_TEST_SERVER";
    if let Ok(uri) = std::env::var(CHILD) {
        let client = Client::connect(&uri).await.unwrap();
        assert!(!format!("{client:?}").contains("of-the-environment"));
        return;
    }
    let served = Fake::default().serve().await;
    let uri = format!("deriva://{}", served.addr);
    let this = std::env::current_exe().unwrap();
    let test = "connecting::a_token_of_the_environment_goes_with_each_call";
    let run = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(this);
        command.args([test, "--exact"]).env(CHILD, uri);
        command.env("DERIVA_TOKEN", "of-the-environment\n").output()
    });
    let output = run.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = served.seen.lock().unwrap();
    let tokens = seen
        .iter()
        .map(|(_, metadata)| metadata.get("authorization"));
    let tokens: Vec<_> = tokens.map(|it| it.unwrap().to_str().unwrap()).collect();
    assert_eq!(tokens, ["Bearer of-the-environment"; 2]);
}

#[tokio::test]
async fn a_token_is_not_sent_for_everybody_to_read() {
    let plain = |uri: &str| Client::builder(uri).token("secret").attempts(1);
    let error = plain("deriva://192.0.2.1:7171")
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.advice().unwrap().contains("plain_token=on"));
    assert!(!format!("{error:?}").contains("secret"));
    // Who says so gets as far as the network.
    let uri = "deriva://192.0.2.1:7171?plain_token=on&connect_timeout=20ms";
    let error = plain(uri).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

#[tokio::test]
async fn wrong_settings_are_invalid_and_say_what_is_right() {
    let served = Fake::default().serve().await;
    let at = |options: &str| format!("deriva://{}?{options}", served.addr);
    for (uri, word) in [
        ("deriva:".to_owned(), "HOST:PORT"),
        ("deriva:here".to_owned(), "HOST:PORT"),
        ("deriva://here".to_owned(), "HOST:PORT"),
        ("deriva://here:0".to_owned(), "HOST:PORT"),
        ("deriva://:7171".to_owned(), "HOST:PORT"),
        ("deriva://here:port".to_owned(), "HOST:PORT"),
        ("sled:./data".to_owned(), "deriva"),
        (at("timout=3s"), "timeout"),
        (at("timeout=3"), "30s"),
        (at("timeout=0s"), "more than nothing"),
        (at("idle_timeout=-1s"), "30s"),
        (at("connect_timeout=x"), "30s"),
        (at("first_delay=0s"), "more than nothing"),
        (at("attempts=0"), "1 or more"),
        (at("attempts=many"), "1 or more"),
        (at("plain_token=yes"), "`on` or `off`"),
        (at("ca=ca.pem"), "derivas://"),
        (at("cert=a.pem"), "both `cert` and `key`"),
        (at("server_name=x"), "derivas://"),
        (at("token_file=/nowhere/at/all"), "/nowhere/at/all"),
        (
            "derivas://localhost:1?ca=/nowhere/ca.pem".to_owned(),
            "/nowhere/ca.pem",
        ),
    ] {
        let error = Client::connect(&uri).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{uri}: {error:#}");
        assert!(format!("{error:#}").contains(word), "{uri}: {error:#}");
    }
    assert_eq!(served.calls("usage"), 0);
}

#[tokio::test]
async fn a_secret_in_a_uri_is_refused_and_not_repeated() {
    for uri in [
        "deriva://hunter2@localhost:1",
        "deriva://localhost:1?token=hunter2",
        "deriva://localhost:1?attempts=1&token=hunter2",
        "deriva://hunter2@localhost:1 wrong",
    ] {
        let builder = Client::builder(uri);
        let shown = format!("{builder:?}");
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            !format!("{error:?}{shown}").contains("hunter2"),
            "{error:?}"
        );
        assert!(error.advice().unwrap().contains("DERIVA_TOKEN"));
    }
    let error = Client::builder("deriva://localhost:1")
        .token("hunter2 \u{7}")
        .connect();
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn outside_a_runtime_a_client_says_so() {
    let connecting = Client::connect("deriva://127.0.0.1:1");
    let error = futures::executor::block_on(connecting).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("tokio runtime"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_may_be_outside_the_runtime_that_keeps_the_connection() {
    let served = Fake::default().serve().await;
    let client = served.client().await;
    let thread = std::thread::spawn(move || futures::executor::block_on(BlobStore::usage(&client)));
    assert!(thread.join().unwrap().unwrap().is_some());
}

#[test]
fn who_outlives_the_runtime_that_kept_the_connection_is_told_so() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let home = runtime();
    let client = home.block_on(async {
        let served = Fake::default().serve().await;
        served.client().await
    });
    drop(home);
    for error in [
        runtime().block_on(BlobStore::usage(&client)).unwrap_err(),
        futures::executor::block_on(BlobStore::usage(&client)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:#}");
        assert!(error.message().contains("has ended"), "{error:#}");
    }
}

#[tokio::test]
async fn a_runtime_can_open_a_server_by_its_uri() {
    let served = Fake::default().serve().await;
    let mut stores = deriva_api::StoreRegistry::new();
    deriva_client::register(&mut stores).unwrap();
    let uri = format!("deriva://{}?attempts=2", served.addr);
    let opened = stores.open(&uri.parse().unwrap()).await.unwrap();
    assert_eq!(opened.to_string(), uri);
    assert!(opened.blobs.is_some() && opened.dag.is_some());
    let wrong = stores.check(&"derivas://here".parse().unwrap());
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(deriva_client::register(&mut stores).is_err());
}
