//! The locks and counters of what requests share, where `shuttle` tries the orders in which threads come to
//! them: in programs those of `parking_lot` and `std`, in the unit tests the same behind a point at which
//! another thread may go first.

#[cfg(test)]
mod interleaved;

#[cfg(test)]
pub(crate) use interleaved::{AtomicBool, AtomicU64, Mutex, RwLock, explore};
#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
