//! Cases for what a request says beside its addresses, and hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deriva_api::{
    Blob, CAddr, Cutoff, ErrorKind, Event, Reason, Result, Reuse, StoreResults, Summary,
};
use parking_lot::Mutex;

use super::materializer_support::{Calls, Works, ask_for, concat, failing, stats};
use super::support::{blobs_listed, kind};
use crate::{Materialized, Materializer, Request};

/// What a request told, in order.
struct Told {
    heard: Arc<Mutex<Vec<Event>>>,
    /// How much that was when it was answered.
    at_the_answer: usize,
}

impl Told {
    /// Makes the request, and hears it; fails where it tells several things at once.
    async fn hear(
        materializer: &Arc<dyn Materializer>,
        request: Request,
    ) -> Result<(Self, Materialized)> {
        let (heard, busy) = (Arc::new(Mutex::new(Vec::new())), AtomicBool::new(false));
        let all = heard.clone();
        let request = request.progress(move |event: &Event| {
            assert!(!busy.swap(true, Ordering::SeqCst), "two events at once");
            all.lock().push(event.clone());
            busy.store(false, Ordering::SeqCst);
        });
        let done = materializer.materialize(request).await?;
        let at_the_answer = heard.lock().len();
        Ok((
            Self {
                heard,
                at_the_answer,
            },
            done,
        ))
    }

    fn events(&self) -> Vec<Event> {
        self.heard.lock().clone()
    }

    /// Where this event is, of those that tell of an address; it is there once.
    fn place(&self, addr: CAddr, is: impl Fn(&Event) -> bool) -> usize {
        let events = self.events();
        let places: Vec<usize> = (0..events.len())
            .filter(|at| about(&events[*at]) == Some(addr) && is(&events[*at]))
            .collect();
        assert_eq!(places.len(), 1, "of {addr}: {events:#?}");
        places[0]
    }

    /// Where it is told how a recipe ended.
    fn end(&self, addr: CAddr) -> usize {
        self.place(addr, is_end)
    }
}

fn about(event: &Event) -> Option<CAddr> {
    match event {
        Event::Started { addr, .. }
        | Event::Computed { addr, .. }
        | Event::Reused { addr, .. }
        | Event::Healed { addr }
        | Event::Failed { addr, .. }
        | Event::Skipped { addr } => Some(*addr),
        _ => None,
    }
}

fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Computed { .. }
            | Event::Reused { .. }
            | Event::Failed { .. }
            | Event::Skipped { .. }
    )
}

fn is_start(event: &Event) -> bool {
    matches!(event, Event::Started { .. })
}

/// Progress does not go back, and all that was planned is done where it ends; nothing ends later. What is told agrees
/// with the summary.
fn check_counts(told: &Told, done: &Materialized) {
    let events = told.events();
    let summary = &done.summary;
    let (mut counted, mut plans) = (Summary::default(), 0);
    (counted.planned, counted.seconds) = (summary.planned, summary.seconds);
    let (mut last, mut ended_since) = ((0, 0), false);
    for event in &events {
        ended_since |= is_end(event);
        match event {
            Event::Planned { .. } => plans += 1,
            Event::Computed { output, .. } => {
                counted.computed += 1;
                counted.bytes += output.len;
            }
            Event::Reused { how, .. } => counted.count(*how),
            Event::Healed { .. } => counted.healed += 1,
            Event::Failed { .. } => counted.failed += 1,
            Event::Skipped { .. } => counted.skipped += 1,
            Event::Progress {
                done,
                planned,
                bytes,
                ..
            } => {
                assert!(
                    *done >= last.0 && *bytes >= last.1,
                    "it goes back: {events:#?}"
                );
                assert!(
                    done <= planned,
                    "more is done than was planned: {events:#?}"
                );
                (last, ended_since) = ((*done, *bytes), false);
            }
            _ => {}
        }
    }
    assert_eq!(counted, *summary, "{events:#?}");
    assert_eq!(plans, 1, "{events:#?}");
    let plan = (summary.planned, summary.reused);
    let first = matches!(events.first(), Some(Event::Planned { compute, reused }) if (*compute, *reused) == plan);
    assert!(first, "it does not begin with its plan: {events:#?}");
    let ends = !ended_since && last == (summary.planned, summary.bytes);
    assert!(ends, "it does not end with all that is done: {events:#?}");
}

crate::case::cases! { $ each_materializer_options_case, Materializer, Core:
    /// E18: a request for which nothing is to be stored stores nothing, and has the bytes in hand; what is asked for again
    /// is computed again.
    async fn nothing_is_stored_where_that_is_asked_for(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([calls.concat("count/1")?])).await?;
        let leaf = works.leaf("a").await?;
        let below = works.recipe("count/1", &[leaf, leaf]).await?;
        let light = works.recipe("light/1", &[below, leaf]).await?;
        let top = works.recipe("count/1", &[light, below]).await?;
        let expected = ["aaaaa", "a", "aa", "aaa"].map(Blob::new);
        let request = || ask_for(&[top, leaf, below, light]).store_results(StoreResults::None);
        for time in 1..3 {
            let done = works.materializer.materialize(request()).await?;
            assert_eq!((done.summary.computed, calls.count()), (3, 2 * time));
            for (held, expected) in done.held.iter().zip(&expected) {
                let is_leaf = expected.addr() == leaf;
                assert!(held.as_ref() == Some(expected) || (is_leaf && held.is_none()), "{held:?}");
            }
            assert_eq!(stats(done)?, expected.each_ref().map(Blob::stat));
            assert_eq!(works.recorded(&[below, light, top]).await?, 0);
            assert_eq!(blobs_listed(&*works.blobs).await?, [expected[1].stat()]);
        }
        // What is stored already is read, and nothing is taken away.
        works.materialize(&[below]).await?;
        let done = works.materializer.materialize(request()).await?;
        assert_eq!((done.summary.computed, done.summary.reused, calls.count()), (2, 1, 6));
        assert_eq!(works.recorded(&[below, light, top]).await?, 1);
        // Where nothing is said, all of it is.
        let done = works.materialize(&[top]).await?;
        assert_eq!(done.summary.computed, 2);
        assert_eq!(works.recorded(&[below, light, top]).await?, 3);
        assert_eq!(works.again().await?.get(top).await?, "aaaaa");
        Ok(())
    }

    /// E7: a request for no steps at once is `Invalid`, and runs nothing.
    async fn a_request_for_no_steps_is_invalid(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let top = works.recipe("count/1", &[works.leaf("leaf").await?]).await?;
        let refused = works.materializer.materialize(ask_for(&[top]).jobs(0)).await;
        assert_eq!(kind(refused), Some(ErrorKind::Invalid));
        assert_eq!(calls.count(), 0);
        works.materializer.materialize(ask_for(&[top]).jobs(1)).await?;
        assert_eq!(calls.count(), 1);
        Ok(())
    }

    /// E19: a request tells what happens in order, one event after the other: the plan first; that a heavy step began,
    /// before it ended; how each recipe ended, once, and after what it needs; and at last that all that was planned is
    /// done. Each agrees with the summary, and nothing is told after the answer.
    async fn events_are_told_in_order(trial) {
        let works = Works::open(trial, concat()?.into_iter().chain(failing()?)).await?;
        let leaf = works.leaf("leaf").await?;
        let known = works.recipe("concat/1", &[leaf]).await?;
        works.materialize(&[known]).await?;
        let light = works.recipe("light/1", &[known, leaf]).await?;
        let heavy = works.recipe("concat/1", &[light, known]).await?;
        let bad = works.recipe("fail/1", &[light]).await?;
        let above = works.recipe("concat/1", &[bad, heavy]).await?;
        let upper = works.recipe("light/1", &[above, above]).await?;
        let top = works.recipe("concat/1", &[heavy, heavy]).await?;
        let (told, done) = Told::hear(&works.materializer, ask_for(&[upper, top, known]).cutoff(Cutoff::Always).keep_going()).await?;
        check_counts(&told, &done);
        let summary = &done.summary;
        assert_eq!((summary.planned, summary.computed, summary.failed, summary.skipped), (6, 3, 1, 2));
        for (later, needs) in [(heavy, light), (bad, light), (above, bad), (upper, above), (top, heavy)] {
            assert!(told.end(needs) < told.end(later), "{:#?}", told.events());
        }
        for addr in [heavy, bad, top] {
            assert!(told.place(addr, is_start) < told.end(addr), "{:#?}", told.events());
        }
        let events = told.events();
        let outputs = works.dag.outputs(&[light, heavy, top, known]).await?;
        for (addr, output) in [light, heavy, top, known].into_iter().zip(outputs) {
            let found = match &events[told.end(addr)] {
                Event::Computed { output, reason: Reason::New, .. } if addr != known => Some(*output),
                Event::Reused { output, how: Reuse::Recorded, .. } if addr == known => Some(*output),
                _ => None,
            };
            assert_eq!(found, output, "{events:#?}");
        }
        assert!(matches!(&events[told.end(bad)], Event::Failed { error, .. } if error.path().last() == Some(&bad)));

        // What is known, lost or found under another name.
        let (nothing, done) = Told::hear(&works.materializer, ask_for(&[top, leaf])).await?;
        check_counts(&nothing, &done);
        assert_eq!((done.summary.planned, done.summary.reused), (0, 1));
        works.lose(&[top]).await?;
        let (lost, done) = Told::hear(&works.again().await?, ask_for(&[top])).await?;
        check_counts(&lost, &done);
        let healed = lost.place(top, |event| matches!(event, Event::Healed { .. }));
        let events = lost.events();
        assert!(healed > lost.place(top, is_start) && done.summary.healed == 1, "{events:#?}");
        assert!(matches!(&events[lost.end(top)], Event::Computed { reason: Reason::Lost, .. }), "{events:#?}");
        let other = works.recipe("concat/1", &[works.leaf("leafleafleaf").await?, heavy]).await?;
        let (other, done) = Told::hear(&works.materializer, ask_for(&[other]).cutoff(Cutoff::Always)).await?;
        check_counts(&other, &done);
        assert_eq!((done.summary.planned, done.summary.cutoff), (1, 1));
        for told in [told, nothing, lost, other] {
            assert_eq!(told.events().len(), told.at_the_answer, "told after the answer");
        }
        Ok(())
    }
}
