//! The calls of `Admin`.

use std::time::Duration;

use deriva::admin::ScrubCursor;
use deriva::{Error, ErrorKind, FunctionId, Result};
use deriva_proto::v1::admin_server::Admin;
use deriva_proto::{addr_of, bytes_of, maybe_addr_of, v1};
use tonic::{Request, Response};

use super::sending::{Beside, Outbox, Part, Sent, filled};
use super::{Answer, Calls, answer};

/// Bytes of an entry of the ledger in a message, about.
const ENTRY_BYTES: usize = 1024;
/// Computations of an audit at once, at the most.
const JOBS: u64 = 1024;

fn nothing(field: &'static str) -> Error {
    let what = "a value of a known kind was expected in a message";
    Error::new(ErrorKind::Invalid, what).with("field", field)
}

fn time(time: Option<v1::Duration>) -> Result<Option<Duration>> {
    time.map(Duration::try_from).transpose()
}

/// Tells what happens, as long as somebody reads as fast: what they miss is in the last message.
fn told<T: Send + 'static>(outbox: &Beside<T>, message: T) {
    outbox.try_send(message);
}

impl Calls {
    async fn invalidated(&self, message: v1::InvalidateRequest) -> Result<v1::InvalidateResponse> {
        use v1::invalidate_request::What;
        let mut invalidate = match message.what {
            Some(What::Addr(addr)) => {
                let addr = addr_of("InvalidateRequest.addr", &addr)?;
                self.0.deriva.invalidate(addr)
            }
            Some(What::Function(id)) => self.0.deriva.invalidate_function(&id.try_into()?),
            None => return Err(nothing("InvalidateRequest.what")),
        };
        if message.cascade {
            invalidate = invalidate.cascade();
        }
        if message.dry_run {
            invalidate = invalidate.dry_run();
        }
        let done = Some(invalidate.await?.into());
        Ok(v1::InvalidateResponse { done })
    }

    async fn collected(
        &self,
        message: v1::CollectRequest,
        outbox: Outbox<v1::CollectResponse>,
    ) -> Result<()> {
        use v1::collect_response::Said;
        let dry_run = message.dry_run;
        let mut collect = self.0.deriva.collect().policy(message.try_into()?);
        if dry_run {
            collect = collect.dry_run();
        }
        let progress = outbox.beside();
        let collect = collect.progress(move |event| {
            let said = Some(Said::Event(event.into()));
            told(&progress, v1::CollectResponse { said });
        });
        let said = Some(Said::Done((&collect.await?).into()));
        outbox.send(v1::CollectResponse { said }).await
    }

    async fn scrubbed(
        &self,
        message: v1::ScrubRequest,
        outbox: Outbox<v1::ScrubResponse>,
    ) -> Result<()> {
        use v1::scrub_response::Said;
        let cursor: ScrubCursor = message.cursor()?;
        let mut scrub = self.0.deriva.scrub().after(cursor);
        if let Some(bytes) = message.bytes_per_second {
            scrub = scrub.bytes_per_second(bytes);
        }
        if let Some(bytes) = message.limit_bytes {
            scrub = scrub.limit_bytes(bytes);
        }
        if let Some(limit) = time(message.limit_time)? {
            scrub = scrub.limit_time(limit);
        }
        let progress = outbox.beside();
        let scrub = scrub.progress(move |event| {
            let said = Some(Said::Event(event.into()));
            told(&progress, v1::ScrubResponse { said });
        });
        let said = Some(Said::Done((&scrub.await?).into()));
        outbox.send(v1::ScrubResponse { said }).await
    }

    async fn audited(
        &self,
        message: v1::AuditRequest,
        outbox: Outbox<v1::AuditResponse>,
    ) -> Result<()> {
        use v1::audit_request::What;
        use v1::audit_response::Said;
        let mut audit = self.0.deriva.audit();
        audit = match message.what {
            Some(What::Addr(addr)) => audit.addr(addr_of("AuditRequest.addr", &addr)?),
            Some(What::Function(id)) => audit.function(&FunctionId::try_from(id)?),
            Some(What::Root(name)) => audit.root(&name),
            Some(What::All(v1::Null {})) => audit,
            None => return Err(nothing("AuditRequest.what")),
        };
        if let Some(rate) = message.per_second {
            audit = audit.per_second(rate);
        }
        if let Some(jobs) = message.jobs {
            audit = audit.jobs(usize::try_from(jobs.min(JOBS)).unwrap_or(1));
        }
        if let Some(cursor) = maybe_addr_of("AuditRequest.after", message.after.as_ref())? {
            audit = audit.after(cursor);
        }
        if let Some(limit) = message.limit {
            audit = audit.limit(limit);
        }
        if let Some(limit) = time(message.limit_time)? {
            audit = audit.limit_time(limit);
        }
        if message.dry_run {
            audit = audit.dry_run();
        }
        let progress = outbox.beside();
        let audit = audit.progress(move |event| {
            let said = Some(Said::Event(event.into()));
            told(&progress, v1::AuditResponse { said });
        });
        let said = Some(Said::Done((&audit.await?).into()));
        outbox.send(v1::AuditResponse { said }).await
    }

    async fn released(&self, message: v1::ReleaseRequest) -> Result<v1::ReleaseResponse> {
        use v1::release_request::What;
        let released = match message.what {
            Some(What::Recipe(addr)) => {
                let recipe = addr_of("ReleaseRequest.recipe", &addr)?;
                self.0.deriva.release(recipe).await?;
                1
            }
            Some(What::Function(id)) => {
                let id = FunctionId::try_from(id)?;
                self.0.deriva.release_function(&id).await?
            }
            None => return Err(nothing("ReleaseRequest.what")),
        };
        Ok(v1::ReleaseResponse { released })
    }
}

#[tonic::async_trait]
impl Admin for Calls {
    async fn invalidate(
        &self,
        request: Request<v1::InvalidateRequest>,
    ) -> Answer<v1::InvalidateResponse> {
        answer(self.invalidated(request.into_inner()).await)
    }

    type CollectStream = Sent<v1::CollectResponse>;

    async fn collect(&self, request: Request<v1::CollectRequest>) -> Answer<Self::CollectStream> {
        let (calls, message) = (self.clone(), request.into_inner());
        filled(|outbox| async move { calls.collected(message, outbox).await })
    }

    type ScrubStream = Sent<v1::ScrubResponse>;

    async fn scrub(&self, request: Request<v1::ScrubRequest>) -> Answer<Self::ScrubStream> {
        let (calls, message) = (self.clone(), request.into_inner());
        filled(|outbox| async move { calls.scrubbed(message, outbox).await })
    }

    type AuditStream = Sent<v1::AuditResponse>;

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Answer<Self::AuditStream> {
        let (calls, message) = (self.clone(), request.into_inner());
        filled(|outbox| async move { calls.audited(message, outbox).await })
    }

    type LedgerStream = Sent<v1::LedgerResponse>;

    async fn ledger(&self, request: Request<v1::LedgerRequest>) -> Answer<Self::LedgerStream> {
        let (calls, message) = (self.clone(), request.into_inner());
        filled(|outbox| async move {
            let recipe = maybe_addr_of("LedgerRequest.recipe", message.recipe.as_ref())?;
            let mut part = Part::new();
            for entry in calls.0.deriva.ledger().await? {
                if recipe.is_some_and(|recipe| recipe != entry.recipe) {
                    continue;
                }
                if let Some(entries) = part.add((&entry).into(), ENTRY_BYTES) {
                    outbox.send_alone(v1::LedgerResponse { entries }).await?;
                }
            }
            match part.rest() {
                Some(entries) => outbox.send_alone(v1::LedgerResponse { entries }).await,
                None => Ok(()),
            }
        })
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Answer<v1::ReleaseResponse> {
        answer(self.released(request.into_inner()).await)
    }

    async fn quarantine(
        &self,
        _: Request<v1::QuarantineRequest>,
    ) -> Answer<v1::QuarantineResponse> {
        let suspects = self.0.deriva.suspects();
        let suspects = suspects.iter().map(Into::into).collect();
        Ok(Response::new(v1::QuarantineResponse { suspects }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let status = self.0.deriva.status().await;
        answer(status.map(|status| {
            let snapshot = self.0.deriva.snapshot();
            v1::StatusResponse::from((&status, &snapshot))
        }))
    }

    async fn digest(&self, _: Request<v1::DigestRequest>) -> Answer<v1::DigestResponse> {
        let digest = self.0.deriva.state_digest().await;
        answer(digest.map(|digest| v1::DigestResponse {
            digest: bytes_of(digest),
        }))
    }
}
