//! The calls of the protocol, over a [`Deriva`]: what they ask is its own, and nothing is decided here but what a caller may ask
//! for at once.

mod admin;
mod blobs;
mod graph;
mod materialize;
mod putting;
mod sending;
mod telling;

use std::sync::Arc;

use deriva::{Deriva, Error, ErrorKind, Result};
use deriva_proto::status_of;
use deriva_proto::v1::admin_server::AdminServer;
use deriva_proto::v1::blobs_server::BlobsServer;
use deriva_proto::v1::graph_server::GraphServer;
use deriva_proto::v1::materialize_server::MaterializeServer;
use tonic::service::{Routes, RoutesBuilder};
use tonic::{Response, Status};

use crate::budget::Budget;
use crate::limits::Limits;

/// What a call answers.
type Answer<T> = std::result::Result<Response<T>, Status>;

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) deriva: Deriva,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
}

/// One of the services of the protocol.
#[derive(Clone, Debug)]
struct Calls(Arc<Service>);

impl Service {
    /// All services of the protocol.
    pub(crate) fn routes(self: &Arc<Self>) -> RoutesBuilder {
        let calls = || Calls(Arc::clone(self));
        let most = self.limits.message_bytes;
        let mut routes = Routes::builder();
        routes
            .add_service(BlobsServer::new(calls()).max_decoding_message_size(most))
            .add_service(GraphServer::new(calls()).max_decoding_message_size(most))
            .add_service(MaterializeServer::new(calls()).max_decoding_message_size(most))
            .add_service(AdminServer::new(calls()).max_decoding_message_size(most));
        routes
    }
}

impl Calls {
    /// # Errors
    /// `Invalid` for more items than one call may name.
    fn check_batch(&self, what: &'static str, items: usize) -> Result<()> {
        let most = self.0.limits.batch;
        match items <= most {
            true => Ok(()),
            false => Err(too_many(what, items, most)),
        }
    }
}

fn too_many(what: &'static str, found: usize, most: usize) -> Error {
    let error = Error::new(ErrorKind::Invalid, format!("too many {what} in one call"));
    error
        .with("found", found)
        .with("limit", most)
        .hint("make several calls")
}

/// What a call answers that ended so.
fn answer<T>(ended: Result<T>) -> Answer<T> {
    match ended {
        Ok(message) => Ok(Response::new(message)),
        Err(error) => Err(status_of(&error)),
    }
}
