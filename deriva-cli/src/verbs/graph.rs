//! `deriva graph`: the graph below an address, drawn.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use deriva::authors::BuildAddrHasher;
use deriva::{AddrPrefix, CAddr, Deriva, Error, ErrorKind, Result};
use serde::Serialize;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::files::write_text;
use crate::graph::{Drawing, Node, State, dot, svg};
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

const BATCH: usize = 2048;
/// More nodes than this are not collected for a drawing: about 300 bytes each.
const MOST: usize = 5_000_000;

/// Draw the graph below an address: DOT on stdout, or an SVG file
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// A recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
    /// Draw to this SVG file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    svg: Option<PathBuf>,
    /// Draw one node for many alike when there are more nodes than this
    #[arg(long, value_name = "N", default_value_t = 400)]
    limit: usize,
}

impl Graph {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .work(async |deriva| {
                let addr = deriva.find(&self.addr).await?;
                let drawing = collect(deriva, addr).await?;
                out.answer(&self.draw(addr, drawing)?)
            })
            .await
    }

    fn draw(&self, addr: CAddr, drawing: Drawing) -> Result<Drawn> {
        let (nodes, edges) = (drawing.nodes.len(), drawing.edges.len());
        let mut drawn = Drawn {
            dot: None,
            edges,
            nodes,
            svg: None,
        };
        match &self.svg {
            None => drawn.dot = Some(dot(drawing, self.limit)),
            Some(path) => {
                let title = format!("deriva graph {}", addr.short());
                write_text(path, &svg(drawing, self.limit, &title))?;
                drawn.svg = Some(path.display().to_string());
            }
        }
        Ok(drawn)
    }
}

/// A drawing: as DOT, or in an SVG file.
#[derive(Serialize)]
struct Drawn {
    #[serde(skip_serializing_if = "Option::is_none")]
    dot: Option<String>,
    edges: usize,
    nodes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    svg: Option<String>,
}

impl Answer for Drawn {
    fn text(&self, _: Style) -> String {
        let dot = self.dot.as_deref().unwrap_or_default();
        dot.trim_end().to_owned()
    }
}

/// The address and everything that it is made from, breadth-first.
async fn collect(deriva: &Deriva, addr: CAddr) -> Result<Drawing> {
    let mut index: HashMap<CAddr, u32, BuildAddrHasher> = HashMap::default();
    index.insert(addr, 0);
    let mut addrs = vec![addr];
    let mut drawing = Drawing::default();
    let mut next = 0;
    while next < addrs.len() {
        let batch = addrs[next..addrs.len().min(next + BATCH)].to_vec();
        let nodes = deriva.dag().get_many(&batch).await?;
        // The blob to look for: the output of a recipe, or the address itself.
        let contents: Vec<CAddr> = batch
            .iter()
            .zip(&nodes)
            .map(|(addr, node)| {
                node.as_ref()
                    .and_then(|n| n.output)
                    .map_or(*addr, |output| output.addr)
            })
            .collect();
        let stats = deriva.blobs().stat(&contents).await?;
        for ((addr, node), stat) in batch.iter().zip(nodes).zip(stats) {
            let at = next as u32;
            next += 1;
            let Some(node) = node else {
                drawing.nodes.push(Node {
                    label: addr.short(),
                    group: "blobs".to_owned(),
                    state: if stat.is_some() {
                        State::Leaf
                    } else {
                        State::Missing
                    },
                    cost: None,
                    count: 1,
                    within: 0,
                });
                continue;
            };
            let state = match (node.output, stat) {
                (None, _) => State::Absent,
                (Some(_), None) => State::Lost,
                (Some(_), Some(_)) => State::Present,
            };
            let function = node.recipe.function().to_string();
            drawing.nodes.push(Node {
                label: format!("{function} {}", addr.short()),
                group: function,
                state,
                cost: node.output.map(|output| output.cost),
                count: 1,
                within: 0,
            });
            for input in node.recipe.inputs() {
                let new = addrs.len() as u32;
                let from = *index.entry(input).or_insert(new);
                if from == new {
                    addrs.push(input);
                }
                drawing.edges.push((from, at));
            }
        }
        if addrs.len() > MOST {
            return Err(
                Error::new(ErrorKind::Full, "the graph is too large to be drawn")
                    .with("limit", MOST)
                    .hint("draw a part of it: give the address of an input"),
            );
        }
    }
    Ok(drawing)
}
