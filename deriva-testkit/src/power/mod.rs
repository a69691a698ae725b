//! Losses of power, replayed: a store is opened in the states that its disk may be left in.
//!
//! Processes that write are run under `strace`, so that every byte and every sync that they asked for is known. A
//! [`Model`] of the disk says what of it is durable at each moment, and a [`Family`] what became of the rest. Each
//! such state is made as a folder, opened by another process, and held against everything that was acknowledged
//! by then; what was under way is done again, more is written, and the store is closed and opened once more.
//!
//! | file | subject |
//! |---|---|
//! | `scenario`, `perform` | what is recorded, and the child that does it |
//! | `record` | runs that child under `strace` |
//! | `calls`, `watch` | reads the trace: calls, and what they changed |
//! | `timeline`, `family`, `tree` | what is durable when; what may have become of the rest; the folder |
//! | `plan` | which states are looked at |
//! | `check`, `look`, `history` | the child that looks at states, and what it holds them against |
//! | `checker`, `replay`, `report` | asks that child, for as many states as are wanted; what came of it |
//!
//! Not seen, and refused: what is written through mapped memory or io_uring.

mod calls;
pub(crate) mod check;
mod checker;
mod family;
mod history;
mod look;
pub(crate) mod perform;
mod plan;
mod record;
mod replay;
mod report;
mod scenario;
mod timeline;
mod tree;
mod watch;

pub use check::Verdict;
pub use family::Family;
pub use replay::Power;
pub use report::{Failed, PowerReport, Tally};
pub use scenario::Scenario;
pub use timeline::{Model, SyncKind};
