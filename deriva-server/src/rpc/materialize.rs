//! The calls of `Materialize`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deriva::events::Observer;
use deriva::{BlobReader, BlobStat, CAddr, Error, ErrorKind, Materialized, Materializer, Result};
use deriva_proto::v1::materialize_server::Materialize;
use deriva_proto::{addr_of, addrs_of, parts, status_of, v1};
use futures::{StreamExt, stream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response};

use super::sending::{LEAST, Outbox, PIECE, Sent, filled};
use super::telling::{Telling, forward, missed_events, said};
use super::{Answer, Calls, Service, answer};
use crate::budget::Charge;

/// Differences that are told unless more are asked for.
const DIFFERENCES: u64 = 1000;

fn result(result: v1::RunResult) -> v1::RunResponse {
    v1::RunResponse {
        said: Some(v1::run_response::Said::Result(result)),
    }
}

fn frame(target: usize, chunk: Bytes, end: bool) -> v1::RunResponse {
    let bytes = v1::RunBytes {
        target: u32::try_from(target).unwrap_or(u32::MAX),
        chunk,
        end,
    };
    v1::RunResponse {
        said: Some(v1::run_response::Said::Bytes(bytes)),
    }
}

impl Calls {
    /// The request of a message, with the deadline of the call.
    fn asked(&self, message: v1::RunRequest, call: Option<Duration>) -> Result<deriva::Request> {
        self.check_batch("targets", message.targets.len())?;
        self.check_batch("recipes with a mode", message.determinism_at.len())?;
        let mut asked = deriva::Request::try_from(message)?;
        asked.deadline = asked.deadline.into_iter().chain(call).min();
        Ok(asked)
    }
}

async fn run(
    service: &Service,
    mut asked: deriva::Request,
    wanted: v1::Wanted,
    outbox: Outbox<v1::RunResponse>,
) -> Result<()> {
    let deriva = &service.deriva;
    let lease = deriva.lease();
    if wanted.bytes || wanted.unstored {
        lease.protect_many(asked.targets.iter().copied()).await;
    }
    let targets = asked.targets.clone();
    let (telling, mut events) = Telling::new(wanted, service.budget.clone());
    asked
        .observers
        .push(Arc::clone(&telling) as Arc<dyn Observer>);
    let done = tokio::select! {
        done = Materializer::materialize(deriva, asked) => done,
        gone = forward(&telling, &mut events, &outbox) => Err(gone),
    };
    events.close();
    while let Some((event, _)) = events.recv().await {
        outbox.send(said(event)).await?;
    }
    let done = done?;
    let missed = telling.missed();
    if missed > 0 {
        outbox.send(said(missed_events(missed))).await?;
    }
    for part in parts::of_result(&done) {
        outbox.send_alone(result(part)).await?;
    }
    for place in sent(service, &targets, &done, wanted).await? {
        if let Some(Ok(stat)) = done.results.get(place) {
            let held = done.held.get(place).cloned().flatten();
            let held = held.map(deriva::Blob::into_bytes);
            send_bytes(service, (place, targets[place]), *stat, held, &outbox).await?;
        }
    }
    drop(lease);
    Ok(())
}

/// The places of the targets whose bytes are sent.
async fn sent(
    service: &Service,
    targets: &[CAddr],
    done: &Materialized,
    wanted: v1::Wanted,
) -> Result<Vec<usize>> {
    if wanted.bytes {
        return Ok((0..targets.len()).collect());
    }
    let held = done.held.iter().enumerate();
    let held: Vec<usize> = held
        .filter_map(|(place, held)| held.is_some().then_some(place))
        .collect();
    if held.is_empty() || !wanted.unstored {
        return Ok(Vec::new());
    }
    // What another call finds: a leaf is its own output.
    let asked: Vec<CAddr> = held.iter().map(|place| targets[*place]).collect();
    let outputs = service.deriva.dag().outputs(&asked).await?;
    let found = asked.iter().zip(outputs);
    let found = found.map(|(addr, output)| output.map_or(*addr, |output| output.addr));
    let found: Vec<CAddr> = found.collect();
    let stored = service.deriva.blobs().stat(&found).await?;
    let is_lost = |(place, stat): &(usize, Option<BlobStat>)| {
        let is_doubted = done.doubted.contains(&targets[*place]);
        is_doubted || *stat != done.results[*place].as_ref().ok().copied()
    };
    let lost = held.into_iter().zip(stored).filter(is_lost);
    Ok(lost.map(|(place, _)| place).collect())
}

async fn send_bytes(
    service: &Service,
    (place, target): (usize, CAddr),
    stat: BlobStat,
    held: Option<Bytes>,
    outbox: &Outbox<v1::RunResponse>,
) -> Result<()> {
    let mut source = match held {
        Some(bytes) => Source::Held(bytes),
        None => Source::Stored(Box::new(stored(service, target, stat).await?)),
    };
    let mut left = stat.len;
    // Room for what waits to be sent.
    let mut _waiting = Charge::default();
    loop {
        let (most, charge) = service.budget.piece(PIECE, LEAST);
        let chunk = source.next(most).await?;
        left = left.saturating_sub(chunk.len() as u64);
        let end = left == 0 || chunk.is_empty();
        if chunk.is_empty() && left > 0 {
            let what = "the bytes of a target are not as long as its result";
            return Err(Error::new(ErrorKind::Corrupt, what).with("addr", target));
        }
        outbox.send_alone(frame(place, chunk, end)).await?;
        _waiting = charge;
        if end {
            return Ok(());
        }
    }
}

/// Opens the bytes of a result: those, and no others, also where the target gave others since.
async fn stored(service: &Service, target: CAddr, stat: BlobStat) -> Result<BlobReader> {
    match service.deriva.open(stat.addr).await {
        // They were damaged or lost meanwhile: the recipe makes them again.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            let again = service.deriva.open(target).await?;
            match again.stat() == stat {
                true => Ok(again),
                false => Err(error),
            }
        }
        opened => opened,
    }
}

/// Where the bytes of a target are.
enum Source {
    Held(Bytes),
    Stored(Box<BlobReader>),
}

impl Source {
    /// The next bytes; none at the end.
    async fn next(&mut self, most: u64) -> Result<Bytes> {
        match self {
            Self::Held(bytes) => {
                let len = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.split_to(len))
            }
            Self::Stored(reader) => {
                let chunk = reader.next_chunk_of(most).await?;
                Ok(chunk.unwrap_or_default())
            }
        }
    }
}

/// How long a caller is going to wait: the header `grpc-timeout`, digits and a unit.
fn timeout_of(headers: &MetadataMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[tonic::async_trait]
impl Materialize for Calls {
    type RunStream = Sent<v1::RunResponse>;

    async fn run(&self, request: Request<v1::RunRequest>) -> Answer<Self::RunStream> {
        let call = timeout_of(request.metadata());
        let mut message = request.into_inner();
        let wanted = message.wanted.take().unwrap_or_default();
        let asked = self.asked(message, call);
        let asked = asked.map_err(|error| status_of(&error))?;
        let service = Arc::clone(&self.0);
        filled(|outbox| async move { run(&service, asked, wanted, outbox).await })
    }

    type LeaseStream = Sent<v1::LeaseResponse>;

    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Answer<Self::LeaseStream> {
        let message = request.into_inner();
        let asked = || {
            self.check_batch("addresses", message.addrs.len())?;
            addrs_of("LeaseRequest.addrs", &message.addrs)
        };
        let addrs = asked().map_err(|error: Error| status_of(&error))?;
        let lease = self.0.deriva.lease();
        lease.protect_many(addrs).await;
        let held = stream::once(async { Ok(v1::LeaseResponse {}) });
        // It holds until the stream is dropped.
        let forever = stream::pending().map(move |message| {
            let _ = &lease;
            message
        });
        Ok(Response::new(held.chain(forever).boxed()))
    }

    type ExplainStream = Sent<v1::ExplainResponse>;

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<Self::ExplainStream> {
        let message = request.into_inner();
        let calls = self.clone();
        filled(|outbox| async move {
            calls.check_batch("addresses", message.addrs.len())?;
            let addrs = addrs_of("ExplainRequest.addrs", &message.addrs)?;
            let mut explanation = calls.0.deriva.explain_many(&addrs).await?;
            let limit = message.limit.unwrap_or(u64::MAX);
            explanation
                .nodes
                .truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            for part in parts::of_explanation(explanation) {
                outbox.send_alone(part).await?;
            }
            Ok(())
        })
    }

    type DiffStream = Sent<v1::DiffResponse>;

    async fn diff(&self, request: Request<v1::DiffRequest>) -> Answer<Self::DiffStream> {
        let message = request.into_inner();
        let calls = self.clone();
        filled(|outbox| async move {
            let before = addr_of("DiffRequest.before", &message.before)?;
            let after = addr_of("DiffRequest.after", &message.after)?;
            let limit = message.limit.unwrap_or(DIFFERENCES);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let limit = limit.min(calls.0.limits.batch);
            let diff = calls.0.deriva.diff_up_to(before, after, limit).await?;
            for part in parts::of_diff(&diff)? {
                outbox.send_alone(part).await?;
            }
            Ok(())
        })
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Answer<v1::WhyResponse> {
        let message = request.into_inner();
        let why = async {
            let addr = addr_of("WhyRequest.addr", &message.addr)?;
            let why = self.0.deriva.why(addr, None).await?;
            Ok(v1::WhyResponse::from(&why))
        };
        answer(why.await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_caller_waits_is_read_from_its_header() {
        let timeout = |text: &'static str| {
            let mut headers = MetadataMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            timeout_of(&headers)
        };
        assert_eq!(timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("7u"), Some(Duration::from_micros(7)));
        for wrong in ["", "S", "5", "5x", "-1S", "5SS", "99999999999999999999999S"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }
}
