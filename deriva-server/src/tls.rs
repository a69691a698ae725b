//! Certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deriva::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Files that say who this server is, and whom it believes. They are read when it begins, and again when it is told to.
#[derive(Clone, Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Tls {
    /// A certificate with its chain, and its private key, as PEM files.
    #[must_use]
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            cert: cert.into(),
            key: key.into(),
            client_ca: None,
        }
    }

    /// Clients have to show a certificate that one of these (PEM) signed. Default: they need none.
    #[must_use]
    pub fn client_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(file.into());
        self
    }

    /// Whether it is known who is at the other end.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.client_ca.is_some()
    }

    /// What the files say now.
    ///
    /// # Errors
    /// `Invalid` for what is no certificate or no key, and where they do not belong together; what reading them says.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|source| wrong(&self.key, "a private key (PEM)", source))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|source| wrong(&self.cert, "versions of TLS", source))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(file)? {
                    let added = roots.add(cert);
                    added.map_err(|source| wrong(file, "a certificate of a CA", source))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier =
                    verifier.map_err(|source| wrong(file, "certificates of a CA", source))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config
            .map_err(|source| wrong(&self.cert, "a certificate that belongs to the key", source))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let expected = "certificates (PEM)";
    let read = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let read = read.map_err(|source| wrong(file, expected, source))?;
    match read.is_empty() {
        false => Ok(read),
        true => {
            let what = format!("{expected} were expected, and there is none");
            Err(Error::new(ErrorKind::Invalid, what).with("file", file.display()))
        }
    }
}

fn wrong(
    file: &Path,
    expected: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let error = Error::new(ErrorKind::Invalid, format!("{expected} expected in a file"));
    error.with("file", file.display()).caused_by(source)
}
