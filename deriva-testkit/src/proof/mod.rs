//! What a store is worth when something goes wrong: its process killed, its files damaged, its system
//! calls watched.
//!
//! Everything is done to a child process, so that a crash, an abort or a hang of a store is an observation and not
//! the end of the test. The child is a [`Program`] that comes to [`serve`] with the same store: a test binary
//! starts itself.
//!
//! | file | subject |
//! |---|---|
//! | `store` | the store that is proved |
//! | `program` | how processes are started, and talked with |
//! | `item` | what is written: items that are found from a number |
//! | `writer` | the child that writes until it is killed |
//! | `crash`, `calls` | kill it, at random moments and within calls |
//! | `oracle` | holds what is there against what was acknowledged |
//! | `damage` | damages files |
//! | `reader`, `child` | the child that reads everything, and how it is run |
//! | `all` | the proofs as tests and as a program |
//! | `trace`, `durability` | which system calls an acknowledgement waited for, and what that proves |

mod all;
mod calls;
mod child;
mod crash;
mod damage;
mod durability;
pub(crate) mod item;
pub(crate) mod oracle;
pub(crate) mod program;
mod reader;
pub(crate) mod store;
mod trace;
mod writer;

use std::fmt;

use deriva_api::Error;

pub use all::{Effort, Proof, main, test};
pub use calls::{Calls, CallsReport};
pub(crate) use child::{Heard, listen};
pub use crash::{Crash, CrashReport};
pub use damage::{Damage, DamageReport};
pub use durability::{Proved, Waits};
pub(crate) use program::{Job, end};
pub use program::{Program, die, serve, tell, told};
pub use store::{Provable, Prover, serve_fixture};
pub use writer::dying;

/// What was found broken, in words.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    /// Found broken: `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(format!("{error:?}"))
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
