//! What the command prints with: stdout for results, colours where a terminal shows them, tables.

mod out;
mod style;
mod table;

pub(crate) use deriva_draw::{counted, size, time};
pub(crate) use out::{Answer, Out, bar, note};
pub(crate) use style::{Style, plain};
pub(crate) use table::{lines, table};
