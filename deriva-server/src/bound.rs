//! A server that listens: what it answers, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use deriva::metrics::Activity;
use deriva::{Error, ErrorKind, Result};
use deriva_proto::FILE_DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::admission::{Admission, AdmissionLayer, Tokens};
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
/// Bytes of a frame of HTTP/2 on its way to here: 16 KiB, which is usual, made large blobs slower
/// (docs/decisions/0023-service-figures.md), and each connection may hold one that has not come as a whole.
const FRAME_SIZE: u32 = 64 << 10;
/// Calls of one connection that were taken back before anybody saw them, and calls that broke the rules of HTTP/2: with one more the
/// connection ends.
const RESETS: usize = 20;
const ERRORS: usize = 1024;

/// Files that are read again when the server is told to.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) tls: Option<Tls>,
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
#[must_use = "nobody is answered before it serves"]
pub struct Bound {
    pub(crate) service: Arc<Service>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) tls: TlsInForce,
    pub(crate) files: Files,
    pub(crate) listener: TcpListener,
    pub(crate) http: Option<TcpListener>,
    pub(crate) access: Option<Access>,
    pub(crate) activity: Option<Arc<Activity>>,
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
    /// As [`Server::bind`](crate::Server::bind); what was in force stays so.
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
