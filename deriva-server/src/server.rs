//! A server: what it is made of, where it listens, how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use deriva::metrics::Activity;
use deriva::{Deriva, Error, ErrorKind, Result};
use deriva_proto::FILE_DESCRIPTOR_SET;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::admission::{Admission, AdmissionLayer, Tokens};
use crate::budget::Budget;
use crate::http::{self, Access, Connections, Site};
use crate::limits::Limits;
use crate::listen::{TlsInForce, connections};
use crate::rpc::Service;
use crate::tls::Tls;

/// The services of the protocol, as a health check names them.
const SERVICES: [&str; 5] = [
    "",
    "deriva.v1.Blobs",
    "deriva.v1.Graph",
    "deriva.v1.Materialize",
    "deriva.v1.Admin",
];

/// Bytes of the headers of a call.
const HEADERS: u32 = 16 << 10;
/// Bytes of a frame of HTTP/2 on its way to here: fewer cost a large blob a tenth of the time or more, and each connection may hold one
/// that has not come as a whole.
const FRAME_SIZE: u32 = 64 << 10;
/// Calls of one connection that were taken back before anybody saw them, and calls that broke the rules of HTTP/2: with one more the
/// connection ends.
const RESETS: usize = 20;
const ERRORS: usize = 1024;

/// Serves a [`Deriva`] to others. See the [crate](crate) for how.
#[derive(Debug)]
#[must_use = "nothing is served before it listens"]
pub struct Server {
    deriva: Deriva,
    limits: Limits,
    tokens: Option<PathBuf>,
    tls: Option<Tls>,
    http: Option<SocketAddr>,
    page: Option<bool>,
    activity: Option<Arc<Activity>>,
    exposed: bool,
}

impl Server {
    /// Serves this one, with [limits](Limits) that are sound, without tokens and TLS.
    pub fn new(deriva: Deriva) -> Self {
        Self {
            deriva,
            limits: Limits::default(),
            tokens: None,
            tls: None,
            http: None,
            page: None,
            activity: None,
            exposed: false,
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

    /// Listens where others than this machine can reach it without TLS and tokens, too. Whoever can reach it may then do everything. Default:
    /// that is refused.
    pub fn exposed_without_protection(mut self) -> Self {
        self.exposed = true;
        self
    }

    /// Begins to listen. A port of 0 is one that is free.
    ///
    /// # Errors
    /// `Invalid` for limits out of their range, files of tokens or certificates that are wrong, and an address that others can reach,
    /// without protection; `Unavailable` where the address cannot be had.
    pub async fn bind(self, addr: SocketAddr) -> Result<Bound> {
        self.limits.check()?;
        let is_open = |addr: &SocketAddr| !addr.ip().is_loopback() && !self.exposed;
        if is_open(&addr) && (self.tls.is_none() || self.tokens.is_none()) {
            let hint =
                "give certificates and tokens, or listen at a loopback address such as 127.0.0.1";
            return Err(open_to_all(addr, hint));
        }
        if let Some(http) = self.http.filter(is_open) {
            let hint = "listen for HTTP at a loopback address such as 127.0.0.1, behind a proxy that protects it";
            return Err(open_to_all(http, hint));
        }
        let tokens = self.tokens.as_deref().map(Tokens::read).transpose()?;
        let tls = self.tls.as_ref().map(Tls::load).transpose()?;
        let listener = listen(addr).await?;
        let http = match self.http {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        let access = self.access();
        let limits = self.limits;
        let budget = Budget::new(limits.bytes_in_flight);
        let admission = Admission::new(tokens, &limits, budget.clone());
        Ok(Bound {
            service: Arc::new(Service {
                deriva: self.deriva,
                limits,
                budget,
            }),
            admission: Arc::new(admission),
            tls: Arc::new(RwLock::new(tls)),
            files: Files {
                tokens: self.tokens,
                tls: self.tls,
            },
            listener,
            http,
            access,
            activity: self.activity,
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

async fn listen(addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|source| {
        Error::new(ErrorKind::Unavailable, "the server cannot listen there")
            .with("addr", addr)
            .caused_by(source)
            .hint("choose an address of this machine, and a port that nobody has")
    })
}

fn open_to_all(addr: SocketAddr, hint: &str) -> Error {
    let what =
        "others than this machine could reach the server at this address, without protection";
    Error::new(ErrorKind::Invalid, what)
        .with("addr", addr)
        .hint(format!(
            "{hint}; who has thought about it says so explicitly"
        ))
}

/// Files that are read again when the server is told to.
#[derive(Clone, Debug)]
struct Files {
    tokens: Option<PathBuf>,
    tls: Option<Tls>,
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
#[must_use = "nobody is answered before it serves"]
pub struct Bound {
    service: Arc<Service>,
    admission: Arc<Admission>,
    tls: TlsInForce,
    files: Files,
    listener: TcpListener,
    http: Option<TcpListener>,
    access: Option<Access>,
    activity: Option<Arc<Activity>>,
}

/// Reads the files of tokens and certificates again.
#[derive(Clone, Debug)]
pub struct Reload {
    admission: Arc<Admission>,
    tls: TlsInForce,
    files: Files,
}

impl Reload {
    /// Does so: calls and handshakes that begin from now on see what they say. All of it or, where something is wrong, nothing.
    ///
    /// # Errors
    /// As [`Server::bind`]; what was in force stays so.
    pub fn reload(&self) -> Result<()> {
        let tokens = self.files.tokens.as_deref().map(Tokens::read).transpose()?;
        let tls = self.files.tls.as_ref().map(Tls::load).transpose()?;
        *self.admission.tokens.write() = tokens.map(Arc::new);
        *self.tls.write() = tls;
        Ok(())
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Whether all calls that were under way came to their end. Those that did not, within [`Limits::drain`], were given up.
    pub complete: bool,
}

impl Bound {
    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(Error::io)
    }

    /// Where it listens for HTTP, if it does.
    ///
    /// # Errors
    /// What the system says.
    pub fn http_addr(&self) -> Result<Option<SocketAddr>> {
        let addr = self.http.as_ref().map(TcpListener::local_addr);
        addr.transpose().map_err(Error::io)
    }

    /// What reads tokens and certificates again, while it serves.
    #[must_use]
    pub fn reloading(&self) -> Reload {
        Reload {
            admission: Arc::clone(&self.admission),
            tls: Arc::clone(&self.tls),
            files: self.files.clone(),
        }
    }

    /// Answers until `stop` is ready, and then for as long as calls that are under way take, at the most [`Limits::drain`]. What was
    /// acknowledged is flushed before it ends.
    ///
    /// # Errors
    /// What the network and the stores say.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<Drained> {
        let Self {
            service,
            admission,
            tls,
            listener,
            http,
            access,
            activity,
            ..
        } = self;
        let limits = Arc::new(service.limits.clone());
        let (health, probe) = tonic_health::server::health_reporter();
        for name in SERVICES {
            let serving = tonic_health::ServingStatus::Serving;
            health.set_service_status(name, serving).await;
        }
        let mut routes = service.routes();
        routes.add_service(probe);
        let reflected = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let broken = |source| {
            Error::new(ErrorKind::Internal, "the protocol cannot be described").caused_by(source)
        };
        routes.add_service(reflected().build_v1().map_err(broken)?);
        routes.add_service(reflected().build_v1alpha().map_err(broken)?);
        let (end, ended) = oneshot::channel::<()>();
        // Also where this future is dropped.
        let cut = CancellationToken::new();
        let cutting = cut.clone().drop_guard();
        let site = match http {
            Some(listener) => {
                let site = Site {
                    deriva: service.deriva.clone(),
                    admission: Arc::clone(&admission),
                    budget: service.budget.clone(),
                    activity,
                };
                let addr = listener.local_addr().map_err(Error::io)?;
                // Without TLS.
                let plain = TlsInForce::default();
                let accepted = connections(listener, plain, Arc::clone(&limits), cut.clone());
                let serving = http::serve(
                    Connections { accepted, addr },
                    site,
                    access,
                    Arc::clone(&limits),
                );
                Some(AbortOnDropHandle::new(tokio::spawn(serving)))
            }
            None => None,
        };
        let grpc = grpc(&limits, &admission, routes.routes()).serve_with_incoming_shutdown(
            connections(listener, tls, Arc::clone(&limits), cut),
            async {
                let _ = ended.await;
            },
        );
        let mut grpc = AbortOnDropHandle::new(tokio::spawn(grpc));
        let failed = |ended: std::result::Result<_, tokio::task::JoinError>| match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(ended_by(source)),
            Err(source) => Err(ended_by(source)),
        };
        tokio::select! {
            () = stop => {}
            ended = &mut grpc => {
                failed(ended)?;
                return Err(Error::new(ErrorKind::Unavailable, ENDED));
            }
        }
        leave(&health, &admission).await;
        let _ = end.send(());
        let finished = async {
            admission.finish().await;
            (&mut grpc).await
        };
        let complete = match tokio::time::timeout(limits.drain, finished).await {
            Ok(ended) => failed(ended).map(|()| true)?,
            Err(_) => false,
        };
        drop((cutting, site));
        service.deriva.flush().await?;
        Ok(Drained { complete })
    }
}

/// What nobody asked it for.
const ENDED: &str = "the server ended by itself";

fn ended_by(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, ENDED).caused_by(source)
}

/// Who asks is told that it is about to stop.
async fn leave(health: &HealthReporter, admission: &Admission) {
    admission.drain();
    for name in SERVICES {
        let leaving = tonic_health::ServingStatus::NotServing;
        health.set_service_status(name, leaving).await;
    }
}

fn grpc(
    limits: &Limits,
    admission: &Arc<Admission>,
    routes: Routes,
) -> tonic::transport::server::Router<
    tower::layer::util::Stack<AdmissionLayer, tower::layer::util::Identity>,
> {
    tonic::transport::Server::builder()
        .max_concurrent_streams(limits.requests_per_connection)
        .max_frame_size(FRAME_SIZE)
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .http2_max_header_list_size(HEADERS)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(ERRORS))
        .layer(AdmissionLayer(Arc::clone(admission)))
        .add_routes(routes)
}
