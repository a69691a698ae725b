//! TLS, with certificates on both sides.

use std::path::PathBuf;

use deriva_proto::v1;
use deriva_proto::v1::graph_client::GraphClient;
use deriva_server::{Server, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::common::{Running, deriva, serve};
use super::http::get;

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
struct Signed {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Signed {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn tls(&self, signed: &Signed) -> Tls {
        Tls::new(
            self.write("cert.pem", &signed.cert),
            self.write("key.pem", &signed.key),
        )
    }
}

fn endpoint(running: &Running, tls: ClientTlsConfig) -> Endpoint {
    let url = format!("https://localhost:{}", running.addr.port());
    Endpoint::from_shared(url).unwrap().tls_config(tls).unwrap()
}

async fn works(endpoint: Endpoint) -> bool {
    let Ok(channel) = endpoint.connect().await else {
        return false;
    };
    GraphClient::new(channel)
        .functions(v1::FunctionsRequest {})
        .await
        .is_ok()
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    let ca = Certificate::from_pem(authority.pem());
    ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name("localhost")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trusts_the_certificate_gets_in_and_nobody_else() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = serve(Server::new(deriva().await).tls(files.tls(&authority.sign()))).await;
    assert!(works(endpoint(&running, trusting(&authority))).await);
    assert!(!works(endpoint(&running, trusting(&stranger))).await);
    // Without TLS to one that speaks it.
    assert!(!works(running.endpoint()).await);
    // With TLS to one that does not.
    let plain = serve(Server::new(deriva().await)).await;
    assert!(!works(endpoint(&plain, trusting(&authority))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_where_they_must() {
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new();
    let tls = files.tls(&authority.sign());
    let tls = tls.client_ca(files.write("clients.pem", &clients.pem()));
    let running = serve(Server::new(deriva().await).tls(tls)).await;
    let with = |issuer: &Authority| {
        let signed = issuer.sign();
        trusting(&authority).identity(Identity::from_pem(signed.cert, signed.key))
    };
    assert!(works(endpoint(&running, with(&clients))).await);
    assert!(!works(endpoint(&running, with(&stranger))).await);
    assert!(!works(endpoint(&running, trusting(&authority))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_show_a_certificate_and_no_token_there_are_no_pages_unless_somebody_says_so()
{
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new();
    let tls = files.tls(&authority.sign());
    let certified = tls
        .clone()
        .client_ca(files.write("clients.pem", &clients.pem()));
    let server = || async { Server::new(deriva().await).http(super::common::loopback()) };
    for (server, code) in [
        (server().await.tls(certified.clone()), 404),
        (server().await.tls(certified).page(true), 200),
        // It is there, but not by that name.
        (server().await.tls(tls), 421),
    ] {
        let running = serve(server).await;
        assert_eq!(get(running.http.unwrap(), "/").await.0, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new();
    let running = serve(Server::new(deriva().await).tls(files.tls(&old.sign()))).await;
    assert!(works(endpoint(&running, trusting(&old))).await);
    files.write("cert.pem", "nothing");
    let error = running.reload.reload().unwrap_err();
    assert_eq!(error.kind(), deriva::ErrorKind::Invalid);
    assert!(works(endpoint(&running, trusting(&old))).await);
    files.tls(&new.sign());
    running.reload.reload().unwrap();
    assert!(works(endpoint(&running, trusting(&new))).await);
    assert!(!works(endpoint(&running, trusting(&old))).await);
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let authority = Authority::new();
    let (one, other) = (authority.sign(), authority.sign());
    let files = Files::new();
    let cert = files.write("cert.pem", &one.cert);
    let key = files.write("key.pem", &one.key);
    let foreign = files.write("foreign.pem", &other.key);
    let empty = files.write("empty.pem", "");
    for tls in [
        Tls::new(&cert, &foreign),
        Tls::new(&empty, &key),
        Tls::new(&cert, &empty),
        Tls::new(files.path("absent.pem"), &key),
        Tls::new(&cert, &key).client_ca(&empty),
    ] {
        let server = Server::new(deriva().await).tls(tls);
        let error = server.bind(super::common::loopback()).await.unwrap_err();
        assert!(error.context("file").is_some(), "{error:#}");
    }
}
