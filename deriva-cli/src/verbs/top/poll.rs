//! Asks an instance over plain HTTP.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use deriva::{Clock, Error, ErrorKind, Result};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::exposition::Exposition;
use super::model::Sample;
use crate::exit::usage;

/// An answer that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LIMIT: usize = 16 << 20;
/// The longest pause after looks that failed, where the interval is no longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a URL should have been.
const URL: &str = "give its address, as http://127.0.0.1:9464 or 127.0.0.1:9464";

/// Where a server answers by HTTP unless it is told otherwise: at the port after the one of gRPC.
fn beside(rest: &str) -> Option<String> {
    let place = rest.split(['/', '?']).next()?;
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_add(1)?;
    Some(format!("http://{host}:{port}"))
}

/// Where an instance is: the URL that it has `/metrics` below. `HOST:PORT` is one, too, and so is that of `/metrics` itself.
///
/// # Errors
/// `Invalid` for what is none, `Unsupported` for one of another protocol than plain HTTP.
pub(super) fn base(text: &str) -> Result<String> {
    let wrong = |what: &'static str| usage(what).with("url", text).hint(URL);
    let (is_bare, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some(("deriva" | "derivas", rest)) => match beside(rest) {
            Some(url) => return base(&url),
            None => return Err(wrong("this is no URL of a server")),
        },
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
            let what = "only plain http is spoken here, and this is https";
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with("url", text)
                .hint("name an http address of it, or bring one here: `ssh -L 9464:127.0.0.1:9464 HOST`"));
        }
        Some(_) => return Err(wrong("an http URL was expected")),
        None => (true, text),
    };
    let uri = format!("http://{rest}").parse::<Uri>();
    let uri = uri.map_err(|source| wrong("this is no URL").caused_by(source))?;
    let Some(authority) = uri.authority().filter(|it| !it.host().is_empty()) else {
        return Err(wrong("a host is missing"));
    };
    if authority.as_str().contains('@') {
        return Err(wrong("a URL without user and password was expected"));
    }
    if authority.port_u16().is_none() && (is_bare || authority.as_str() != authority.host()) {
        return Err(wrong("a port is missing, or is none"));
    }
    if uri.query().is_some() {
        return Err(wrong("a URL without a query was expected"));
    }
    let path = uri.path().trim_end_matches('/');
    let own = ["/metrics", "/activity"];
    let path = own
        .iter()
        .find_map(|own| path.strip_suffix(own))
        .unwrap_or(path);
    Ok(format!("http://{authority}{}", path.trim_end_matches('/')))
}

/// An instance that can be asked.
#[derive(Debug)]
pub(super) struct Source {
    client: Client<HttpConnector, Empty<Bytes>>,
    base: String,
    clock: Arc<dyn Clock>,
}

impl Source {
    /// The instance below this URL, of [`base`].
    pub(super) fn new(base: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base,
            clock,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.base
    }

    /// What it tells now.
    ///
    /// # Errors
    /// `Unavailable` where it does not answer as it should, `Unsupported` where something else than a deriva does.
    pub(super) async fn look(&self) -> Result<Sample> {
        let counted = self.get("/metrics").await?;
        let counted = counted.ok_or_else(|| self.refused("the server has no /metrics"))?;
        let at = self.clock.now();
        let metrics = Exposition::parse(&String::from_utf8_lossy(&counted));
        if !metrics.has("deriva_build_info") {
            let what = "what answers there has no metrics of deriva";
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with("url", &self.base)
                .hint("name what `deriva run --metrics-listen ADDR` serves"));
        }
        let activity = match self.get("/activity").await? {
            Some(body) => Some(serde_json::from_slice(&body).map_err(|source| {
                let what = "the /activity of the server is not what deriva tells";
                self.refused(what).caused_by(source)
            })?),
            None => None,
        };
        Ok(Sample {
            at,
            metrics,
            activity,
        })
    }

    /// The body of a page; nothing where there is no such page.
    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let uri = format!("{}{path}", self.base).parse::<Uri>();
        let uri = uri.map_err(|source| usage("this is no URL").caused_by(source))?;
        let asked = async {
            let answer = self.client.get(uri).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LIMIT).collect().await?;
            Ok::<_, Box<dyn StdError + Send + Sync>>((status, body.to_bytes()))
        };
        let failed = |source: Box<dyn StdError + Send + Sync>| {
            self.refused("the server does not answer").caused_by(source)
        };
        match timeout(PATIENCE, asked).await {
            Err(late) => Err(failed(late.into())),
            Ok(Err(source)) => Err(failed(source)),
            Ok(Ok((StatusCode::OK, body))) => Ok(Some(body)),
            Ok(Ok((StatusCode::NOT_FOUND, _))) => Ok(None),
            Ok(Ok((status, _))) => Err(self
                .refused("the server does not answer as it should")
                .with("status", status)),
        }
    }

    fn refused(&self, what: &'static str) -> Error {
        Error::new(ErrorKind::Unavailable, what)
            .with("url", &self.base)
            .hint("is it running, with `--metrics-listen`, and at this address?")
    }
}

/// Looks again and again, and tells what it saw, until nobody listens. After a look that failed the pause is twice as long
/// as before; a new interval ends it.
pub(super) async fn follow(
    source: Source,
    mut interval: watch::Receiver<Duration>,
    seen: mpsc::Sender<Result<Sample>>,
) {
    let mut pause = Duration::ZERO;
    let mut failed = false;
    loop {
        let every = *interval.borrow_and_update();
        pause = match failed {
            true => (pause * 2).clamp(every, LONGEST_PAUSE.max(every)),
            false => every,
        };
        tokio::select! {
            () = source.clock.sleep(pause) => {}
            changed = interval.changed() => if changed.is_err() {
                return;
            },
        }
        let look = source.look().await;
        failed = look.is_err();
        if seen.send(look).await.is_err() {
            return;
        }
    }
}

/// The last cause of an error: what the system said.
pub(super) fn why(error: &Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<Error>() {
        Some(ours) => ours.message().to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_people_write_it() {
        for (text, expected) in [
            ("127.0.0.1:9464", "http://127.0.0.1:9464"),
            ("localhost:9464", "http://localhost:9464"),
            ("[::1]:80", "http://[::1]:80"),
            ("http://host", "http://host"),
            ("HTTP://host:1/", "http://host:1"),
            ("http://host:1/metrics", "http://host:1"),
            (
                "host:1/behind/proxy/activity/",
                "http://host:1/behind/proxy",
            ),
        ] {
            assert_eq!(base(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_would_be_one() {
        for text in [
            "",
            " ",
            "host",
            "9464",
            ":9464",
            "http://",
            "http://:1",
            "http://host:99999",
            "http://host:port",
            "host:1?x",
            "user:word@host:1",
            "ftp://host:1",
            "http://ho st:1",
            "http:///metrics",
            "\u{0}:1",
        ] {
            let error = base(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(
                error
                    .advice()
                    .is_some_and(|next| next.contains("127.0.0.1:9464"))
            );
        }
        let error = base("https://host:1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
