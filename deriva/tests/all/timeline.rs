//! A timeline as a viewer reads it: parsed by the field names of the Trace Event Format, and by nothing of
//! deriva's own.

use std::collections::{BTreeMap, BTreeSet};

use deriva::events::Timeline;
use deriva::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The object form. Unknown fields are refused, so that none is misspelt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: String,
    other_data: Map<String, Json>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    name: String,
    cat: String,
    ph: String,
    pid: u32,
    tid: u32,
    /// Microseconds.
    ts: f64,
    dur: Option<f64>,
    id: Option<u32>,
    bp: Option<String>,
    cname: Option<String>,
    #[serde(default)]
    args: Map<String, Json>,
}

impl Trace {
    fn read(timeline: &Timeline) -> Self {
        let mut bytes = Vec::new();
        timeline.write(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn of(&self, ph: &str) -> Vec<&Event> {
        self.trace_events
            .iter()
            .filter(|event| event.ph == ph)
            .collect()
    }

    fn slices(&self, cat: &str) -> Vec<&Event> {
        self.of("X")
            .into_iter()
            .filter(|event| event.cat == cat)
            .collect()
    }

    fn slice(&self, id: &Json) -> &Event {
        let found = self
            .of("X")
            .into_iter()
            .find(|event| event.args["slice"] == *id);
        found.unwrap()
    }

    /// What any viewer relies on.
    fn check(&self) {
        assert_eq!(self.display_time_unit, "ms");
        let slices = self.of("X");
        let named: BTreeSet<u32> = self
            .of("M")
            .iter()
            .filter(|event| event.name == "thread_name")
            .map(|event| event.tid)
            .collect();
        let mut lanes: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
        for slice in &slices {
            assert!(!slice.name.is_empty() && slice.pid == 1, "{slice:?}");
            assert!(
                named.contains(&slice.tid),
                "a lane without a name: {slice:?}"
            );
            let dur = slice.dur.unwrap();
            assert!(slice.ts >= 0.0 && dur >= 0.0, "{slice:?}");
            lanes
                .entry(slice.tid)
                .or_default()
                .push((slice.ts, slice.ts + dur));
        }
        for (lane, mut spans) in lanes {
            spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            for pair in spans.windows(2) {
                assert!(
                    pair[1].0 >= pair[0].1 - 1e-6,
                    "lane {lane} overlaps: {pair:?}"
                );
            }
        }
        let (starts, ends) = (self.of("s"), self.of("f"));
        let ids = |events: &[&Event]| -> BTreeSet<u32> {
            events.iter().map(|event| event.id.unwrap()).collect()
        };
        assert_eq!(ids(&starts), ids(&ends));
        assert_eq!(
            (starts.len(), ends.len()),
            (ids(&starts).len(), ids(&ends).len())
        );
        for (start, end) in starts.iter().zip(&ends) {
            assert!(
                start.ts <= end.ts,
                "an arrow back in time: {start:?} {end:?}"
            );
            assert_eq!(
                (start.name.as_str(), start.cat.as_str()),
                (&*end.name, &*end.cat)
            );
            assert_eq!(end.bp.as_deref(), Some("e"));
            for arrow in [start, end] {
                let around = |slice: &&&Event| {
                    slice.tid == arrow.tid
                        && slice.ts <= arrow.ts
                        && arrow.ts <= slice.ts + slice.dur.unwrap()
                };
                assert!(
                    slices.iter().any(|slice| around(&slice)),
                    "in no slice: {arrow:?}"
                );
            }
        }
        for event in &self.trace_events {
            assert!(
                ["X", "M", "s", "f"].contains(&event.ph.as_str()),
                "{event:?}"
            );
        }
    }
}

async fn builder() -> Deriva {
    let builder = Deriva::builder().store("memory:").jobs(3);
    let builder = builder.function("heavy", "1", |inputs, _| Ok(inputs.concat().into()));
    let builder = builder.function("fails", "1", |_, _| {
        Err(Error::new(ErrorKind::Function, "on purpose"))
    });
    builder.build().await.unwrap()
}

async fn over(deriva: &Deriva, function: &str, inputs: &[CAddr]) -> CAddr {
    let recipe = deriva.recipe(function, "1").inputs(inputs.iter().copied());
    recipe.insert().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_chunks_commits_and_plans_are_slices_and_waits_are_arrows() {
    let deriva = builder().await;
    let mut light = Vec::new();
    for i in 0..1000 {
        let leaf = deriva.put(format!("leaf {i}")).await.unwrap();
        light.push(over(&deriva, "text.upper", &[leaf]).await);
    }
    let mut heavy = Vec::new();
    for inputs in light.chunks(100) {
        heavy.push(over(&deriva, "heavy", inputs).await);
    }
    let top = over(&deriva, "heavy", &heavy).await;
    let timeline = Timeline::new();
    deriva
        .materialize(top)
        .timeline(timeline.clone())
        .await
        .unwrap();

    let trace = Trace::read(&timeline);
    trace.check();
    let sum = |cat: &str, arg: &str| -> u64 {
        trace
            .slices(cat)
            .iter()
            .map(|slice| slice.args[arg].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum("light", "steps"), 1000);
    assert_eq!(trace.slices("step").len(), 11);
    assert_eq!(sum("commit", "records"), 1011);
    assert_eq!(
        (trace.slices("plan").len(), sum("plan", "computes")),
        (1, 1011)
    );
    assert!(
        trace
            .slices("light")
            .iter()
            .all(|slice| slice.name == "text.upper")
    );
    // Every heavy step waited for something, and nothing began before what it waited for was over.
    let steps = trace.slices("step");
    for step in &steps {
        let before = trace.slice(&step.args["waited_for_slice"]);
        assert!(
            before.ts + before.dur.unwrap() <= step.ts + 1e-6,
            "{before:?} {step:?}"
        );
        assert_eq!(step.args["reason"], "new");
    }
    assert_eq!(trace.of("s").len(), 11);
    let last = steps
        .iter()
        .find(|step| step.args["addr"] == top.to_string())
        .unwrap();
    assert_eq!(trace.slice(&last.args["waited_for_slice"]).cat, "step");
    assert_eq!(trace.other_data["dropped_slices"], 0);
}

#[tokio::test]
async fn the_critical_path_is_the_chain_of_what_was_waited_for() {
    let deriva = builder().await;
    let leaf = deriva.put("x").await.unwrap();
    let first = over(&deriva, "heavy", &[leaf, leaf]).await;
    let second = over(&deriva, "text.upper", &[first]).await;
    let third = over(&deriva, "heavy", &[second, leaf]).await;
    // Nobody waits for this one, and it ends first: the others form a chain of three.
    let beside = over(&deriva, "text.lower", &[leaf]).await;
    let timeline = Timeline::new();
    let request = deriva.materialize_many([third, beside]);
    request.timeline(timeline.clone()).await.unwrap();

    let trace = Trace::read(&timeline);
    trace.check();
    let mut critical: Vec<&Event> = trace.of("X");
    critical.retain(|slice| slice.args.get("critical") == Some(&Json::Bool(true)));
    critical.sort_by(|a, b| a.ts.total_cmp(&b.ts));
    let names: Vec<&str> = critical.iter().map(|slice| slice.name.as_str()).collect();
    assert_eq!(names, ["heavy", "text.upper", "heavy"]);
    for pair in critical.windows(2) {
        assert_eq!(pair[1].args["waited_for_slice"], pair[0].args["slice"]);
    }
    let coloured = trace
        .of("X")
        .into_iter()
        .filter(|slice| slice.cname.is_some())
        .count();
    assert_eq!(coloured, 3);
}

#[tokio::test]
async fn a_failed_request_has_a_timeline_too_and_a_small_one_counts_what_it_dropped() {
    let deriva = builder().await;
    let leaf = deriva.put("x").await.unwrap();
    let first = over(&deriva, "heavy", &[leaf]).await;
    let fails = over(&deriva, "fails", &[first]).await;
    let timeline = Timeline::new();
    let request = deriva.materialize(fails).timeline(timeline.clone());
    request.await.unwrap_err();
    let trace = Trace::read(&timeline);
    trace.check();
    assert_eq!(trace.slices("step").len(), 2);

    let small = Timeline::with_limit(1);
    let again = over(&deriva, "heavy", &[first, first]).await;
    deriva
        .materialize(again)
        .timeline(small.clone())
        .await
        .unwrap();
    let trace = Trace::read(&small);
    trace.check();
    assert_eq!(trace.of("X").len(), 1);
    assert_eq!(trace.other_data["dropped_slices"], small.dropped());
    assert!(small.dropped() >= 2, "the step and its commit");
}
