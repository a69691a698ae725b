//! Those who are told what happens.

use std::sync::Arc;

use deriva_api::{
    Audited, Collected, Error, ErrorKind, Event, Invalidated, Observer, Scrubbed, Summary,
};
use tracing::error;

use crate::shared::invoke::guarded;

/// Those who want the events of a request. Nothing is made for them where there are none.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one, if it wants events.
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        if observer.wants_events() {
            self.0.push(observer);
        }
    }

    /// Tells all of them what `event` makes, which is not called where there are none.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.0.is_empty() {
            return;
        }
        let event = event();
        for observer in &self.0 {
            observer.event(&event);
        }
    }
}

/// The observer of an instance. What it does wrong is not the fault of those whom it watches: a panic ends here.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Option<Arc<dyn Observer>>);

impl Watcher {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self(observer)
    }

    /// Those who want the events of a request: this one, if it does.
    pub(crate) fn observers(&self) -> Observers {
        let mut observers = Observers::default();
        if self.0.is_some() {
            observers.add(Arc::new(self.clone()));
        }
        observers
    }

    /// Tells that a request for N addresses begins; its end is to be told.
    pub(crate) fn request(&self, addresses: usize) -> Watched<Summary> {
        self.request_began(addresses);
        self.watch(Self::request_ended)
    }

    /// Something begins whose end is to be told.
    pub(crate) fn watch<T>(&self, tell: fn(&Self, Result<&T, &Error>)) -> Watched<T> {
        Watched {
            watcher: self.clone(),
            tell,
        }
    }

    fn tell<T: Default>(&self, call: impl FnOnce(&dyn Observer) -> T) -> T {
        let Some(observer) = &self.0 else {
            return T::default();
        };
        let told = guarded(ErrorKind::Internal, "the observer panicked", || {
            call(&**observer)
        });
        told.unwrap_or_else(|error| {
            error!("{error}");
            T::default()
        })
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "an observer"
        } else {
            "nobody"
        })
    }
}

impl Observer for Watcher {
    fn wants_events(&self) -> bool {
        self.tell(Observer::wants_events)
    }

    fn request_began(&self, addresses: usize) {
        self.tell(|observer| observer.request_began(addresses));
    }

    fn event(&self, event: &Event) {
        self.tell(|observer| observer.event(event));
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>) {
        self.tell(|observer| observer.request_ended(ended));
    }

    fn collected(&self, ended: Result<&Collected, &Error>) {
        self.tell(|observer| observer.collected(ended));
    }

    fn scrubbed(&self, ended: Result<&Scrubbed, &Error>) {
        self.tell(|observer| observer.scrubbed(ended));
    }

    fn invalidated(&self, ended: Result<&Invalidated, &Error>) {
        self.tell(|observer| observer.invalidated(ended));
    }

    fn audited(&self, ended: Result<&Audited, &Error>) {
        self.tell(|observer| observer.audited(ended));
    }
}

/// Something whose end is told once. Where it is dropped it was cancelled, unless a panic ended it.
pub(crate) struct Watched<T> {
    watcher: Watcher,
    tell: fn(&Watcher, Result<&T, &Error>),
}

impl<T> Watched<T> {
    pub(crate) fn ended(mut self, ended: Result<&T, &Error>) {
        (self.tell)(&std::mem::take(&mut self.watcher), ended);
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        if self.watcher.0.is_some() {
            let error = match std::thread::panicking() {
                true => Error::new(ErrorKind::Internal, "a panic ended it"),
                false => Error::new(ErrorKind::Cancelled, "it was dropped before its end"),
            };
            (self.tell)(&self.watcher, Err(&error));
        }
    }
}
