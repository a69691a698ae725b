//! Servers with TLS.

use std::path::PathBuf;

use deriva_api::{BlobStore, ErrorKind};
use deriva_client::Client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::fake::{Fake, Served};

/// An authority, and what it signed, as files.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = Self { folder, issuer };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate of a name, and its key.
    fn signs(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, key) = (cert.pem(), key.serialize_pem());
        std::fs::write(self.file(&format!("{name}.pem")), &cert).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), &key).unwrap();
        (cert, key)
    }

    async fn serves(&self, name: &str, asks_for_clients: bool) -> Served {
        let (cert, key) = self.signs(name);
        let mut config = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
        if asks_for_clients {
            config = config.client_ca_root(Certificate::from_pem(self.issuer.pem()));
        }
        Fake::default()
            .serve_by(Server::builder().tls_config(config).unwrap())
            .await
    }
}

fn uri(served: &Served, options: &str) -> String {
    let port = served.addr.port();
    format!("derivas://localhost:{port}?attempts=2&first_delay=1ms&{options}")
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_signed_it() {
    let authority = Authority::new();
    let served = authority.serves("localhost", false).await;
    let ca = authority.file("ca.pem");
    let client = Client::connect(&uri(&served, &format!("ca={}", ca.display())))
        .await
        .unwrap();
    assert!(BlobStore::usage(&client).await.unwrap().is_some());
    // What it prints opens it again.
    let again = Client::connect(&client.to_string()).await.unwrap();
    assert_eq!(again.to_string(), client.to_string());
    // A token may go to any such server, as nobody reads it on the way.
    let builder = Client::builder(&uri(&served, "")).ca(&ca).token("secret");
    builder.connect().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_told_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let served = authority.serves("localhost", false).await;
    let another = authority.serves("elsewhere", false).await;
    let (right, wrong) = (authority.file("ca.pem"), other.file("ca.pem"));
    for (what, builder) in [
        (
            "another authority",
            Client::builder(&uri(&served, "")).ca(&wrong),
        ),
        ("that of the system", Client::builder(&uri(&served, ""))),
        (
            "another name",
            Client::builder(&uri(&another, "")).ca(&right),
        ),
    ] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {error:#}");
        assert!(error.advice().is_some(), "{what}: {error:#}");
    }
    let named = Client::builder(&uri(&another, "server_name=elsewhere")).ca(&right);
    named.connect().await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_it_is_asked_for_one() {
    let authority = Authority::new();
    let served = authority.serves("localhost", true).await;
    authority.signs("client");
    let ca = authority.file("ca.pem");
    let (cert, key) = (authority.file("client.pem"), authority.file("client.key"));
    let builder = || Client::builder(&uri(&served, "")).ca(&ca);
    let client = builder().identity(&cert, &key).connect().await.unwrap();
    assert!(BlobStore::usage(&client).await.unwrap().is_some());
    assert!(builder().connect().await.is_err());
    let error = builder().identity(&key, &cert).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.context("option"), Some("cert"), "{error:#}");
}

#[tokio::test]
async fn tls_to_plain_and_plain_to_tls_end_with_advice() {
    let authority = Authority::new();
    let secure = authority.serves("localhost", false).await;
    let plain = Fake::default().serve().await;
    let ca = authority.file("ca.pem");
    let error = Client::builder(&uri(&plain, ""))
        .ca(&ca)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:#}");
    assert!(error.advice().unwrap().contains("TLS"), "{error:#}");
    let error = secure.builder().attempts(2).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert!(error.advice().unwrap().contains("TLS"), "{error:#}");
}
