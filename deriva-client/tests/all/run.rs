//! Requests: what is asked, what is told meanwhile, and what comes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva_api::{
    Blob, CAddr, Error, ErrorKind, Event, Materializer, Output, Reason, Request, StoreResults,
    Summary,
};
use deriva_proto::v1::run_event::Event as Wire;
use deriva_proto::v1::run_response::Said;
use deriva_proto::v1::target_result::Result as Target;
use deriva_proto::{status_of, v1};
use tonic::Status;

use crate::fake::{Fake, Materialize, Streamed, all, away, counting, never, wire};

pub(crate) type Response = Result<v1::RunResponse, Status>;

pub(crate) fn said(said: Said) -> Response {
    Ok(v1::RunResponse { said: Some(said) })
}

pub(crate) fn event(event: &Event) -> Response {
    said(Said::Event(event.into()))
}

pub(crate) fn stat(blob: &Blob) -> v1::TargetResult {
    v1::TargetResult {
        result: Some(Target::Stat(blob.stat().into())),
    }
}

pub(crate) fn part(results: Vec<v1::TargetResult>, is_last: bool) -> Response {
    let mut summary = Summary::default();
    summary.computed = 3;
    said(Said::Result(v1::RunResult {
        results,
        summary: is_last.then(|| summary.into()),
        doubted: Vec::new(),
    }))
}

pub(crate) fn bytes(target: u32, chunk: &'static str, end: bool) -> Response {
    let chunk = chunk.into();
    said(Said::Bytes(v1::RunBytes { target, chunk, end }))
}

pub(crate) fn fake(run: Streamed<v1::RunRequest, v1::RunResponse>) -> Fake {
    Fake {
        materialize: Materialize {
            run,
            ..Materialize::default()
        },
        ..Fake::default()
    }
}

/// A server that answers every request in this way.
pub(crate) fn answering(responses: Vec<Response>) -> Fake {
    fake(all(move |_| responses.iter().map(copy).collect()))
}

pub(crate) fn copy(response: &Response) -> Response {
    match response {
        Ok(response) => Ok(response.clone()),
        Err(status) => Err(Status::with_details(
            status.code(),
            status.message(),
            status.details().to_vec().into(),
        )),
    }
}

pub(crate) fn addr(text: &str) -> CAddr {
    CAddr::of_blob(text.as_bytes())
}

/// A request, and what its observer hears.
pub(crate) fn observed(targets: impl Into<Vec<CAddr>>) -> (Request, Arc<Mutex<Vec<Event>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let request =
        Request::new(targets).progress(move |event| hears.lock().unwrap().push(event.clone()));
    (request, heard)
}

#[tokio::test]
async fn events_are_told_in_order_and_those_of_later_versions_are_passed_over() {
    let made = Blob::new("made");
    let output = Output {
        addr: made.addr(),
        len: made.len(),
        cost: Duration::from_millis(2),
    };
    let events = [
        Event::Planned {
            compute: 2,
            reused: 1,
        },
        Event::Started {
            addr: addr("a"),
            reason: Reason::New,
        },
        Event::Computed {
            addr: addr("a"),
            output,
            reason: Reason::New,
        },
        Event::Failed {
            addr: addr("b"),
            error: Error::new(ErrorKind::Function, "it fails"),
        },
        Event::Skipped { addr: addr("c") },
    ];
    let mut responses: Vec<Response> = events.iter().map(event).collect();
    let unknown = v1::RunEvent { event: None };
    responses.insert(0, Ok(v1::RunResponse { said: None }));
    responses.insert(2, said(Said::Event(unknown)));
    let started = v1::run_event::Started {
        addr: wire(addr("x")),
        reason: 77,
    };
    let of_a_later_version = v1::RunEvent {
        event: Some(Wire::Started(started)),
    };
    responses.insert(3, said(Said::Event(of_a_later_version)));
    responses.push(part(vec![stat(&made)], true));
    let served = answering(responses).serve().await;
    let client = served.client().await;
    let (request, heard) = observed([addr("a")]);
    let second = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&second);
    let request = request.progress(move |_| *counts.lock().unwrap() += 1);
    let done = Materializer::materialize(&client, request).await.unwrap();
    let heard = format!("{:?}", heard.lock().unwrap());
    assert_eq!(heard, format!("{events:?}"));
    assert_eq!(*second.lock().unwrap(), 5);
    assert_eq!(done.summary.computed, 3);
    assert_eq!(done.results[0].as_ref().unwrap(), &made.stat());
}

#[tokio::test]
async fn results_come_in_parts_with_failures_in_their_places() {
    let (one, three) = (Blob::new("one"), Blob::new("three"));
    let failure = Error::new(ErrorKind::Function, "it fails").along(vec![addr("two")]);
    let failed = v1::TargetResult {
        result: Some(Target::Error((&failure).into())),
    };
    let responses = vec![
        part(vec![stat(&one), failed], false),
        part(vec![], false),
        part(vec![stat(&three)], true),
    ];
    let served = answering(responses).serve().await;
    let client = served.client().await;
    let targets = [addr("one"), addr("two"), addr("three")];
    let request = Request::new(targets).keep_going();
    let done = Materializer::materialize(&client, request).await.unwrap();
    assert_eq!(done.results[0].as_ref().unwrap(), &one.stat());
    let error = done.results[1].as_ref().unwrap_err();
    assert_eq!(
        (format!("{error:#}"), error.path()),
        (format!("{failure:#}"), failure.path())
    );
    assert_eq!(done.results[2].as_ref().unwrap(), &three.stat());
    assert_eq!(done.held, [None, None, None]);
}

#[tokio::test]
async fn the_request_arrives_as_it_is_and_asks_for_no_more_than_is_wanted() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (notes, made) = (Arc::clone(&asked), Blob::new("made"));
    let run = all(move |request: v1::RunRequest| {
        notes.lock().unwrap().push(request);
        vec![part(vec![stat(&made)], true)]
    });
    let served = fake(run).serve().await;
    let client = served.client().await;
    let (target, wanted) = (addr("x"), |events| v1::Wanted {
        events,
        progress: events,
        bytes: false,
        unstored: true,
    });
    for (request, wanted) in [
        (Request::new([target]), wanted(false)),
        (observed([target]).0.jobs(3), wanted(true)),
        (
            Request::new([target])
                .store_results(StoreResults::All)
                .priority(7),
            wanted(false),
        ),
        (
            Request::new([target]).store_results(StoreResults::None),
            wanted(false),
        ),
        (
            Request::new([target]).store_results(StoreResults::Roots),
            wanted(false),
        ),
    ] {
        let mut expected = v1::RunRequest::from(&request);
        expected.wanted = Some(wanted);
        Materializer::materialize(&client, request).await.unwrap();
        assert_eq!(asked.lock().unwrap().pop(), Some(expected));
    }
    // Any time will do.
    let request = client.materialize(target).deadline(Duration::MAX);
    request.await.unwrap();
    let request = client
        .materialize(target)
        .request_id("mine")
        .deadline(Duration::from_secs(20));
    request.await.unwrap();
    let sent = asked.lock().unwrap().pop().unwrap();
    assert_eq!(
        (sent.request_id.as_deref(), sent.deadline.unwrap().seconds),
        (Some("mine"), 20)
    );
    let seen = served.seen.lock().unwrap();
    let (_, metadata) = seen.last().unwrap();
    assert_eq!(
        metadata.get("grpc-timeout").unwrap(),
        "21000000u",
        "a little more than the deadline"
    );
}

#[tokio::test]
async fn a_result_is_whole_or_none() {
    let made = Blob::new("made");
    let none = v1::TargetResult { result: None };
    let without_summary = vec![part(vec![stat(&made), stat(&made)], false)];
    for (what, responses) in [
        ("nothing", vec![]),
        ("no summary", without_summary),
        ("too few", vec![part(vec![stat(&made)], true)]),
        ("too many", vec![part(vec![stat(&made); 3], true)]),
        ("too many at once", vec![part(vec![stat(&made); 3], false)]),
        ("an empty one", vec![part(vec![stat(&made), none], true)]),
        (
            "another after the last",
            vec![part(vec![stat(&made); 2], true), part(vec![], true)],
        ),
    ] {
        let served = answering(responses).serve().await;
        let client = served.client().await;
        let request = Request::new([addr("a"), addr("b")]);
        let error = Materializer::materialize(&client, request)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{what}: {error:#}");
        assert_eq!(error.operation(), Some("materialize"));
        assert_eq!(served.calls("run"), 1, "{what}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_is_made_again_and_its_observers_are_told_of_the_new_plan() {
    let made = Blob::new("made");
    let calls = counting();
    let run = all(move |_| {
        let planned = Event::Planned {
            compute: 2 - calls().min(1) as u64,
            reused: 0,
        };
        match planned {
            Event::Planned { compute: 2, .. } => vec![event(&planned), Err(away())],
            _ => vec![event(&planned), part(vec![stat(&made)], true)],
        }
    });
    let served = fake(run).serve().await;
    let client = served.client().await;
    let (request, heard) = observed([addr("a")]);
    Materializer::materialize(&client, request).await.unwrap();
    let heard = heard.lock().unwrap();
    let plans: Vec<u64> = heard
        .iter()
        .filter_map(|event| match event {
            Event::Planned { compute, .. } => Some(*compute),
            _ => None,
        })
        .collect();
    assert_eq!((plans, served.calls("run")), (vec![2, 1], 2));
}

#[tokio::test]
async fn attempts_of_a_request_are_bounded_whatever_it_told() {
    let run = all(|_| vec![event(&Event::Skipped { addr: addr("x") }), Err(away())]);
    let served = fake(run).serve().await;
    let client = served.builder().attempts(3).connect().await.unwrap();
    let error = Materializer::materialize(&client, observed([addr("a")]).0)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), served.calls("run")),
        (ErrorKind::Unavailable, 3)
    );
}

#[tokio::test]
async fn an_error_of_a_request_is_what_an_embedded_deriva_says() {
    let said = Error::new(ErrorKind::NotFound, "blobs are missing")
        .with("missing", addr("m"))
        .hint("put them")
        .along(vec![addr("a"), addr("m")]);
    let status = status_of(&said);
    let served = answering(vec![Err(status)]).serve().await;
    let client = served.client().await;
    let error = client.get(addr("a")).await.unwrap_err();
    assert_eq!(format!("{error:#}"), format!("{said:#}"));
    assert_eq!(error.path(), said.path());
}

#[tokio::test]
async fn a_deadline_counts_over_all_attempts_and_where_nothing_is_answered() {
    let silent = fake(never()).serve().await;
    let broken = answering(vec![Err(away())]).serve().await;
    for served in [&silent, &broken] {
        let builder = served.builder().attempts(1000);
        let client = builder.connect().await.unwrap();
        let request = client
            .materialize(addr("a"))
            .deadline(Duration::from_millis(50));
        let error = request.request_id("mine").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
        assert_eq!(error.context("deadline"), Some("50ms"), "{error:#}");
        assert_eq!(error.context("request"), Some("mine"));
    }
}

#[tokio::test]
async fn an_observer_that_panics_ends_its_request() {
    let responses = vec![
        event(&Event::Skipped { addr: addr("x") }),
        part(vec![], true),
    ];
    let served = answering(responses).serve().await;
    let client = served.client().await;
    let request = Request::new([]).progress(|_| panic!("on purpose"));
    let error = Materializer::materialize(&client, request)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(
        Materializer::materialize(&client, Request::new([]))
            .await
            .is_ok()
    );
}
