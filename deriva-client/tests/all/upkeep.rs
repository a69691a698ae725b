//! Upkeep: calls that take long, and tell how far they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva_api::{
    AuditEvent, Audited, CAddr, CollectEvent, CollectPolicy, Collected, Error, ErrorKind,
    Invalidated, LedgerEntry, Materializer, ScrubCursor, ScrubEvent, Scrubbed, Skipped,
};
use deriva_proto::v1::audit_request::What;
use deriva_proto::v1::{audit_response, collect_response, scrub_response};
use deriva_proto::{status_of, v1};

use crate::fake::{Admin, Fake, all, away, counting, now, wire};

fn fake(admin: Admin) -> Fake {
    Fake {
        admin,
        ..Fake::default()
    }
}

fn addr(text: &str) -> CAddr {
    CAddr::of_blob(text.as_bytes())
}

fn audit(event: &AuditEvent) -> v1::AuditResponse {
    v1::AuditResponse {
        said: Some(audit_response::Said::Event(event.into())),
    }
}

fn audited(count: u64) -> v1::AuditResponse {
    let mut done = Audited::default();
    done.audited = count;
    v1::AuditResponse {
        said: Some(audit_response::Said::Done((&done).into())),
    }
}

#[tokio::test]
async fn an_audit_tells_how_far_it_is_and_what_it_found() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let skipped = AuditEvent::Skipped {
        addr: addr("s"),
        reason: Skipped::Inputs,
    };
    let audits = all(move |request: v1::AuditRequest| {
        notes.lock().unwrap().push(request);
        let unknown = v1::AuditResponse { said: None };
        vec![Ok(audit(&skipped)), Ok(unknown), Ok(audited(5))]
    });
    let served = fake(Admin {
        audit: audits,
        ..Admin::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let request = client
        .audit()
        .root("name")
        .jobs(3)
        .per_second(2.5)
        .dry_run()
        .limit(9);
    let request = request.after(addr("a")).limit_time(Duration::from_secs(4));
    let request = request.progress(move |event| hears.lock().unwrap().push(format!("{event:?}")));
    assert_eq!(request.await.unwrap().audited, 5);
    assert_eq!(heard.lock().unwrap().len(), 1);
    assert_eq!(
        Materializer::audit(&client, addr("r"))
            .await
            .unwrap()
            .audited,
        5
    );
    client
        .audit()
        .function(&"f/1".parse().unwrap())
        .await
        .unwrap();
    client.audit().await.unwrap();
    let asked = asked.lock().unwrap();
    let first = v1::AuditRequest {
        what: Some(What::Root("name".to_owned())),
        per_second: Some(2.5),
        jobs: Some(3),
        after: Some(wire(addr("a"))),
        limit: Some(9),
        limit_time: Some(Duration::from_secs(4).into()),
        dry_run: true,
    };
    assert_eq!(asked[0], first);
    assert_eq!(asked[1].what, Some(What::Addr(wire(addr("r")))));
    assert!(matches!(&asked[2].what, Some(What::Function(id)) if id.name == "f"));
    assert_eq!(asked[3].what, Some(What::All(v1::Null {})));
}

#[tokio::test]
async fn what_breaks_before_anything_came_of_it_is_made_again_and_later_told_with_its_cursor() {
    let calls = counting();
    let progress = AuditEvent::Progress {
        outputs: 10,
        audited: 9,
        violated: 0,
        cursor: addr("so far"),
    };
    let audits = all(move |_| match calls() {
        0 | 1 => vec![Err(away())],
        2 => vec![Ok(audited(1))],
        _ => vec![Ok(audit(&progress)), Err(away())],
    });
    let served = fake(Admin {
        audit: audits,
        ..Admin::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    assert_eq!(client.audit().await.unwrap().audited, 1);
    let error = client.audit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("cursor"), Some(&*addr("so far").to_string()));
    assert_eq!(served.calls("audit"), 4);
}

#[tokio::test]
async fn a_scrub_goes_on_from_a_cursor() {
    let cursor = ScrubCursor::Blobs(Some(addr("b")));
    let scrub = all(move |asked: v1::ScrubRequest| {
        let progress = ScrubEvent::Progress {
            recipes: 1,
            blobs: 2,
            bytes: 3,
            cursor,
        };
        let event = v1::ScrubResponse {
            said: Some(scrub_response::Said::Event((&progress).into())),
        };
        if asked.cursor().unwrap() != cursor {
            return vec![Ok(event), Err(away())];
        }
        assert_eq!(
            (asked.bytes_per_second, asked.limit_bytes),
            (Some(7), Some(8))
        );
        assert_eq!(asked.limit_time.unwrap().seconds, 9);
        let mut done = Scrubbed::default();
        done.blobs = 2;
        let done = v1::ScrubResponse {
            said: Some(scrub_response::Said::Done((&done).into())),
        };
        vec![Ok(event), Ok(done)]
    });
    let served = fake(Admin {
        scrub,
        ..Admin::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let heard = Arc::new(Mutex::new(0));
    let hears = Arc::clone(&heard);
    let error = client
        .scrub()
        .progress(move |_| *hears.lock().unwrap() += 1)
        .await
        .unwrap_err();
    let told: ScrubCursor = error.context("cursor").unwrap().parse().unwrap();
    assert_eq!((told, *heard.lock().unwrap()), (cursor, 1));
    let rest = client
        .scrub()
        .after(told)
        .bytes_per_second(7)
        .limit_bytes(8);
    let rest = rest.limit_time(Duration::from_secs(9));
    assert_eq!(rest.await.unwrap().blobs, 2);
}

#[tokio::test]
async fn a_collection_takes_what_it_is_asked_to_take() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let collect = all(move |request: v1::CollectRequest| {
        notes.lock().unwrap().push(request);
        let event = CollectEvent::Living { recipes: 4 };
        let event = v1::CollectResponse {
            said: Some(collect_response::Said::Event((&event).into())),
        };
        let mut done = Collected::default();
        done.blobs = 3;
        let done = v1::CollectResponse {
            said: Some(collect_response::Said::Done((&done).into())),
        };
        vec![Ok(event), Ok(done)]
    });
    let served = fake(Admin {
        collect,
        ..Admin::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let heard = Arc::new(Mutex::new(0));
    let hears = Arc::clone(&heard);
    let policy = CollectPolicy::default().derived_bytes_at_most(5);
    let policy = policy.older_than(Duration::from_secs(6));
    let request = client.collect().dry_run().policy(policy);
    let done = request
        .progress(move |_| *hears.lock().unwrap() += 1)
        .await
        .unwrap();
    assert_eq!((done.blobs, *heard.lock().unwrap()), (3, 1));
    Materializer::collect(&client).await.unwrap();
    let asked = asked.lock().unwrap();
    let first = v1::CollectRequest {
        dry_run: true,
        unreferenced_blobs: false,
        derived_bytes_at_most: Some(5),
        older_than: Some(Duration::from_secs(6).into()),
    };
    assert_eq!(asked[0], first);
    let second = v1::CollectRequest {
        unreferenced_blobs: true,
        ..Default::default()
    };
    assert_eq!(asked[1], second);
}

#[tokio::test]
async fn a_call_that_ends_without_its_last_word_failed() {
    let served = fake(Admin {
        collect: all(|_| vec![]),
        ..Admin::default()
    });
    let served = served.serve().await;
    let client = served.client().await;
    let error = client.collect().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Internal, Some("collect"))
    );
}

#[tokio::test]
async fn forgetting_tells_what_was_forgotten() {
    let invalidate = now(|asked: v1::InvalidateRequest| {
        let mut done = Invalidated::default();
        done.outputs = match asked.what.unwrap() {
            v1::invalidate_request::What::Addr(_) => 1,
            v1::invalidate_request::What::Function(_) => 2,
        };
        done.depth = asked.cascade.into();
        done.dry_run = asked.dry_run;
        let done = (done.outputs < 2 || asked.cascade).then(|| done.into());
        Ok(v1::InvalidateResponse { done })
    });
    let served = fake(Admin {
        invalidate,
        ..Admin::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let done = client.invalidate(addr("r")).dry_run().await.unwrap();
    assert_eq!((done.outputs, done.depth, done.dry_run), (1, 0, true));
    let id = "f/1".parse().unwrap();
    let done = client.invalidate_function(&id).cascade().await.unwrap();
    assert_eq!((done.outputs, done.depth, done.dry_run), (2, 1, false));
    let error = client.invalidate_function(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "nothing was said");
    Materializer::forget(&client, addr("r")).await.unwrap();
}

#[tokio::test]
async fn the_ledger_comes_whole_and_entries_are_released() {
    let calls = counting();
    let none = Error::new(ErrorKind::NotFound, "no such entry");
    let admin = Admin {
        ledger: all(move |_| {
            let entry =
                |name| v1::LedgerEntry::from(&LedgerEntry::damaged(addr(name), false, "torn"));
            let page = |name| v1::LedgerResponse {
                entries: vec![entry(name)],
            };
            match calls() {
                0 => vec![Ok(page("a")), Err(away())],
                _ => vec![Ok(page("a")), Ok(page("b"))],
            }
        }),
        release: now(move |asked: v1::ReleaseRequest| match asked.what.unwrap() {
            v1::release_request::What::Recipe(it) if it == wire(addr("a")) => {
                Ok(v1::ReleaseResponse { released: 1 })
            }
            v1::release_request::What::Recipe(_) => Err(status_of(&none)),
            v1::release_request::What::Function(_) => Ok(v1::ReleaseResponse { released: 7 }),
        }),
        ..Admin::default()
    };
    let served = fake(admin).serve().await;
    let client = served.client().await;
    let entries = Materializer::ledger(&client).await.unwrap();
    let recipes: Vec<CAddr> = entries.iter().map(|entry| entry.recipe).collect();
    assert_eq!(recipes, [addr("a"), addr("b")]);
    assert_eq!(entries[0].damage.as_deref(), Some("torn"));
    client.release(addr("a")).await.unwrap();
    let error = Materializer::release(&client, addr("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        client
            .release_function(&"f/1".parse().unwrap())
            .await
            .unwrap(),
        7
    );
}
