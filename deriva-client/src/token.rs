//! The token that says who asks.

use std::fmt;
use std::fs;

use deriva_api::{Error, ErrorKind, Result};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::builder::ClientBuilder;

/// The environment variable that may hold a token.
const VARIABLE: &str = "DERIVA_TOKEN";

/// The longest token, in bytes.
const MAX: usize = 4096;

/// A token. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// A token, without the white space around it.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        let is_token =
            (1..=MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if is_token {
            return Ok(Self(text.to_owned()));
        }
        let what = "a token of 1 to 4096 visible characters of ASCII was expected";
        Err(Error::new(ErrorKind::Invalid, what).with("length", text.len()))
    }

    /// The token that a client has: that of its builder, else that of its file, else that of the environment, else none.
    pub(crate) fn of(builder: &ClientBuilder) -> Result<Option<Self>> {
        let token = match (&builder.token, &builder.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => {
                let said = |error: Error| error.with("token_file", file.display());
                let text = fs::read_to_string(file).map_err(|source| {
                    let what = "the file of the token cannot be read";
                    let error = Error::new(ErrorKind::Invalid, what).caused_by(source);
                    said(error).hint("see that the file is there, and that you may read it")
                })?;
                Some(Self::new(&text).map_err(said)?)
            }
            (None, None) => match std::env::var(VARIABLE) {
                Ok(text) if !text.trim().is_empty() => {
                    let token = Self::new(&text);
                    Some(token.map_err(|error| error.with("variable", VARIABLE))?)
                }
                _ => None,
            },
        };
        let address = &builder.address;
        let is_exposed = !address.tls && !address.is_loopback() && !builder.plain_token;
        if token.is_some() && is_exposed {
            let what = "a token would go over the network for everybody to read";
            return Err(Error::new(ErrorKind::Invalid, what)
                .with("server", address.authority())
                .hint("use `derivas://` with a server that has TLS; or, where nobody listens on the way, `plain_token=on`"));
        }
        Ok(token)
    }
}

/// Tells with each call who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Option<MetadataValue<Ascii>>);

impl Caller {
    pub(crate) fn new(token: Option<&Token>) -> Result<Self> {
        let Some(Token(token)) = token else {
            return Ok(Self(None));
        };
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| {
            // What it was is not told.
            Error::new(ErrorKind::Invalid, "this token cannot be sent")
        })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}
