//! What the caller of a request is told while it runs.

use std::sync::Arc;

use deriva::Error;
use deriva::events::{Event, Observer};
use deriva_proto::v1;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::mpsc;

use super::sending::{Outbox, gone};
use crate::budget::{Budget, Charge};

/// Bytes of events of a request that wait for its caller to read, at the most and, whether there is room or not, at the least.
const WAITING: usize = 64 << 20;
const ALWAYS: usize = 64 << 10;
/// Bytes that room is taken for at a time.
const ROOM: usize = 16 << 10;
/// Bytes of an event in memory, beside what it says.
const EVENT: usize = 192;

/// An event that waits, and the bytes that it counts for.
pub(super) type Waits = (v1::RunEvent, usize);

/// Tells a caller what happens. What they have not read yet waits, as far as there is room for it: then they miss some, and are told
/// how many. The work waits for nobody.
pub(super) struct Telling {
    queue: mpsc::UnboundedSender<Waits>,
    wanted: v1::Wanted,
    budget: Budget,
    waiting: Mutex<Waiting>,
}

/// What waits.
#[derive(Default)]
struct Waiting {
    bytes: usize,
    /// The room that was found, of [`ROOM`] bytes each.
    rooms: Vec<Charge>,
    missed: u64,
}

impl Telling {
    pub(super) fn new(
        wanted: v1::Wanted,
        budget: Budget,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Waits>) {
        let (queue, events) = mpsc::unbounded_channel();
        let waiting = Mutex::default();
        let telling = Self {
            queue,
            wanted,
            budget,
            waiting,
        };
        (Arc::new(telling), events)
    }

    fn tell(&self, event: v1::RunEvent) {
        let mut waiting = self.waiting.lock();
        // Who missed some is told so where they are missing.
        let missed = (waiting.missed > 0).then(|| missed_events(waiting.missed));
        let counted = |event: v1::RunEvent| {
            let bytes = EVENT + event.encoded_len();
            (event, bytes)
        };
        let (missed, event) = (missed.map(counted), counted(event));
        let bytes = event.1 + missed.as_ref().map_or(0, |(_, bytes)| *bytes);
        if !waiting.make_room(bytes, &self.budget) {
            waiting.missed += 1;
            return;
        }
        waiting.bytes += bytes;
        waiting.missed = 0;
        for event in missed.into_iter().chain([event]) {
            // Nobody reads any more once the request is done.
            let _ = self.queue.send(event);
        }
    }

    /// An event was taken from the queue that counted for this number of bytes.
    fn taken(&self, bytes: usize) {
        self.waiting.lock().bytes -= bytes;
    }

    pub(super) fn missed(&self) -> u64 {
        std::mem::take(&mut self.waiting.lock().missed)
    }
}

impl Waiting {
    fn make_room(&mut self, bytes: usize, budget: &Budget) -> bool {
        let wanted = self.bytes + bytes;
        if wanted > WAITING {
            return false;
        }
        while wanted > ALWAYS + self.rooms.len() * ROOM {
            let Some(room) = budget.leaving(ROOM) else {
                return false;
            };
            self.rooms.push(room);
        }
        true
    }
}

impl Observer for Telling {
    fn wants_events(&self) -> bool {
        self.wanted.events || self.wanted.progress
    }

    fn event(&self, event: &Event) {
        let wanted = match event {
            Event::Progress { .. } => self.wanted.progress,
            Event::Planned { .. } => true,
            _ => self.wanted.events,
        };
        if wanted {
            self.tell(event.into());
        }
    }
}

pub(super) fn missed_events(events: u64) -> v1::RunEvent {
    let missed = v1::run_event::Missed { events };
    v1::RunEvent {
        event: Some(v1::run_event::Event::Missed(missed)),
    }
}

pub(super) fn said(event: v1::RunEvent) -> v1::RunResponse {
    v1::RunResponse {
        said: Some(v1::run_response::Said::Event(event)),
    }
}

/// Sends events as they come, until nobody reads any more.
pub(super) async fn forward(
    telling: &Telling,
    events: &mut mpsc::UnboundedReceiver<Waits>,
    outbox: &Outbox<v1::RunResponse>,
) -> Error {
    loop {
        // An event is taken once there is room to send it: who ends this loses none.
        let room = match outbox.room().await {
            Ok(room) => room,
            Err(gone) => return gone,
        };
        match events.recv().await {
            Some((event, bytes)) => {
                room.send(Ok(said(event)));
                telling.taken(bytes);
            }
            None => return gone(),
        }
    }
}
