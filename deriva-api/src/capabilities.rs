//! What a store can do and what it promises.

use std::fmt;

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
}
