//! Drawings of graphs: what is drawn, and how it becomes DOT or SVG, without other programs. Knows no store.
//!
//! A [`Drawing`] is a list of nodes and of edges from an input to what reads it. Large ones are
//! summarised: nodes of one layer, group and state become one that says how many it stands for.
//!
//! ```
//! use deriva_draw::{Drawing, Node, State, svg};
//!
//! let mut drawing = Drawing::default();
//! drawing.nodes.push(Node::new("a.txt", "sources", State::Leaf));
//! drawing.nodes.push(Node::new("count a.txt", "count", State::Computed));
//! drawing.edges.push((0, 1));
//! assert!(svg(drawing, 400, "counts").starts_with("<svg"));
//! ```
//!
//! The words for sizes and times that stand in drawings are those of the whole command and of the pages of a server: [`size`],
//! [`time`], [`counted`]. Here is also what both call a [node](standing), an [entry of the ledger](entry_state) and a [`date`].

mod dot;
mod drawing;
mod layers;
mod of_graph;
mod summary;
mod svg;
mod units;
mod words;

pub use dot::dot;
pub use drawing::{Drawing, Node, State};
pub use svg::{svg, svg_zoomed};
pub use units::{counted, size, time};
pub use words::{date, entry_state, standing};
