//! What a request tells to `tracing`.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva::prelude::*;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the name and fields of every span and event of deriva, as text.
#[derive(Clone, Default)]
struct Kept {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

impl Kept {
    fn line(&self, name: &str, visit: impl FnOnce(&mut Fields)) {
        let mut fields = Fields(name.to_owned());
        visit(&mut fields);
        self.lines.lock().push(fields.0);
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("deriva")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.line(span.metadata().name(), |fields| span.record(fields));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        self.line("record", |fields| values.record(fields));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.line("event", |fields| event.record(fields));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_request_is_a_span_with_counts_and_heavy_steps_are_events_in_it() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("heavy", "1", |inputs, _| Ok(inputs.concat().into()))
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let light = deriva.recipe("text.upper", "1").input(leaf);
    let light = light.insert().await.unwrap();
    let heavy = deriva.recipe("heavy", "1").input(light).input(leaf);
    let heavy = heavy.insert().await.unwrap();
    let kept = Kept::default();
    let subscribed = tracing::subscriber::set_default(kept.clone());
    deriva.materialize(heavy).await.unwrap();
    deriva.materialize(CAddr::MIN).await.unwrap_err();
    drop(subscribed);

    let lines = kept.lines.lock().join("\n");
    let expected = [
        format!("materialize addr={heavy} targets=1\n"),
        format!("event message=compute addr={heavy} function=heavy/1 reason=new"),
        "record computed=2".to_owned(),
        "record error=not found".to_owned(),
    ];
    for expected in &expected {
        assert!(lines.contains(expected), "{expected:?} is not in:\n{lines}");
    }
    let events = lines
        .lines()
        .filter(|line| line.starts_with("event"))
        .count();
    assert_eq!(events, 1, "a light step is no event:\n{lines}");
}
