//! What pages show.

use std::sync::atomic::Ordering::Relaxed;

use deriva::metrics::Activity;
use deriva::prelude::*;
use deriva_server::Server;

use super::super::common::{deriva, loopback, serve, until};
use super::{World, asked, got, page};

/// All paths of a page that need no address.
const PAGES: [&str; 6] = [
    "/",
    "/roots",
    "/functions",
    "/ledger",
    "/diff",
    "/function?id=join/1",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_what_is_stored_and_computes_nothing() {
    let world = World::new().await;
    let (deriva, http) = (&world.deriva, world.http);
    let leaf = deriva.put("a leaf").await.unwrap();
    let other = deriva.put("another leaf").await.unwrap();
    let recipe = deriva.recipe("join", "1").inputs([leaf, other]);
    let recipe = recipe.param("answer", 42).insert().await.unwrap();
    let above = world.joined(&[recipe, leaf]).await;
    deriva.set_root("the root", above).await.unwrap();
    page(http, "/")
        .await
        .has("Recipes</dt><dd>2</dd>")
        .has("memory:");
    page(http, "/roots")
        .await
        .has("the root")
        .has(&above.short());
    page(http, "/functions")
        .await
        .has("join/1")
        .has("text.upper");
    page(http, "/function?id=join/1")
        .await
        .has(&recipe.to_string());
    page(http, "/ledger").await.has("0 open, 0 released");
    let shown = page(http, &format!("/address/{recipe}")).await;
    shown
        .has("not computed")
        .has("never was")
        .has("answer")
        .has("42");
    shown
        .has(&format!("href=\"/address/{leaf}\""))
        .has(&above.short());
    let shown = page(http, &format!("/address/{leaf}")).await;
    shown
        .has("a leaf")
        .has("All 6 bytes, as text")
        .has(&recipe.short());
    let drawn = page(http, &format!("/graph/{above}")).await;
    drawn
        .has("4 nodes and 4 edges")
        .has(&format!("<a href=\"/address/{other}\"><g>"));
    let diff = page(http, &format!("/diff?a={recipe}&b={above}")).await;
    diff.has("What differs").has("param <code>answer</code>");
    page(http, &format!("/diff?a={leaf}&b={leaf}"))
        .await
        .has("the addresses are equal");
    // None of that computed anything, or asked somebody else to.
    assert_eq!(world.runs.load(Relaxed), 0);
    let metrics = got(http, "/metrics").await;
    let counted = [
        "deriva_compute_duration_seconds_count",
        "deriva_materialize_total",
    ];
    let counts = |line: &&str| counted.iter().any(|name| line.starts_with(name));
    for line in metrics.text().lines().filter(counts) {
        assert!(line.ends_with(" 0"), "{line}");
    }
    metrics.has("deriva_materialize_total{");
    assert_eq!(deriva.status().await.unwrap().outputs, Some(0));

    deriva.get(above).await.unwrap();
    let shown = page(http, &format!("/address/{above}")).await;
    shown
        .has("present")
        .has("a leafanother leafa leaf")
        .has("computed in");
    page(http, "/").await.has("recipes computed");
    let output = deriva.blobs().clone();
    let made = deriva.show(above).await.unwrap();
    let deriva::Shown::Recipe(node) = made else {
        panic!("it is a recipe");
    };
    output.remove(&[node.output.unwrap().addr]).await.unwrap();
    let shown = page(http, &format!("/address/{above}")).await;
    shown.has("output lost").has("the bytes are gone");
    assert_eq!(world.runs.load(Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_has_all_pages_and_what_is_not_there_has_none() {
    let running = serve(Server::new(deriva().await).http(loopback())).await;
    let http = running.http.unwrap();
    for path in PAGES.iter().filter(|path| !path.starts_with("/function?")) {
        page(http, path).await.has("<main id=\"main\"><h1>");
    }
    page(http, "/roots").await.has("There are none.");
    page(http, "/")
        .await
        .has("Nothing tells this server how far they are");
    let absent = CAddr::of_blob(b"absent");
    for (path, code, said) in [
        ("/nothing".to_owned(), 404, "there is no such page"),
        (format!("/address/{absent}"), 404, "not found"),
        (format!("/graph/{absent}"), 404, "not found"),
        (format!("/blob/{absent}"), 404, "no blob has this address"),
        (format!("/diff?a={absent}&b={absent}"), 404, "not found"),
        ("/address/abc".to_owned(), 404, "not found"),
        ("/search?prefix=abc".to_owned(), 404, "not found"),
        ("/function?id=nobody/1".to_owned(), 404, "no recipe uses it"),
        ("/address/xyz".to_owned(), 400, "up to 64 hex digits"),
        (format!("/address/{absent}0"), 400, "up to 64 hex digits"),
        ("/address/%FF".to_owned(), 400, ""),
        ("/blob/abc".to_owned(), 400, "64 hex digits"),
        ("/search".to_owned(), 400, "there is nothing to look for"),
        (
            "/search?prefix=+".to_owned(),
            400,
            "there is nothing to look for",
        ),
        ("/function".to_owned(), 400, "is missing"),
        ("/function?id=x".to_owned(), 400, "name/version"),
        ("/ledger?after=x".to_owned(), 400, "no place in the ledger"),
        (
            format!("/graph/{absent}?depth=many"),
            400,
            "a whole number from 0",
        ),
        (
            format!("/graph/{absent}?zoom=401"),
            400,
            "a whole number from 10 to 400",
        ),
    ] {
        let answer = got(http, &path).await;
        assert_eq!(answer.code, code, "{path}: {}", answer.text());
        answer.has(said);
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_finds_its_address_or_says_which_may_be_meant() {
    let world = World::new().await;
    let mut known: Vec<CAddr> = Vec::new();
    for n in 0..17 {
        known.push(world.deriva.put(format!("blob {n}")).await.unwrap());
    }
    // Two of them begin with the same digit.
    known.sort();
    let first = |addr: &CAddr| addr.to_string()[..1].to_owned();
    let pair = known
        .windows(2)
        .find(|two| first(&two[0]) == first(&two[1]));
    let (one, other) = (pair.unwrap()[0], pair.unwrap()[1]);
    let digit = one.to_string()[..1].to_owned();
    let answer = got(world.http, &format!("/address/{digit}")).await;
    assert_eq!(answer.code, 400);
    for addr in [one, other] {
        answer.has(&format!("<a href=\"/address/{addr}\">"));
    }
    let (one, other) = (one.to_string(), other.to_string());
    let common = one.bytes().zip(other.bytes());
    let common = common.take_while(|(a, b)| a == b).count();
    let found = got(world.http, &format!("/search?prefix=+{}+", &one[..=common])).await;
    assert_eq!(found.code, 303);
    assert_eq!(found.header("location"), format!("/address/{one}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_to_browsers_what_they_may_do_with_them() {
    let world = World::new().await;
    for path in PAGES.iter().chain(&["/style.css", "/icon.svg", "/nothing"]) {
        let answer = got(world.http, path).await;
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(
                policy.split("; ").any(|it| it == part),
                "{path}: {part} in {policy}"
            );
        }
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let length: usize = answer.header("content-length").parse().unwrap();
        assert_eq!(length, answer.body.len(), "{path}");
        let head = asked(world.http, "HEAD", path, &[]).await;
        assert_eq!((head.code, head.body.len()), (answer.code, 0), "{path}");
        for (name, value) in &answer.headers {
            if name != "date" && name != "content-length" {
                assert_eq!(head.header(name), value, "{path}: {name}");
            }
        }
        for method in ["POST", "PUT", "DELETE"] {
            let refused = asked(world.http, method, path, &[]).await;
            assert_eq!(refused.code, 405, "{method} {path}");
            assert_eq!(refused.header("allow"), "GET,HEAD");
        }
    }
    // Those beside them are as they were.
    assert_eq!(
        got(world.http, "/healthz")
            .await
            .header("content-security-policy"),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_and_what_went_wrong_are_told() {
    use std::sync::Arc;

    let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let builder = Deriva::builder()
        .store("memory:")
        .observer(activity.clone());
    let builder = builder.function("wait", "1", move |_: &[Bytes], _: &Params| {
        let _ = opened.lock().unwrap().recv();
        Err(Error::new(ErrorKind::Function, "it <i>broke</i>"))
    });
    let deriva = builder.build().await.unwrap();
    let server = Server::new(deriva.clone())
        .http(loopback())
        .activity(activity);
    let running = serve(server).await;
    let http = running.http.unwrap();
    let recipe = deriva.recipe("wait", "1").insert().await.unwrap();
    page(http, "/")
        .await
        .has("None.")
        .has("Nothing since the start.");
    let asking = tokio::spawn({
        let deriva = deriva.clone();
        async move { deriva.get(recipe).await }
    });
    until(async || got(http, "/").await.text().contains("0 of 1 recipes")).await;
    let shown = page(http, "/").await;
    shown
        .has("<progress max=\"1\" value=\"0\"")
        .has("computing");
    shown.has(&format!("href=\"/address/{}\"", recipe.short()));
    open.send(()).unwrap();
    assert!(asking.await.unwrap().is_err());
    let shown = page(http, "/").await;
    shown
        .has("it &lt;i&gt;broke&lt;/i&gt;")
        .has("wait/1")
        .lacks("<i>");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_tells_what_was_seen_and_goes_on_where_it_ended() {
    let world = World::new().await;
    let mut lies = Vec::new();
    for n in 0..52 {
        let recipe = world.deriva.recipe("lie", "1").param("n", n);
        lies.push(recipe.insert().await.unwrap());
    }
    let all = world.deriva.materialize_many(lies.clone());
    let all = all.determinism(deriva::Determinism::Dual).keep_going();
    // What failed stands in the result of a request that goes on.
    all.await.ok();
    assert_eq!(world.deriva.ledger().await.unwrap().len(), lies.len());
    world.deriva.release(lies[0]).await.unwrap();
    let first = page(world.http, "/ledger").await;
    first
        .has("51 open, 1 released")
        .has("First difference")
        .has("lie/1");
    let next = first.attributes("href");
    let next = next
        .iter()
        .find(|link| link.starts_with("/ledger?"))
        .unwrap();
    let second = page(world.http, next).await;
    second.lacks("Next page");
    let on = |answer: &super::Answer, addr: &CAddr| {
        answer.text().contains(&format!("/address/{addr}\""))
    };
    for lie in &lies {
        assert!(
            on(&first, lie) != on(&second, lie),
            "{lie} is on one of them"
        );
    }
    assert!(on(&second, &lies[0]) && second.text().contains("badge quiet\">released"));
    let shown = page(world.http, &format!("/address/{}", lies[1])).await;
    shown
        .has("condemned")
        .has("its runs gave different outputs");
}
