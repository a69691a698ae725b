//! TLS as the settings say.

use std::fs;
use std::path::Path;

use deriva_api::{Error, ErrorKind, Result};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::builder::ClientBuilder;

/// The endpoint with TLS, where the address says so.
pub(crate) fn secured(endpoint: Endpoint, builder: &ClientBuilder) -> Result<Endpoint> {
    if !builder.address.tls {
        return Ok(endpoint);
    }
    let mut config = ClientTlsConfig::new().timeout(builder.connect_timeout);
    config = match &builder.ca {
        Some(file) => {
            config.ca_certificate(Certificate::from_pem(read("ca", file, "CERTIFICATE")?))
        }
        None => config.with_native_roots(),
    };
    if let Some((cert, key)) = builder.cert.as_ref().zip(builder.key.as_ref()) {
        let cert = read("cert", cert, "CERTIFICATE")?;
        config = config.identity(Identity::from_pem(cert, read("key", key, "PRIVATE KEY")?));
    }
    if let Some(name) = &builder.server_name {
        config = config.domain_name(name);
    }
    endpoint.tls_config(config).map_err(|source| {
        let what = "TLS cannot be set up as the settings say";
        let hint = "see that the files of `ca`, `cert` and `key` belong together; without `ca` the system has to trust some certificate";
        Error::new(ErrorKind::Invalid, what).caused_by(source).hint(hint)
    })
}

/// A file of PEM that has something of the kind.
fn read(option: &'static str, file: &Path, kind: &str) -> Result<Vec<u8>> {
    let invalid = |what: String| {
        let error = Error::new(ErrorKind::Invalid, what).with("option", option);
        error.with("file", file.display())
    };
    let bytes = fs::read(file).map_err(|source| {
        let error = invalid("a file for TLS cannot be read".to_owned()).caused_by(source);
        error.hint("see that the file is there, and that you may read it")
    })?;
    // Keys are of several kinds: `-----BEGIN EC PRIVATE KEY-----`.
    let is_there = String::from_utf8_lossy(&bytes).lines().any(|line| {
        line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----"))
    });
    match is_there {
        true => Ok(bytes),
        false => Err(invalid(format!(
            "a file of PEM with a `BEGIN {kind}` was expected"
        ))),
    }
}
