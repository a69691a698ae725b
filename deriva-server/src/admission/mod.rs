//! What every call passes before it is answered: who asks, whether they may, and whether there is room.

mod arriving;
mod counted;
mod held;
mod rules;
mod tokens;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use deriva::metrics::Served;
use deriva::{Clock, Error, ErrorKind, SystemClock};
use deriva_proto::status_with_retry;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::budget::{Budget, overloaded};
use crate::limits::Limits;
use crate::listen::Peer;
pub(crate) use arriving::Arrived;
use arriving::Charged;
use counted::Counted;
use held::Held;
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
    stall_timeout: Duration,
    draining: AtomicBool,
    /// Counts calls, where the instance has metrics.
    served: Option<Served>,
    /// Calls that come to an end by themselves.
    working: TaskTracker,
    /// Ends the others.
    over: CancellationToken,
    clock: SystemClock,
}

impl Admission {
    pub(crate) fn new(
        tokens: Option<Tokens>,
        limits: &Limits,
        budget: Budget,
        served: Option<Served>,
    ) -> Self {
        Self {
            tokens: RwLock::new(tokens.map(Arc::new)),
            calls: Arc::new(Semaphore::new(limits.requests)),
            probes: Arc::new(Semaphore::new(PROBES)),
            budget,
            stall_timeout: limits.stall_timeout,
            draining: AtomicBool::new(false),
            served,
            working: TaskTracker::new(),
            over: CancellationToken::new(),
            clock: SystemClock::new(),
        }
    }

    /// No call is let in any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Waits until no call is under way that comes to an end by itself, and then ends the others. To be called once none is let in.
    pub(crate) async fn finish(&self) {
        self.working.close();
        self.working.wait().await;
        self.over.cancel();
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

    /// Counts a call of a path from now on.
    fn counted(&self, path: &str) -> Counted {
        let begin = |served: &Served| {
            let (service, method) = rules::name_of(path);
            served.begin(service, method)
        };
        Counted(self.served.as_ref().map(begin))
    }

    /// The role of who makes a call, and the room that it takes while it is under way.
    fn admit(&self, request: &Request<Body>) -> Result<(Role, OwnedSemaphorePermit), Status> {
        let rule = rules::of(request.uri().path());
        let role = self.role(rule, request.headers())?;
        let room = match rule {
            Rule::Open => &self.probes,
            Rule::Needs(_) if self.is_draining() => return Err(stopping()),
            Rule::Needs(_) => &self.calls,
        };
        let permit = Arc::clone(room).try_acquire_owned();
        let full = |_| overloaded("as many calls under way as it takes");
        Ok((role, permit.map_err(full)?))
    }
}

/// What a call is told that finds the server about to stop.
fn stopping() -> Status {
    let error = Error::new(ErrorKind::Unavailable, "the server is about to stop");
    let error = error.hint("make the call again, at another server or a little later");
    status_with_retry(&error, RETRY_AFTER)
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
        let mut counted = self.admission.counted(request.uri().path());
        let (role, permit) = match self.admission.admit(&request) {
            Ok(admitted) => admitted,
            Err(status) => {
                counted.ends(status.code());
                return Box::pin(std::future::ready(Ok(status.into_http())));
            }
        };
        let busy = request.extensions().get::<Peer>().map(Peer::begin);
        let (working, over) = match rules::is_held(request.uri().path()) {
            true => (None, Some(self.admission.over.clone())),
            false => (Some(self.admission.working.token()), None),
        };
        let arrived = Arrived::default();
        request.extensions_mut().insert(role);
        request.extensions_mut().insert(arrived.clone());
        let (parts, body) = request.into_parts();
        let admission = &self.admission;
        let body = Charged::new(
            body,
            admission.budget.clone(),
            arrived,
            admission.stall_timeout,
        );
        let request = Request::from_parts(parts, Body::new(body));
        // The one that is ready answers; the copy becomes ready for the next call.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        Box::pin(async move {
            let response = inner.call(request).await?;
            counted.told(response.headers());
            // The call goes on until its last byte was sent, or nobody wants them.
            let held = (permit, busy, working);
            Ok(response.map(|body| {
                let body = match over {
                    Some(over) => Body::new(Held::new(body, over)),
                    None => body,
                };
                Body::new(body.map_frame(move |frame| {
                    let _ = &held;
                    if let Some(trailers) = frame.trailers_ref() {
                        counted.told(trailers);
                    }
                    frame
                }))
            }))
        })
    }
}
