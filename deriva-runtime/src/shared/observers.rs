//! Those who are told what happens.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Audited, CAddr, Clock, Collected, Error, ErrorKind, Event, Invalidated, Observer, Planned,
    Scrubbed, Summary, Violation, Work,
};

use crate::shared::invoke::guarded;
use crate::shared::spans;
use crate::shared::tallies::Counted;

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

/// The observers of an instance. What one does wrong is not the fault of those whom it watches: a panic ends here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher(Vec<Watching>);

impl Watcher {
    /// Adds one.
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(Watching(observer));
    }

    /// Whether nobody watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those who want the events of a request.
    pub(crate) fn observers(&self) -> Observers {
        let mut observers = Observers::default();
        for observer in &self.0 {
            observers.add(Arc::new(observer.clone()));
        }
        observers
    }

    /// Tells all of them.
    pub(crate) fn tell(&self, tell: impl Fn(&dyn Observer)) {
        for observer in &self.0 {
            tell(observer);
        }
    }

    /// Tells that a request for these addresses, made at `began`, begins; its end is to be told. Those who are told of this
    /// request alone are added to its observers.
    pub(crate) fn request(
        &self,
        addresses: &[CAddr],
        clock: &Arc<dyn Clock>,
        began: Duration,
        observers: &mut Observers,
    ) -> Watched<Summary> {
        let mut watcher = self.clone();
        for observer in &self.0 {
            observer.request_began(addresses.len());
            if let Some(own) = observer.of_request(addresses) {
                observers.add(Arc::new(Watching(Arc::clone(&own))));
                watcher.add(own);
            }
        }
        let clock = Arc::clone(clock);
        let tell = move |observer: &dyn Observer, ended: Result<&Summary, &Error>| {
            observer.request_ended(ended, clock.now().saturating_sub(began));
        };
        Watched {
            watcher,
            tell: Box::new(tell),
            _counted: None,
        }
    }

    /// Something begins whose end is to be told; until then it is counted.
    pub(crate) fn watch<T: 'static>(
        &self,
        counted: Counted,
        tell: fn(&dyn Observer, Result<&T, &Error>),
    ) -> Watched<T> {
        Watched {
            watcher: self.clone(),
            tell: Box::new(tell),
            _counted: Some(counted),
        }
    }
}

/// One of them.
#[derive(Clone)]
struct Watching(Arc<dyn Observer>);

impl Watching {
    fn tell<T: Default>(&self, call: impl FnOnce(&dyn Observer) -> T) -> T {
        let told = guarded(ErrorKind::Internal, "the observer panicked", || {
            call(&*self.0)
        });
        told.unwrap_or_else(|error| {
            spans::observer_panicked(&error);
            T::default()
        })
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an observer")
    }
}

#[deny(clippy::missing_trait_methods)]
impl Observer for Watching {
    fn wants_events(&self) -> bool {
        self.tell(Observer::wants_events)
    }

    fn request_began(&self, addresses: usize) {
        self.tell(|observer| observer.request_began(addresses));
    }

    fn of_request(&self, addresses: &[CAddr]) -> Option<Arc<dyn Observer>> {
        self.tell(|observer| observer.of_request(addresses))
    }

    fn event(&self, event: &Event) {
        self.tell(|observer| observer.event(event));
    }

    fn planned(&self, planned: &Planned) {
        self.tell(|observer| observer.planned(planned));
    }

    fn worked(&self, work: &Work) {
        self.tell(|observer| observer.worked(work));
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>, took: Duration) {
        self.tell(|observer| observer.request_ended(ended, took));
    }

    fn read(&self, took: Duration) {
        self.tell(|observer| observer.read(took));
    }

    fn violated(&self, violation: &Violation) {
        self.tell(|observer| observer.violated(violation));
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
    tell: Box<Tell<T>>,
    _counted: Option<Counted>,
}

type Tell<T> = dyn Fn(&dyn Observer, Result<&T, &Error>) + Send + Sync;

impl<T> Watched<T> {
    pub(crate) fn ended(mut self, ended: Result<&T, &Error>) {
        let watcher = std::mem::take(&mut self.watcher);
        watcher.tell(|observer| (self.tell)(observer, ended));
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        if !self.watcher.is_empty() {
            let error = match std::thread::panicking() {
                true => Error::new(ErrorKind::Internal, "a panic ended it"),
                false => Error::new(ErrorKind::Cancelled, "it was dropped before its end"),
            };
            self.watcher
                .tell(|observer| (self.tell)(observer, Err(&error)));
        }
    }
}
