//! What is under way, and what went wrong lately: requests are told apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva::events::{Observer, Summary};
use deriva::metrics::Activity;
use deriva::prelude::*;
use tokio::sync::Notify;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

fn shout(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    match inputs[0].as_ref() {
        b"bad" => Err(Error::new(ErrorKind::Function, "a bad word")),
        word => Ok(word.to_ascii_uppercase().into()),
    }
}

async fn observed(observer: Arc<dyn Observer>) -> Deriva {
    let builder = Deriva::builder().store("memory:").observer(observer);
    builder.function("shout", "1", shout).build().await.unwrap()
}

async fn recipe(deriva: &Deriva, word: &'static str) -> CAddr {
    let leaf = deriva.put(word).await.unwrap();
    let recipe = deriva.recipe("shout", "1").input(leaf);
    recipe.insert().await.unwrap()
}

/// Writes down what it hears of each request, by what was asked for.
#[derive(Clone, Default)]
struct Apart(Arc<Mutex<HashMap<CAddr, Vec<String>>>>);

/// One request.
struct One(Apart, CAddr);

impl One {
    fn write(&self, line: impl Into<String>) {
        let mut heard = self.0.0.lock().unwrap();
        heard.entry(self.1).or_default().push(line.into());
    }
}

impl Observer for Apart {
    fn wants_events(&self) -> bool {
        false
    }

    fn of_request(&self, addresses: &[CAddr]) -> Option<Arc<dyn Observer>> {
        Some(Arc::new(One(self.clone(), addresses[0])))
    }
}

impl Observer for One {
    fn request_began(&self, _: usize) {
        self.write("never told");
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Computed { addr, .. } => self.write(format!("computed {addr}")),
            Event::Failed { addr, .. } => self.write(format!("failed {addr}")),
            _ => {}
        }
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>, _: Duration) {
        self.write(match ended {
            Ok(summary) => format!("ended {}", summary.computed),
            Err(error) => format!("ended {:?}", error.kind()),
        });
    }
}

#[tokio::test]
async fn an_instances_observer_can_tell_apart_requests_that_run_beside_each_other() {
    let apart = Apart::default();
    let deriva = observed(Arc::new(apart.clone())).await;
    let (good, bad) = (recipe(&deriva, "good").await, recipe(&deriva, "bad").await);
    let unasked = recipe(&deriva, "unasked").await;
    let (first, second) = tokio::join!(deriva.get(good), deriva.get(bad));
    assert!(first.is_ok() && second.is_err());
    drop(deriva.materialize(unasked));
    let heard = apart.0.lock().unwrap();
    assert_eq!(heard[&good], [format!("computed {good}"), "ended 1".into()]);
    assert_eq!(
        heard[&bad],
        [format!("failed {bad}"), "ended Function".into()]
    );
    assert_eq!(heard.len(), 2, "what never began is not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_what_is_under_way_and_what_went_wrong() {
    let activity = Arc::new(Activity::new(Arc::new(SystemClock::new())));
    let (started, wait) = (Arc::new(Notify::new()), std::sync::mpsc::channel::<()>());
    let (begun, held) = (Arc::clone(&started), Mutex::new(wait.1));
    let deriva = Deriva::builder()
        .store("memory:")
        .observer(activity.clone())
        .function("shout", "1", shout)
        .function("wait", "1", move |_, _| {
            begun.notify_one();
            // Until the sender is gone.
            held.lock().unwrap().recv().ok();
            Ok(Bytes::new())
        });
    let deriva = deriva.build().await.unwrap();
    let (good, bad) = (recipe(&deriva, "good").await, recipe(&deriva, "bad").await);
    deriva.get(good).await.unwrap();
    deriva.materialize(good).await.unwrap();
    deriva.get(bad).await.unwrap_err();
    let slow = deriva.recipe("wait", "1").insert().await.unwrap();
    let (handle, request) = (deriva.clone(), deriva.materialize(slow));
    let task = tokio::spawn(async move { request.await });
    tokio::time::timeout(LONG, started.notified())
        .await
        .unwrap();

    let report = activity.report(&handle);
    assert_eq!((report.active, report.requests.len()), (1, 1));
    let request = &report.requests[0];
    assert_eq!(request.addresses, [slow.short()]);
    assert_eq!((request.asked, request.planned, request.done), (1, 1, 0));
    assert_eq!(request.phase, "computing");
    assert!(request.began_millis <= report.now_millis);
    assert_eq!(report.reused, 1, "the one that was asked for again");
    assert_eq!((report.incidents.len(), report.incidents_total), (1, 1));
    let incident = &report.incidents[0];
    assert_eq!((&*incident.what, &*incident.kind), ("error", "function"));
    assert_eq!(incident.addr, Some(bad.short()));
    assert_eq!(incident.function.as_deref(), Some("shout/1"));
    assert_eq!(incident.message, "a bad word");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<deriva::metrics::ActivityReport>(&text).unwrap(),
        report
    );

    drop(wait.0);
    task.await.unwrap().unwrap();
    let report = activity.report(&handle);
    assert_eq!((report.active, report.requests.len()), (0, 0));
}
