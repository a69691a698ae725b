//! What a request is called, as several verbs take it.

use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use deriva::{Error, Request};

use crate::args::parsed;
use crate::handle::Materialize;

// No doc comment: it would become that of the verb.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// What this request is called in the log, in its errors and in traces: 1 to 128 visible characters of ASCII
    #[arg(long, value_name = "ID", value_parser = parsed::<RequestId>)]
    request_id: Option<RequestId>,
}

#[derive(Clone, Debug)]
struct RequestId(Arc<str>);

impl FromStr for RequestId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Request::check_id(text)?;
        Ok(Self(text.into()))
    }
}

impl RequestArgs {
    /// As a request is made.
    pub(super) fn request(&self, request: Materialize) -> Materialize {
        match &self.request_id {
            Some(RequestId(id)) => request.request_id(Arc::clone(id)),
            None => request,
        }
    }

    /// Whether a request says more than what a mere read does.
    pub(super) fn is_given(&self) -> bool {
        self.request_id.is_some()
    }
}
