//! The connection to a server: kept, made again, and shared by all calls.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use deriva_api::{Clock, Error, ErrorKind, Result, RetryCounters};
use deriva_proto::v1;
use futures::future::{Either, select};
use tokio::runtime::Handle;
use tonic::codegen::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::builder::ClientBuilder;
use crate::failure::{Attempts, Failure};
use crate::time::RuntimeClock;
use crate::tls;
use crate::token::{Caller, Token};

/// The largest message that is sent or taken.
const MAX_MESSAGE: usize = 64 << 20;
/// How often a connection is looked after that has calls, and how long its answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Bytes that may be on their way to here: of one stream, and of all.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Bytes of a frame of HTTP/2 on its way to here: 16 KiB, which is usual, made large blobs slower (docs/decisions/0023-service-figures.md).
const FRAME_SIZE: u32 = 64 << 10;
/// The longest delay between two attempts, without what chance adds.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Ten years.
const FOREVER: Duration = Duration::from_secs(315_360_000);
/// What the server is given beyond a deadline, so that its own answer comes first.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

type Service = InterceptedService<Channel, Caller>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    channel: Channel,
    caller: Caller,
    /// `HOST:PORT`.
    pub(crate) server: String,
    pub(crate) timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) attempts: usize,
    pub(crate) first_delay: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retries: Arc<RetryCounters>,
    /// Where tasks of calls run.
    pub(crate) tokio: Handle,
    /// The beginning of chance, and the calls that took some.
    seed: u64,
    delayed: AtomicU64,
}

impl Link {
    /// A connection that is made when it is first needed.
    pub(crate) fn new(builder: &ClientBuilder) -> Result<Self> {
        let tokio = Handle::try_current().map_err(|source| {
            let what = "a client connects inside a tokio runtime";
            Error::new(ErrorKind::Invalid, what).caused_by(source)
        })?;
        let server = builder.address.authority();
        let scheme = if builder.address.tls { "https" } else { "http" };
        let invalid = |source: tonic::transport::Error| {
            let what = "this is no address of a server";
            let error = Error::new(ErrorKind::Invalid, what).caused_by(source);
            error.with("server", builder.address.authority())
        };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{server}"))
            .and_then(|it| it.user_agent(concat!("deriva-client/", env!("CARGO_PKG_VERSION"))))
            .map_err(invalid)?
            .connect_timeout(builder.connect_timeout)
            .tcp_nodelay(true)
            .max_frame_size(FRAME_SIZE)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let token = Token::of(builder)?;
        Ok(Self {
            channel: tls::secured(endpoint, builder)?.connect_lazy(),
            caller: Caller::new(token.as_ref())?,
            server,
            timeout: builder.timeout,
            idle_timeout: builder.idle_timeout,
            attempts: builder.attempts,
            first_delay: builder.first_delay,
            clock: match &builder.clock {
                Some(clock) => Arc::clone(clock),
                None => Arc::new(RuntimeClock::new()),
            },
            retries: Arc::default(),
            tokio,
            seed: RandomState::new().hash_one("deriva"),
            delayed: AtomicU64::new(0),
        })
    }

    /// The delays between the attempts of one call.
    pub(crate) fn delays(&self) -> ExponentialBackoff {
        let call = self.delayed.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed ^ call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let delays = ExponentialBuilder::new()
            .with_max_times(self.attempts - 1)
            .with_min_delay(self.first_delay.min(MAX_DELAY))
            .with_max_delay(MAX_DELAY)
            .with_factor(2.0);
        delays.with_jitter().with_jitter_seed(seed).build()
    }

    /// A call that has an answer within the [timeout](ClientBuilder::timeout) of calls.
    pub(crate) async fn short<M, T, F>(
        &self,
        operation: &'static str,
        message: M,
        call: impl Fn(tonic::Request<M>) -> F + Send + Sync,
    ) -> Result<T>
    where
        M: Clone,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        self.unary(operation, Some(self.timeout), message, call)
            .await
    }

    /// A call that takes as long as it takes.
    pub(crate) async fn long<M, T, F>(
        &self,
        operation: &'static str,
        message: M,
        call: impl Fn(tonic::Request<M>) -> F + Send + Sync,
    ) -> Result<T>
    where
        M: Clone,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        self.unary(operation, None, message, call).await
    }

    async fn unary<M, T, F>(
        &self,
        operation: &'static str,
        limit: Option<Duration>,
        message: M,
        call: impl Fn(tonic::Request<M>) -> F + Send + Sync,
    ) -> Result<T>
    where
        M: Clone,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut attempts = Attempts::new(self, operation);
        loop {
            let answer = call(request(message.clone(), limit));
            let answered = match limit {
                Some(limit) => self.within(limit, answer).await,
                None => Some(answer.await),
            };
            let failure = match answered {
                Some(Ok(response)) => return Ok(response.into_inner()),
                Some(Err(status)) => Failure::of(status, self),
                None => {
                    let hint = "see what keeps the server busy, or allow more time by `timeout`";
                    let error = self.late("the server did not answer in time", limit);
                    return Err(error.hint(hint).during(operation));
                }
            };
            attempts.again(failure).await?;
        }
    }

    /// What comes in time.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        // A clock need not know times that nobody lives to see.
        match select(pin!(work), self.clock.sleep(limit.min(FOREVER))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// What comes before a stream has stood still for too long. Then a call may be made again.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, Failure> {
        match self.within(self.idle_timeout, work).await {
            Some(done) => done.map_err(|status| Failure::of(status, self)),
            None => Err(self.stood_still()),
        }
    }

    /// A stream that stood still for too long.
    pub(crate) fn stood_still(&self) -> Failure {
        let error = self.late("a stream stood still for too long", Some(self.idle_timeout));
        let hint =
            "see what keeps the server or the network busy, or allow more time by `idle_timeout`";
        Failure::passing(error.hint(hint))
    }

    fn late(&self, what: &'static str, limit: Option<Duration>) -> Error {
        let error = Error::new(ErrorKind::Timeout, what).with("server", &self.server);
        match limit {
            Some(limit) => error.with("limit", humantime::format_duration(limit)),
            None => error,
        }
    }
}

/// The services, each over the same connection.
macro_rules! services {
    ($($name:ident: $($client:ident)::+;)+) => {
        impl Link {
            $(pub(crate) fn $name(&self) -> v1::$($client)::+<Service> {
                v1::$($client)::+::with_interceptor(self.channel.clone(), self.caller.clone())
                    .max_decoding_message_size(MAX_MESSAGE)
                    .max_encoding_message_size(MAX_MESSAGE)
            })+
        }
    };
}

services! {
    blobs: blobs_client::BlobsClient;
    graph: graph_client::GraphClient;
    materialize: materialize_client::MaterializeClient;
    admin: admin_client::AdminClient;
}

/// A request that the server is to give up a little after this time.
pub(crate) fn request<M>(message: M, limit: Option<Duration>) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    if let Some(limit) = limit {
        // The header has room for eight digits: of hours, where need be.
        request.set_timeout(
            limit
                .saturating_add(GRACE)
                .min(Duration::from_secs(99_999_999)),
        );
    }
    request
}

/// Makes a call on one of the services: `call!(link.short(message) -> blobs.stat)`.
macro_rules! call {
    ($link:ident.$kind:ident($message:expr) -> $service:ident.$method:ident) => {
        $link.$kind(stringify!($method), $message, |request| {
            let mut service = $link.$service();
            async move { service.$method(request).await }
        })
    };
}
pub(crate) use call;
