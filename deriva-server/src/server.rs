//! A server: what it is made of, and where it listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use deriva::metrics::{Activity, Metrics};
use deriva::{Deriva, DerivaExt, Error, ErrorKind, Result};
use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::admission::{Admission, Tokens};
use crate::bound::{Bound, Files};
use crate::budget::Budget;
use crate::http::Access;
use crate::limits::Limits;
use crate::rpc::Service;
use crate::tls::Tls;

/// Serves a [`Deriva`] to others. See the [crate](crate) for how.
#[derive(Debug)]
#[must_use = "nothing is served before it listens"]
pub struct Server<D = Deriva> {
    deriva: D,
    limits: Limits,
    tokens: Option<PathBuf>,
    tls: Option<Tls>,
    http: Option<SocketAddr>,
    page: Option<bool>,
    activity: Option<Arc<Activity>>,
    exposed: bool,
    http_exposed: bool,
}

impl Server {
    /// Serves this one, with [limits](Limits) that are sound, without tokens and TLS.
    pub fn new(deriva: Deriva) -> Self {
        Self::with(deriva)
    }
}

impl Server<()> {
    /// One for a store that is not open yet: what it is set up with can be [checked](Server::mistakes), and it can
    /// [listen](Server::listen), before a store is begun.
    pub fn unopened() -> Self {
        Self::with(())
    }

    /// Begins to listen: who calls waits until it serves. A port of 0 is one that is free.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub async fn listen(self, addr: SocketAddr) -> Result<Listening> {
        let (tokens, tls) = self.checked(addr)?;
        let listener = listen(addr).await?;
        let http = match self.http {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        Ok(Listening {
            server: self,
            tokens,
            tls,
            listener,
            http,
        })
    }

    /// Who may look at pages, if anybody may.
    fn access(&self) -> Option<Access> {
        match self.page {
            Some(page) => page.then_some(Access::AnyName),
            None => {
                let certified = self.tls.as_ref().is_some_and(Tls::asks_for_certificates);
                let is_own = self.http.is_some_and(|http| http.ip().is_loopback())
                    && (self.tokens.is_some() || !certified);
                is_own.then_some(Access::OwnNames)
            }
        }
    }
}

/// A server that listens, and has no store yet. Made by [`Server::listen`].
#[derive(Debug)]
#[must_use = "nobody is answered before it has a store, and serves"]
pub struct Listening {
    server: Server<()>,
    tokens: Option<Tokens>,
    tls: Option<Arc<ServerConfig>>,
    listener: TcpListener,
    http: Option<TcpListener>,
}

impl Listening {
    /// Serves this one.
    pub fn over(self, deriva: Deriva) -> Bound {
        let access = self.server.access();
        let limits = self.server.limits;
        let budget = Budget::new(limits.bytes_in_flight);
        let served = deriva.metrics().map(Metrics::served);
        let admission = Admission::new(self.tokens, &limits, budget.clone(), served);
        Bound {
            service: Arc::new(Service {
                deriva,
                limits,
                budget,
            }),
            admission: Arc::new(admission),
            tls: Arc::new(RwLock::new(self.tls)),
            files: Files {
                tokens: self.server.tokens,
                tls: self.server.tls,
            },
            listener: self.listener,
            http: self.http,
            access,
            activity: self.server.activity,
        }
    }
}

impl<D> Server<D> {
    fn with(deriva: D) -> Self {
        Self {
            deriva,
            limits: Limits::default(),
            tokens: None,
            tls: None,
            http: None,
            page: None,
            activity: None,
            exposed: false,
            http_exposed: false,
        }
    }

    /// What callers may ask for. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A file of tokens: who has none of them may do nothing but ask whether the service is well. Default: nobody needs one.
    pub fn tokens(mut self, file: impl Into<PathBuf>) -> Self {
        self.tokens = Some(file.into());
        self
    }

    /// Speaks TLS. Default: it does not.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Listens there for HTTP, too: `/metrics`, `/healthz`, `/readyz`, `/version`, `/status`, and [pages](Server::page). Default:
    /// nowhere.
    pub fn http(mut self, addr: SocketAddr) -> Self {
        self.http = Some(addr);
        self
    }

    /// Whether pages to look at what is stored are answered where HTTP is, at `/`: read-only, and with a token (as the password of HTTP's
    /// basic authentication) where [tokens](Server::tokens) are needed. Default: where HTTP listens at a loopback address, to who calls the
    /// server `localhost` or by its number; and not where callers need a certificate and no token, as HTTP asks nobody for one.
    pub fn page(mut self, page: bool) -> Self {
        self.page = Some(page);
        self
    }

    /// What tells of requests under way, which was given to the builder of the [`Deriva`] as its observer: for `deriva top`. Default:
    /// nothing does.
    pub fn activity(mut self, activity: Arc<Activity>) -> Self {
        self.activity = Some(activity);
        self
    }

    /// Listens for gRPC where others than this machine can reach it without TLS and tokens, too. Whoever can reach it may then do everything.
    /// Default: that is refused. Of HTTP it says nothing.
    pub fn exposed_without_protection(mut self) -> Self {
        self.exposed = true;
        self
    }

    /// Listens for HTTP where others than this machine can reach it: metrics, status and what is under way have neither TLS nor tokens there.
    /// Default: that is refused.
    pub fn http_exposed_without_protection(mut self) -> Self {
        self.http_exposed = true;
        self
    }

    /// All for which it could not listen at this address, as it is set up: everything that [`bind`](Server::bind) refuses but what the
    /// system says of the address. Files of tokens and certificates are read.
    #[must_use]
    pub fn mistakes(&self, addr: SocketAddr) -> Vec<Error> {
        let wrong = [
            self.limits.check().err(),
            self.exposed(addr).err(),
            self.http_exposed().err(),
            self.read_tokens().err(),
            self.read_tls().err(),
        ];
        wrong.into_iter().flatten().collect()
    }

    /// What the files of tokens and certificates say, where all is well.
    fn checked(&self, addr: SocketAddr) -> Result<(Option<Tokens>, Option<Arc<ServerConfig>>)> {
        self.limits.check()?;
        self.exposed(addr)?;
        self.http_exposed()?;
        Ok((self.read_tokens()?, self.read_tls()?))
    }

    fn exposed(&self, addr: SocketAddr) -> Result<()> {
        let is_protected = self.tls.is_some() && self.tokens.is_some();
        if addr.ip().is_loopback() || self.exposed || is_protected {
            return Ok(());
        }
        let hint =
            "give certificates and tokens, or listen at a loopback address such as 127.0.0.1";
        Err(open_to_all("gRPC", addr, hint))
    }

    fn http_exposed(&self) -> Result<()> {
        match self.http {
            Some(http) if !http.ip().is_loopback() && !self.http_exposed => {
                let hint = "listen for HTTP at a loopback address such as 127.0.0.1, behind a proxy that protects it";
                Err(open_to_all("HTTP", http, hint))
            }
            _ => Ok(()),
        }
    }

    fn read_tokens(&self) -> Result<Option<Tokens>> {
        self.tokens.as_deref().map(Tokens::read).transpose()
    }

    fn read_tls(&self) -> Result<Option<Arc<ServerConfig>>> {
        self.tls.as_ref().map(Tls::load).transpose()
    }
}

impl Server {
    /// Begins to listen. A port of 0 is one that is free.
    ///
    /// # Errors
    /// `Invalid` for limits out of their range, files of tokens or certificates that are wrong, and an address that others can reach,
    /// without protection; `Unavailable` where the address cannot be had.
    pub async fn bind(self, addr: SocketAddr) -> Result<Bound> {
        let (server, deriva) = self.apart();
        Ok(server.listen(addr).await?.over(deriva))
    }

    fn apart(self) -> (Server<()>, Deriva) {
        let Self {
            deriva,
            limits,
            tokens,
            tls,
            http,
            page,
            activity,
            exposed,
            http_exposed,
        } = self;
        let server = Server {
            deriva: (),
            limits,
            tokens,
            tls,
            http,
            page,
            activity,
            exposed,
            http_exposed,
        };
        (server, deriva)
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|source| {
        Error::new(ErrorKind::Unavailable, "the server cannot listen there")
            .with("addr", addr)
            .caused_by(source)
            .hint("choose an address of this machine, and a port that nobody has")
    })
}

fn open_to_all(protocol: &'static str, addr: SocketAddr, hint: &str) -> Error {
    let what =
        "others than this machine could reach the server at this address, without protection";
    Error::new(ErrorKind::Invalid, what)
        .with("addr", addr)
        .with("protocol", protocol)
        .hint(format!(
            "{hint}; who has thought about it says so explicitly"
        ))
}
