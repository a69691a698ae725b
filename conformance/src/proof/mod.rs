//! What a store is worth when something goes wrong. Most of it is [`deriva_testkit::proof`], here for stores
//! that are named by URI; beside it what takes a runtime.
//!
//! | file | subject |
//! |---|---|
//! | `store` | stores by URI, and the command as the process that opens them |
//! | `collect` | the child that collects until it is killed, and what it leaves |
//! | `power` | losses of power, replayed, as a verb |
//! | `checks` | functions that lie and such that do not, recipes of them, and requests that check them |
//! | `upkeep` | the child that invalidates, scrubs, materializes, audits or checks until it is killed |
//! | `verb` | the command line |

mod checks;
mod collect;
mod power;
mod store;
mod upkeep;
mod verb;

pub use checks::{Ask, Family, lies_in, with_liars};
pub use collect::{CollectReport, KilledCollections};
pub use deriva_testkit::proof::{
    Broken, Calls, CallsReport, Crash, CrashReport, Damage, DamageReport, Proved, Waits,
};
pub use power::{PowerArgs, STORES};
pub use store::{prover, uri_in};
pub use upkeep::{Moment, Upkeep, UpkeepArgs};
pub use verb::Verb;
