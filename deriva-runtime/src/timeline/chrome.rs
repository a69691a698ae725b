//! The Trace Event Format, as Chrome and Perfetto read it.
//!
//! Complete events (`X`) are slices, metadata (`M`) names the lanes, and a pair of flow events (`s`, `f`)
//! is the arrow from a slice to the one that waited for it. Times are microseconds with a fraction.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Group, Recorded, Slice, SliceId, Work};

/// All slices belong to one process.
const PROCESS: u32 = 1;
/// Lanes of one group, at the most, before the next group's numbers.
const LANES: u32 = 100_000;
/// A colour of the format that stands out.
const CRITICAL: &str = "terrible";

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    cat: &'static str,
    ph: &'static str,
    pid: u32,
    tid: u32,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    /// The arrow ends at the slice around it, not at the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cname: Option<&'static str>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

pub(super) fn write(recorded: &Recorded, to: impl Write) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    to.write_all(br#"{"displayTimeUnit":"ms","traceEvents":["#)?;
    serde_json::to_writer(
        &mut to,
        &named("process_name", 0, json!({ "name": "deriva" })),
    )?;
    for (group, lanes) in &recorded.lanes {
        for lane in 0..lanes.0.len() as u32 {
            let name = format!("{} {lane}", group.name());
            let tid = tid(*group, lane);
            for event in [
                named("thread_name", tid, json!({ "name": name })),
                named("thread_sort_index", tid, json!({ "sort_index": tid })),
            ] {
                to.write_all(b",\n")?;
                serde_json::to_writer(&mut to, &event)?;
            }
        }
    }
    let whole = recorded.slices.iter().filter_map(Slice::span);
    let origin = whole.map(|(_, began, _)| began).min().unwrap_or_default();
    let critical = critical(recorded);
    for (id, slice) in (0..).zip(&recorded.slices) {
        let Some(event) = complete(recorded, id, slice, origin, critical.contains(&id)) else {
            continue;
        };
        to.write_all(b",\n")?;
        serde_json::to_writer(&mut to, &event)?;
        for event in arrow(recorded, id, slice, origin).into_iter().flatten() {
            to.write_all(b",\n")?;
            serde_json::to_writer(&mut to, &event)?;
        }
    }
    let other = json!({ "slices": recorded.slices.len(), "dropped_slices": recorded.dropped });
    writeln!(to, "],\"otherData\":{other}}}")?;
    to.flush()
}

/// Back from the computation that ended last, to what each one waited for.
fn critical(recorded: &Recorded) -> BTreeSet<SliceId> {
    let computed = (0..)
        .zip(&recorded.slices)
        .filter(|(_, slice)| slice.work.computes());
    let ended = computed.filter_map(|(id, slice): (SliceId, _)| Some((slice.span()?.2, id)));
    let mut next = ended.max().map(|(_, id)| id);
    let mut critical = BTreeSet::new();
    while let Some(id) = next.filter(|id| critical.insert(*id)) {
        next = recorded.slices[id as usize].after;
    }
    critical
}

fn complete<'a>(
    recorded: &'a Recorded,
    id: SliceId,
    slice: &'a Slice,
    origin: Duration,
    critical: bool,
) -> Option<Event<'a>> {
    let (lane, began, ended) = slice.span()?;
    let mut args = match &slice.work {
        Work::Plan { computes } => json!({ "computes": computes }),
        Work::Heavy { addr, reason, .. } => json!({ "addr": addr, "reason": reason }),
        Work::Light { steps, .. } => json!({ "steps": steps }),
        Work::Commit { records } => json!({ "records": records }),
    };
    args["slice"] = id.into();
    if critical {
        args["critical"] = true.into();
    }
    if let Some(after) = slice.after
        && let Some((_, _, ready)) = recorded.slices[after as usize].span()
    {
        args["waited_for_slice"] = after.into();
        args["ready_us_before"] = micros(began.saturating_sub(ready)).into();
    }
    Some(Event {
        name: slice.work.name(),
        cat: slice.work.group().name(),
        ph: "X",
        pid: PROCESS,
        tid: tid(slice.work.group(), lane),
        ts: micros(began.saturating_sub(origin)),
        dur: Some(micros(ended.saturating_sub(began))),
        id: None,
        bp: None,
        cname: critical.then_some(CRITICAL),
        args,
    })
}

/// From the slice that was waited for to this one.
fn arrow(
    recorded: &Recorded,
    id: SliceId,
    slice: &Slice,
    origin: Duration,
) -> Option<[Event<'static>; 2]> {
    let from = &recorded.slices[slice.after? as usize];
    let (from_lane, from_began, from_ended) = from.span()?;
    let (lane, began, _) = slice.span()?;
    // An arrow belongs to the slice around its end, which does not include the slice's own end.
    let inside = from_ended
        .saturating_sub(Duration::from_nanos(1))
        .max(from_began);
    let end = |ph, bp, tid, at: Duration| Event {
        name: "waited for",
        cat: "wait",
        ph,
        pid: PROCESS,
        tid,
        ts: micros(at.saturating_sub(origin)),
        dur: None,
        id: Some(id),
        bp,
        cname: None,
        args: Value::Null,
    };
    Some([
        end("s", None, tid(from.work.group(), from_lane), inside),
        end("f", Some("e"), tid(slice.work.group(), lane), began),
    ])
}

fn named(name: &'static str, tid: u32, args: Value) -> Event<'static> {
    Event {
        name,
        cat: "__metadata",
        ph: "M",
        pid: PROCESS,
        tid,
        ts: 0.0,
        dur: None,
        id: None,
        bp: None,
        cname: None,
        args,
    }
}

fn tid(group: Group, lane: u32) -> u32 {
    1 + group as u32 * LANES + lane.min(LANES - 1)
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Light => "light",
            Self::Heavy => "step",
            Self::Commit => "commit",
        }
    }
}

impl Work {
    fn name(&self) -> &str {
        match self {
            Self::Plan { .. } => "plan",
            Self::Commit { .. } => "commit",
            Self::Heavy { function, .. } => function.name(),
            Self::Light { function, .. } => function.as_ref().map_or("several", |id| id.name()),
        }
    }

    fn computes(&self) -> bool {
        matches!(self, Self::Heavy { .. } | Self::Light { .. })
    }
}

impl Slice {
    /// Lane, beginning and end; `None` for what never ran to an end.
    fn span(&self) -> Option<(u32, Duration, Duration)> {
        let (lane, began) = self.began?;
        Some((lane, began, self.ended?))
    }
}
