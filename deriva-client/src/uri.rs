//! What a URI says of a server, and the URI that says so again.

use std::path::PathBuf;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result, StoreUri};
use tonic::codegen::http::uri::Authority;

use crate::builder::ClientBuilder;

/// The scheme of servers without TLS.
pub(crate) const PLAIN: &str = "deriva";
/// The scheme of servers with TLS.
pub(crate) const TLS: &str = "derivas";

const OPTIONS: [&str; 11] = [
    "ca",
    "cert",
    "key",
    "server_name",
    "token_file",
    "plain_token",
    "connect_timeout",
    "timeout",
    "idle_timeout",
    "attempts",
    "first_delay",
];

const TIME: &str = "a time of more than nothing, with its unit, was expected, such as `30s`";

/// Where a server listens, and whether it speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Address {
    /// Host and port, as they stand in a URI and in errors.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The scheme of such servers.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { TLS } else { PLAIN }
    }

    /// Whether what is sent there leaves this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => bare.eq_ignore_ascii_case("localhost"),
        }
    }

    fn of(uri: &StoreUri) -> Result<Self> {
        let tls = match uri.scheme() {
            PLAIN => false,
            TLS => true,
            _ => {
                return Err(wrong(
                    uri,
                    "a server's URI begins with `deriva:` or `derivas:`",
                ));
            }
        };
        let expected = "a server's URI names a host and a port";
        let place = uri.path().strip_prefix("//");
        let place = place.ok_or_else(|| wrong(uri, expected))?;
        let place = place.strip_suffix('/').unwrap_or(place);
        let parsed: Authority = place
            .parse()
            .map_err(|source| wrong(uri, expected).caused_by(source))?;
        let port = parsed.port_u16().filter(|port| *port > 0);
        let host = Some(parsed.host()).filter(|host| !host.is_empty());
        match (host, port) {
            (Some(host), Some(port)) => Ok(Self {
                host: host.to_owned(),
                port,
                tls,
            }),
            _ => Err(wrong(uri, expected)),
        }
    }
}

fn wrong(uri: &StoreUri, what: &'static str) -> Error {
    let hint = "write `deriva://HOST:PORT`, or `derivas://HOST:PORT` for a server with TLS";
    uri.invalid(what).hint(hint)
}

/// What is told of a URI with a secret in it: nothing of the URI.
pub(crate) fn secret() -> Error {
    let what = "a secret does not stand in a URI, which is shown and logged";
    let hint = "give the token by `token_file=FILE`, or by the environment variable DERIVA_TOKEN";
    Error::new(ErrorKind::Invalid, what).hint(hint)
}

/// Reads a URI. What is wrong with it is told, but no secret that stands in it.
pub(crate) fn read(uri: &StoreUri) -> Result<ClientBuilder> {
    if uri.path().contains('@') || uri.option("token").is_some() {
        return Err(secret());
    }
    uri.allow_options(&OPTIONS)?;
    let mut builder = ClientBuilder::of(Address::of(uri)?);
    let path = |key| uri.option(key).map(PathBuf::from);
    builder.ca = path("ca");
    builder.cert = path("cert");
    builder.key = path("key");
    builder.server_name = uri.option("server_name").map(str::to_owned);
    builder.token_file = path("token_file");
    if let Some(on) = uri.option("plain_token") {
        builder.plain_token = match on {
            "on" => true,
            "off" => false,
            _ => {
                let error = uri.invalid("`on` or `off` was expected");
                return Err(error.with("option", "plain_token").with("given", on));
            }
        };
    }
    for (key, setting) in [
        ("connect_timeout", &mut builder.connect_timeout),
        ("timeout", &mut builder.timeout),
        ("idle_timeout", &mut builder.idle_timeout),
        ("first_delay", &mut builder.first_delay),
    ] {
        if let Some(time) = uri.read_option::<humantime::Duration>(key, TIME)? {
            *setting = time.into();
        }
    }
    if let Some(attempts) = uri.read_option("attempts", "a number of 1 or more was expected")? {
        builder.attempts = attempts;
    }
    builder.check().map_err(|error| error.with("uri", uri))?;
    Ok(builder)
}

/// The URI that opens the same again, where the same token is known.
pub(crate) fn written(builder: &ClientBuilder) -> Result<StoreUri> {
    let address = &builder.address;
    let default = ClientBuilder::of(address.clone());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let time = |time: Duration, default| {
        (time != default).then(|| {
            humantime::format_duration(time)
                .to_string()
                .replace(' ', "")
        })
    };
    let uri = StoreUri::new(address.scheme(), &format!("//{}", address.authority()))?;
    let options = [
        ("ca", path(&builder.ca)),
        ("cert", path(&builder.cert)),
        ("key", path(&builder.key)),
        ("server_name", builder.server_name.clone()),
        ("token_file", path(&builder.token_file)),
        ("plain_token", builder.plain_token.then(|| "on".to_owned())),
        (
            "connect_timeout",
            time(builder.connect_timeout, default.connect_timeout),
        ),
        ("timeout", time(builder.timeout, default.timeout)),
        (
            "idle_timeout",
            time(builder.idle_timeout, default.idle_timeout),
        ),
        (
            "attempts",
            (builder.attempts != default.attempts).then(|| builder.attempts.to_string()),
        ),
        (
            "first_delay",
            time(builder.first_delay, default.first_delay),
        ),
    ];
    let given = options
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    given
        .into_iter()
        .try_fold(uri, |uri, (key, value)| uri.with_option(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_uri_says_it_says_again() {
        for text in [
            "deriva://localhost:6733",
            "deriva://[::1]:6733?timeout=3s",
            "derivas://h:1?ca=./a%26b.pem&cert=c.pem&key=k.pem&server_name=x&token_file=t&connect_timeout=1s",
            "deriva://h:1?plain_token=on&timeout=1m5s&idle_timeout=2s&attempts=9&first_delay=7ms",
        ] {
            let uri: StoreUri = text.parse().unwrap();
            let said = read(&uri).unwrap();
            let again = written(&said).unwrap();
            assert_eq!(again.to_string(), text);
            assert_eq!(again, uri);
            let shown = format!("{said:?} {:?}", read(&again).unwrap());
            assert_eq!(shown.matches(text).count(), 2, "{shown}");
        }
        let defaults = "deriva://h:1/?timeout=30s&attempts=5".parse().unwrap();
        let written = written(&read(&defaults).unwrap()).unwrap();
        assert_eq!(written.to_string(), "deriva://h:1");
    }

    #[test]
    fn what_stays_on_this_machine_is_known() {
        let is_loopback = |host: &str| {
            let uri = format!("deriva://{host}:1").parse().unwrap();
            read(&uri).unwrap().address.is_loopback()
        };
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "example.com",
            "10.0.0.1",
            "[::2]",
            "localhost.example.com",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
