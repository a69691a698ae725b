//! What a store can do and what it promises.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DurabilityClass {
    /// Nothing: it lives in the memory of this process.
    None,
    /// The death of the process (`kill -9`), but not of the machine.
    ProcessCrash,
    /// The loss of power: it was on the disk before it was acknowledged.
    PowerLoss,
}

impl fmt::Display for DurabilityClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::ProcessCrash => "survives a killed process",
            Self::PowerLoss => "survives power loss",
        })
    }
}

/// Which open store a handle leads to: the same for all handles, clones and layers of one store, and another
/// for every other store that this process has open.
///
/// Whoever keeps requests out of each other's way does so for a store, not for a handle: two handles that say
/// the same here are as safe as two clones of one. It says nothing about other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreIdentity(usize);

impl StoreIdentity {
    /// The identity of a store all of whose handles hold `shared`, which nothing else does.
    #[must_use]
    pub fn of<T: ?Sized>(shared: &Arc<T>) -> Self {
        Self(Arc::as_ptr(shared).cast::<()>().addr())
    }
}

/// What a store promises beyond the contract of its trait.
///
/// A capability that is absent is not silently worked around: the call that needs it answers
/// [`crate::ErrorKind::Unsupported`] (`list`, writes) or `None` (`usage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// What an acknowledged write survives. After `flush` returns, a store that has a class above
    /// `None` at all survives at least a killed process.
    pub durability: DurabilityClass,
    /// Other processes may write too, so "absent" must never be remembered.
    pub shared: bool,
    /// `usage` answers in O(1).
    pub usage: bool,
    /// `list` is there.
    pub list: bool,
    /// It can be changed; otherwise every call that writes answers
    /// [`crate::ErrorKind::Unsupported`].
    pub writable: bool,
    /// Which open store this is. Where none is given, a store is known by the object that it is: then two
    /// objects that lead to one store are taken for two stores.
    #[serde(skip)]
    pub identity: Option<StoreIdentity>,
}

impl Capabilities {
    /// A store of this durability, used by this process alone, writable, with `usage` and `list`.
    #[must_use]
    pub const fn new(durability: DurabilityClass) -> Self {
        Self {
            durability,
            shared: false,
            usage: true,
            list: true,
            writable: true,
            identity: None,
        }
    }

    /// Sets [`Capabilities::shared`]; false unless set.
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Sets [`Capabilities::usage`]; true unless set.
    #[must_use]
    pub const fn usage(mut self, usage: bool) -> Self {
        self.usage = usage;
        self
    }

    /// Sets [`Capabilities::list`]; true unless set.
    #[must_use]
    pub const fn list(mut self, list: bool) -> Self {
        self.list = list;
        self
    }

    /// Sets [`Capabilities::writable`]; true unless set.
    #[must_use]
    pub const fn writable(mut self, writable: bool) -> Self {
        self.writable = writable;
        self
    }

    /// Sets [`Capabilities::identity`]; none unless set.
    #[must_use]
    pub const fn identity(mut self, identity: StoreIdentity) -> Self {
        self.identity = Some(identity);
        self
    }
}
