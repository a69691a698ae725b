//! How a client is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Clock, Error, ErrorKind, Result, StoreUri};

use crate::client::Client;
use crate::token::Token;
use crate::uri::{self, Address};

/// Settings of a [`Client`], begun with [`Client::builder`]. Each is an option of the URI, too, but for the token and the clock;
/// what is set here counts. What is wrong is told by [`ClientBuilder::connect`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    pub(crate) address: Address,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    pub(crate) token: Option<Token>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) plain_token: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) attempts: usize,
    pub(crate) first_delay: Duration,
    /// That of the runtime, unless one was given.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    mistake: Option<Error>,
}

impl ClientBuilder {
    /// All as it is unless set.
    pub(crate) fn of(address: Address) -> Self {
        Self {
            address,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            token: None,
            token_file: None,
            plain_token: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            first_delay: Duration::from_millis(100),
            clock: None,
            mistake: None,
        }
    }

    /// What a text says. A mistake in it is kept for [`ClientBuilder::connect`].
    pub(crate) fn parsed(text: &str) -> Self {
        // An error would show all of the text.
        let before_options = text.split('?').next().unwrap_or_default();
        let has_secret = before_options.contains('@')
            || ["?token=", "&token="].iter().any(|it| text.contains(it));
        let parsed = match has_secret {
            true => Err(uri::secret()),
            false => text.parse::<StoreUri>(),
        };
        parsed
            .and_then(|uri| uri::read(&uri))
            .unwrap_or_else(|error| {
                let nowhere = Address {
                    host: String::new(),
                    port: 0,
                    tls: false,
                };
                let mut builder = Self::of(nowhere);
                builder.mistake = Some(error);
                builder
            })
    }

    /// A file of certificates (PEM) that the server's is signed by, in place of those that the system trusts. For `derivas:`.
    /// Option `ca`.
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// The certificate (PEM) and the key (PEM) by which the server knows this client. For `derivas:`. Default: none.
    /// Options `cert` and `key`.
    pub fn identity(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert = Some(cert.into());
        self.key = Some(key.into());
        self
    }

    /// The name that the server's certificate has, where that is another than the host. For `derivas:`. Option `server_name`.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The token that says who asks: 1 to 4096 visible characters of ASCII, else `Invalid`. Default: that of the file, else that of the
    /// environment variable `DERIVA_TOKEN`, else none. It is never shown.
    pub fn token(mut self, token: &str) -> Self {
        match Token::new(token) {
            Ok(token) => self.token = Some(token),
            Err(error) => self.mistake = self.mistake.or(Some(error)),
        }
        self
    }

    /// A file with the token alone; white space around it does not count. It is read when the client connects. Option `token_file`.
    pub fn token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(file.into());
        self
    }

    /// Whether the token may be sent without TLS to another machine. Default: no, and then it is `Invalid`. Option `plain_token`,
    /// `on` or `off`.
    pub fn plain_token(mut self, allow: bool) -> Self {
        self.plain_token = allow;
        self
    }

    /// How long a connection may take to be made: more than nothing. Default: 5 s. Option `connect_timeout`.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long the answer to a short call may take: more than nothing. Default: 30 s. Calls that compute, verify, forget, collect or make
    /// durable take as long as they take. Option `timeout`.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// How long a stream of bytes or of a list may stand still: more than nothing. Default: 60 s. Option `idle_timeout`.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time;
        self
    }

    /// How often a call is made at the most, the first attempt included: 1 or more. Default: 5. Option `attempts`.
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait after the first attempt, and twice as long after each further one, up to 5 s: more than nothing. Each time is
    /// prolonged by up to as much again, by chance; and a server that says when to come again is heeded. Default: 100 ms. Option
    /// `first_delay`.
    pub fn first_delay(mut self, time: Duration) -> Self {
        self.first_delay = time;
        self
    }

    /// Where time comes from. Default: the system's monotonic clock, and the timers of the tokio runtime in which who waits is. How long a connection may take is measured by that in any case.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Connects, and asks the server what its stores can do. Within a tokio runtime with timers, which keeps the connection from then on; it
    /// is made again whenever it breaks.
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the settings, for a call outside a tokio runtime, and for a server that does not take the
    /// token or whose certificate cannot be trusted; `Unavailable`, after all attempts, where nobody listens.
    pub async fn connect(self) -> Result<Client> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.during("connect"));
        }
        self.check().map_err(|error| error.during("connect"))?;
        Client::connected(&self).await
    }

    /// Whether settings make sense together.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |what: &'static str| Error::new(ErrorKind::Invalid, what);
        for (key, time) in [
            ("connect_timeout", self.connect_timeout),
            ("timeout", self.timeout),
            ("idle_timeout", self.idle_timeout),
            ("first_delay", self.first_delay),
        ] {
            if time.is_zero() {
                let error = invalid("a time of more than nothing was expected");
                return Err(error.with("option", key));
            }
        }
        if self.attempts == 0 {
            let error = invalid("a number of 1 or more was expected").with("option", "attempts");
            return Err(error.hint("1 makes each call once"));
        }
        if self.cert.is_some() != self.key.is_some() {
            let error = invalid("a certificate and its key come together");
            return Err(error.hint("give both `cert` and `key`, or none of them"));
        }
        let for_tls = [
            ("ca", self.ca.is_some()),
            ("cert", self.cert.is_some()),
            ("server_name", self.server_name.is_some()),
        ];
        match for_tls.iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) if !self.address.tls => {
                let error = invalid("this is for a server with TLS").with("option", key);
                Err(error.hint("write `derivas://HOST:PORT`"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ClientBuilder");
        match &self.mistake {
            Some(mistake) => shown.field("mistake", mistake),
            None => match uri::written(self) {
                Ok(uri) => shown.field("uri", &format_args!("{uri}")),
                Err(error) => shown.field("mistake", &error),
            },
        };
        shown.field("token", &self.token).finish_non_exhaustive()
    }
}
