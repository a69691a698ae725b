//! Who claims flights: a request, how urgent it is, and how it hears of others that wait for what it has.
//!
//! Who waits for what another request computes *lends* it its urgency: the node that is waited for goes before
//! what nobody waits for, and competes for the executor with the priority of whoever waits, if that is higher. So
//! does all that the node needs (`run/lent.rs`), in other requests too where these have it: they are lent what the
//! request that waits for them is lent. A loan ends when nobody waits any more, however that came.
//!
//! A deadline is lent as the time until which somebody wants the result: the latest counts. So a step that is
//! given up is one that nobody wants any more, and the deadline of one who waits never ends the work of another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deriva_api::{BuildAddrHasher, CAddr, Determinism};
use tokio::sync::Notify;

use crate::shared::sync::Mutex;

/// How urgent something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Urgency {
    pub(crate) priority: i32,
    /// Until when it is wanted, by the clock of the handle.
    pub(crate) until: Duration,
}

impl Urgency {
    /// What nobody wants.
    pub(crate) const NONE: Self = Self {
        priority: i32::MIN,
        until: Duration::ZERO,
    };

    /// That of something which both want.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            priority: self.priority.max(other.priority),
            until: self.until.max(other.until),
        }
    }

    /// Whether it makes a difference to something of this urgency that it is wanted by `other`, too.
    pub(crate) fn is_raised_by(self, other: Self) -> bool {
        other.priority >= self.priority || other.until > self.until
    }
}

/// What a request asks to be checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Of all recipes.
    pub(crate) all: Option<Determinism>,
    /// Of some, beside that.
    pub(crate) at: Option<Arc<HashMap<CAddr, Determinism, BuildAddrHasher>>>,
}

impl Asked {
    /// What is asked of a recipe.
    pub(crate) fn of(&self, addr: &CAddr) -> Option<Determinism> {
        let own = self.at.as_ref().and_then(|at| at.get(addr)).copied();
        match (own, self.all) {
            (Some(own), Some(all)) => Some(own.stricter(all)),
            (own, all) => own.or(all),
        }
    }

    /// Everything that is asked.
    pub(crate) fn modes(&self) -> impl Iterator<Item = Determinism> {
        let at = self.at.iter().flat_map(|at| at.values().copied());
        self.all.into_iter().chain(at)
    }
}

/// A request that claims addresses.
#[derive(Debug)]
pub(crate) struct Claimant {
    /// Which handle it was made through.
    handle: usize,
    /// As it was asked for.
    pub(crate) own: Urgency,
    /// What it asks to be checked.
    pub(crate) asked: Asked,
    told: Mutex<Vec<CAddr>>,
    is_told: AtomicBool,
    bell: Notify,
}

impl Claimant {
    /// A request that is made through the handle of this number, and asks for no checks.
    #[cfg(test)]
    pub(crate) fn new(handle: usize, own: Urgency) -> Arc<Self> {
        Self::checking(handle, own, Asked::default())
    }

    /// A request that is made through the handle of this number.
    pub(crate) fn checking(handle: usize, own: Urgency, asked: Asked) -> Arc<Self> {
        Arc::new(Self {
            handle,
            own,
            asked,
            told: Mutex::new(Vec::new()),
            is_told: AtomicBool::new(false),
            bell: Notify::new(),
        })
    }

    pub(crate) fn is_of_handle_of(&self, other: &Self) -> bool {
        self.handle == other.handle
    }

    /// Tells the request that what is lent for an address is not what it was.
    pub(crate) fn tell(&self, addr: CAddr) {
        self.told.lock().push(addr);
        self.is_told.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// What the request was told of since it asked last.
    pub(crate) fn take_told(&self) -> Vec<CAddr> {
        // Nearly always nothing.
        if !self.is_told.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut told = self.told.lock();
        self.is_told.store(false, Ordering::Release);
        std::mem::take(&mut *told)
    }

    /// Waits until the request is told something.
    pub(crate) async fn told(&self) {
        self.bell.notified().await;
    }
}
