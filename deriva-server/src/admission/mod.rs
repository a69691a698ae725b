//! What every call passes before it is answered: who asks, whether they may, and whether there is room.

mod rules;
mod tokens;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use deriva::{Clock, Error, ErrorKind, SystemClock};
use deriva_proto::status_with_retry;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::budget::{Budget, Charge, overloaded};
use crate::listen::Peer;
pub use rules::Role;
use rules::Rule;
pub(crate) use tokens::Tokens;

/// Calls at once that ask whether the service is well: they find room where the others have taken all of theirs.
const PROBES: usize = 256;
/// When it is worth to call again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// What all calls pass.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Nobody needs a token where there are none.
    pub(crate) tokens: RwLock<Option<Arc<Tokens>>>,
    calls: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    budget: Budget,
    draining: AtomicBool,
    clock: SystemClock,
}

impl Admission {
    pub(crate) fn new(tokens: Option<Tokens>, calls: usize, budget: Budget) -> Self {
        Self {
            tokens: RwLock::new(tokens.map(Arc::new)),
            calls: Arc::new(Semaphore::new(calls)),
            probes: Arc::new(Semaphore::new(PROBES)),
            budget,
            draining: AtomicBool::new(false),
            clock: SystemClock::new(),
        }
    }

    /// No call is let in any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The role of who makes a call, if they may.
    fn role(&self, rule: Rule, headers: &HeaderMap) -> Result<Role, Status> {
        let needed = match rule {
            Rule::Open => return Ok(Role::Read),
            Rule::Needs(role) => role,
        };
        let Some(tokens) = self.tokens.read().clone() else {
            return Ok(Role::Admin);
        };
        let given = headers.get(AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        let Some(given) = given else {
            let what = "this server wants a token, as `authorization: Bearer TOKEN`";
            return Err(Status::unauthenticated(what));
        };
        let role = tokens
            .role_of(given.trim(), self.clock.date())
            .ok_or_else(|| {
                Status::unauthenticated("the token is not known here, or has expired")
            })?;
        match role >= needed {
            true => Ok(role),
            false => Err(Status::permission_denied(format!(
                "this call needs the role `{needed}`, and the token has `{role}`"
            ))),
        }
    }

    /// Whether who has this token, or none, may read what is stored.
    pub(crate) fn may_read(&self, secret: Option<&str>) -> bool {
        let Some(tokens) = self.tokens.read().clone() else {
            return true;
        };
        let role = secret.and_then(|secret| tokens.role_of(secret, self.clock.date()));
        role.is_some_and(|role| role >= Role::Read)
    }

    /// The role of who makes a call, and the room that it takes while it is under way.
    fn admit(&self, request: &Request<Body>) -> Result<(Role, OwnedSemaphorePermit), Status> {
        let rule = rules::of(request.uri().path());
        let role = self.role(rule, request.headers())?;
        let room = match rule {
            Rule::Open => &self.probes,
            Rule::Needs(_) if self.is_draining() => {
                let error = Error::new(ErrorKind::Unavailable, "the server is about to stop");
                let error = error.hint("make the call again, at another server or a little later");
                return Err(status_with_retry(&error, RETRY_AFTER));
            }
            Rule::Needs(_) => &self.calls,
        };
        let permit = Arc::clone(room).try_acquire_owned();
        let full = |_| overloaded("as many calls under way as it takes");
        Ok((role, permit.map_err(full)?))
    }
}

/// Puts admission before the services.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionLayer(pub(crate) Arc<Admission>);

impl<S> Layer<S> for AdmissionLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            admission: Arc::clone(&self.0),
        }
    }
}

/// Services that calls come to once they are admitted.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    admission: Arc<Admission>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Answering {
        let (role, permit) = match self.admission.admit(&request) {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(std::future::ready(Ok(status.into_http()))),
        };
        let busy = request.extensions().get::<Peer>().map(Peer::begin);
        let arrived = Arrived::default();
        request.extensions_mut().insert(role);
        request.extensions_mut().insert(arrived.clone());
        let (parts, body) = request.into_parts();
        let budget = self.admission.budget.clone();
        let body = Charged {
            body,
            budget,
            arrived,
        };
        let request = Request::from_parts(parts, Body::new(body));
        // The one that is ready answers; the copy becomes ready for the next call.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        Box::pin(async move {
            let response = inner.call(request).await?;
            // The call goes on until its last byte was sent, or nobody wants them.
            let held = (permit, busy);
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _ = &held;
                    frame
                }))
            }))
        })
    }
}

/// Room for what of a call has arrived and was not read yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived(Arc<Mutex<Charge>>);

impl Arrived {
    /// All that made a message was read: what comes now belongs to the next one.
    pub(crate) fn read(&self) {
        *self.0.lock() = Charge::default();
    }
}

/// A body whose bytes find room as they come, or are refused.
struct Charged {
    body: Body,
    budget: Budget,
    arrived: Arrived,
}

impl http_body::Body for Charged {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && !self.arrived.0.lock().grow(&self.budget, data.len())
        {
            let status = overloaded("no room for more bytes at this moment");
            return Poll::Ready(Some(Err(status)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
