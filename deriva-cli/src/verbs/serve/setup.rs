//! What a server is set up with, checked before its store is opened: a start that is refused begins no store.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use deriva::{Error, ErrorKind, Result};
use deriva_server::{Server, Tls};
use tokio::net::lookup_host;

use super::config::Config;
use super::settings::Value;
use crate::exit::{Failure, Outcome, usage};

/// A server, and where it listens.
pub(super) struct Setup {
    pub(super) server: Server<()>,
    pub(super) listen: SocketAddr,
}

fn path(config: &Config, key: &str) -> Option<PathBuf> {
    match config.get(key) {
        Some((Value::Path(path), _)) => Some(path.clone()),
        _ => None,
    }
}

fn is_on(config: &Config, key: &str) -> bool {
    matches!(config.get(key), Some((Value::Switch(true), _)))
}

/// The certificates, where there are any.
///
/// # Errors
/// `Invalid` where some are missing.
pub(super) fn tls(config: &Config) -> Result<Option<Tls>> {
    let of = |key| path(config, key);
    match (of("tls.cert"), of("tls.key"), of("tls.client_ca")) {
        (None, None, None) => Ok(None),
        (Some(cert), Some(key), client_ca) => {
            let tls = Tls::new(cert, key);
            Ok(Some(match client_ca {
                Some(file) => tls.client_ca(file),
                None => tls,
            }))
        }
        _ => {
            Err(usage("TLS needs a certificate and its key")
                .hint("give both --tls-cert and --tls-key"))
        }
    }
}

impl Setup {
    /// Looks names of hosts up, and reads tokens and certificates. Every address that a name stands for has to be one where the server may
    /// listen; it listens at the first of them, and IPv4 comes before IPv6.
    ///
    /// # Errors
    /// All that is wrong with it; `Unavailable` for a name that stands for nothing.
    pub(super) async fn of(config: &Config) -> Outcome<Self> {
        let mut server = Server::unopened().limits(config.limits());
        if let Some((Value::Switch(page), _)) = config.get("page") {
            server = server.page(*page);
        }
        if let Some(tokens) = path(config, "tokens") {
            server = server.tokens(tokens);
        }
        if let Some(tls) = tls(config)? {
            server = server.tls(tls);
        }
        if is_on(config, "exposed_without_protection") {
            server = server.exposed_without_protection();
        }
        if is_on(config, "http_exposed_without_protection") {
            server = server.http_exposed_without_protection();
        }
        let mut wrong = Vec::new();
        let mut of = async |key| match addresses(config, key).await {
            Ok(found) => found,
            Err(error) => {
                wrong.push(error);
                Vec::new()
            }
        };
        let (listen, https) = (of("listen").await, of("http").await);
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = listen.first().copied().unwrap_or(none);
        // The first of HTTP comes last, and stays.
        for http in https.into_iter().rev() {
            server = server.http(http);
            wrong.extend(server.mistakes(first));
        }
        for listen in listen.into_iter().chain([first]) {
            wrong.extend(server.mistakes(listen));
        }
        // Each was asked for each address.
        let mut told = BTreeSet::new();
        wrong.retain(|error| told.insert(error.to_string()));
        Failure::all(wrong.into_iter().map(advised).collect())?;
        Ok(Self {
            server,
            listen: first,
        })
    }
}

/// The addresses that a setting names; none where it is off.
///
/// # Errors
/// `Unavailable` for a name that stands for nothing.
async fn addresses(config: &Config, key: &'static str) -> Result<Vec<SocketAddr>> {
    let Some((Value::Address(text), origin)) = config.get(key) else {
        return Ok(Vec::new());
    };
    let unknown = |error: Error| {
        let error = error.with("setting", key).with("found", text);
        error
            .with("from", origin)
            .hint("write an address of this machine, as 127.0.0.1:6733")
    };
    let what = "this host has no address";
    let found = lookup_host(text.as_str()).await;
    let found = found
        .map_err(|source| unknown(Error::new(ErrorKind::Unavailable, what).caused_by(source)))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    match found.is_empty() {
        true => Err(unknown(Error::new(ErrorKind::Unavailable, what))),
        false => Ok(found),
    }
}

/// What can be done, with the arguments of this verb.
fn advised(error: Error) -> Failure {
    let error = match error.context("protocol") {
        Some("HTTP") => error.hint_instead(
            "give --http a loopback address such as 127.0.0.1, or off; who has thought about it, or has a proxy before it, \
             adds --http-exposed-without-protection",
        ),
        Some(_) => error.hint_instead(
            "give --tls-cert, --tls-key and --tokens, or listen at a loopback address such as 127.0.0.1; \
             who has thought about it adds --exposed-without-protection",
        ),
        None => error,
    };
    error.into()
}
