//! Metrics of a deriva and of each of its stores, for Prometheus.
//!
//! [`Metrics`] is an [`Instrument`](deriva_runtime::Instrument): given to a builder it hears what the instance does, stands
//! around its stores, and reads what it holds when somebody looks. One belongs to one instance, with a registry of its own
//! or one that it is given; nothing is global.
//!
//! | file | what is in it |
//! |---|---|
//! | `families/` | every family: its name, what it means, its labels; the reference page is written from it |
//! | `counts.rs` | what was told, added up |
//! | `stores.rs` | the layer around stores, and what it counts |
//! | `told.rs` | what stores tell of themselves |
//! | `served.rs` | calls that a service answers to others, as the service tells them |
//! | `sheet.rs` | how samples become what Prometheus reads |
//! | `collector.rs` | what is read when somebody looks |
//! | `activity.rs` | [`Activity`]: requests under way and what went wrong lately, with addresses; it hears of each recipe |
//!
//! For metrics nothing is done for each recipe: the runtime adds up what it did and tells it some times a second. What it counts anyway,
//! such as hits of its cache, is read when somebody looks.

mod activity;
mod collector;
mod counts;
mod families;
mod metrics;
mod served;
mod sheet;
mod stores;
mod told;

pub use activity::{ActiveRequest, Activity, ActivityReport, Incident};
pub use families::{Buckets, Family, Kind, SECTIONS, Section, families};
pub use metrics::Metrics;
pub use prometheus::{self, Registry};
pub use served::{Served, ServedCall};
