//! What the command prints with: stdout for results, colours where a terminal shows them, tables.

mod out;
mod style;
mod table;
mod units;

pub(crate) use out::{Answer, Out, bar, note};
pub(crate) use style::{Style, plain};
pub(crate) use table::{lines, table};
pub(crate) use units::{counted, size, time};
