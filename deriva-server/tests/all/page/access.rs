//! Who may look at pages.

use deriva_server::Server;

use super::super::common::{deriva, loopback, serve};
use super::{asked, got};

const READ: &str = "read-token-0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_others_may_own_leads_to_no_page_unless_somebody_says_so() {
    let deriva = deriva().await;
    let secret = deriva.put("secret").await.unwrap();
    let path = format!("/address/{secret}");
    let running = serve(Server::new(deriva.clone()).http(loopback())).await;
    let http = running.http.unwrap();
    for own in ["localhost", "localhost:6734", "127.0.0.1:80", "[::1]"] {
        assert_eq!(
            asked(http, "GET", &path, &[("host", own)]).await.code,
            200,
            "{own}"
        );
    }
    for other in ["example.org", "localhost.example.org", "x"] {
        let refused = asked(http, "GET", &path, &[("host", other)]).await;
        assert_eq!(refused.code, 421, "{other}");
        refused.has("page = true").lacks("secret");
    }
    let told = serve(Server::new(deriva.clone()).http(loopback()).page(true)).await;
    let named = asked(told.http.unwrap(), "GET", &path, &[("host", "example.org")]).await;
    assert_eq!(named.code, 200);
    let without = serve(Server::new(deriva).http(loopback()).page(false)).await;
    for path in ["/", &path, "/style.css"] {
        assert_eq!(got(without.http.unwrap(), path).await.code, 404);
    }
    assert_eq!(got(without.http.unwrap(), "/healthz").await.code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_others_can_reach_it_there_are_no_pages_unless_somebody_says_so() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    for (page, code) in [(None, 404), (Some(true), 200), (Some(false), 404)] {
        let server = Server::new(deriva().await).http(everywhere);
        let server = server.http_exposed_without_protection();
        let server = match page {
            Some(page) => server.page(page),
            None => server,
        };
        let running = serve(server).await;
        let addr = ([127, 0, 0, 1], running.http.unwrap().port()).into();
        assert_eq!(got(addr, "/").await.code, code, "{page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_calls_need_a_token_pages_do() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.toml");
    let text = format!(
        "[[token]]\nrole = \"read\"\nsecret = \"{READ}\"\n\
         [[token]]\nrole = \"admin\"\nsecret = \"expired-0123456789\"\nexpires = 2020-01-01T00:00:00Z\n"
    );
    std::fs::write(&tokens, text).unwrap();
    let deriva = deriva().await;
    let secret = deriva.put("secret").await.unwrap();
    let running = serve(Server::new(deriva).http(loopback()).tokens(&tokens)).await;
    let http = running.http.unwrap();
    let with =
        async |path: &str, given: &str| asked(http, "GET", path, &[("authorization", given)]).await;
    for path in [
        "/",
        &format!("/address/{secret}"),
        &format!("/blob/{secret}"),
        "/roots",
    ] {
        let refused = got(http, path).await;
        assert_eq!(refused.code, 401, "{path}");
        assert!(refused.header("www-authenticate").starts_with("Basic "));
        refused.lacks(&secret.short());
    }
    let path = format!("/address/{secret}");
    assert_eq!(with(&path, &format!("Bearer {READ}")).await.code, 200);
    // `anybody:read-token-0123456789`, as a browser sends it.
    let basic = "Basic YW55Ym9keTpyZWFkLXRva2VuLTAxMjM0NTY3ODk=";
    assert_eq!(with(&path, basic).await.code, 200);
    // `anybody:wrong`
    for wrong in [
        "Basic YW55Ym9keTp3cm9uZw==",
        "Bearer expired-0123456789",
        "Basic !",
        READ,
    ] {
        assert_eq!(with(&path, wrong).await.code, 401, "{wrong}");
    }
    // Probes need none.
    assert_eq!(got(http, "/healthz").await.code, 200);
    // A token that is gone opens nothing any more.
    std::fs::write(
        &tokens,
        "[[token]]\nrole = \"read\"\nsecret = \"another-0123456789\"\n",
    )
    .unwrap();
    running.reload.reload().unwrap();
    assert_eq!(with(&path, basic).await.code, 401);
}
