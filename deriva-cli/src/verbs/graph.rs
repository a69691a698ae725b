//! `deriva graph`: the graph below an address, drawn.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use deriva::{AddrPrefix, CAddr, Error, ErrorKind, Result};
use deriva_draw::{Drawing, dot, svg};
use serde::Serialize;

use crate::args::parsed;
use crate::exit::Outcome;
use crate::files::write_text;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};

/// More nodes than this are not collected for a drawing: about 500 bytes each.
const MOST: u32 = 5_000_000;

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
            .work(async |handle| {
                let addr = handle.find(&self.addr).await?;
                let graph = handle.graph(addr).limit(MOST).await?;
                out.answer(&self.draw(addr, drawing(graph)?)?)
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

/// The graph as it is drawn.
fn drawing(graph: deriva::admin::Graph) -> Result<Drawing> {
    if !graph.is_complete() {
        return Err(
            Error::new(ErrorKind::Full, "the graph is too large to be drawn")
                .with("limit", MOST)
                .hint("draw a part of it: give the address of an input"),
        );
    }
    Ok(graph.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use deriva::functions::FunctionRegistry;
    use deriva::stores::memory::MemoryStore;
    use deriva::stores::{BlobStore, DagStore, Record};
    use deriva::{Blob, Deriva, DerivaBuilder, Output, Params, Recipe};
    use deriva_draw::State;

    use super::*;

    /// A handle that knows no function, on a store with a recipe that another one computed.
    async fn computed_elsewhere() -> (Deriva, CAddr, Blob) {
        let store = Arc::new(MemoryStore::new());
        let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (store.clone(), store);
        let recipe = Recipe::new(&"my.own/1".parse().unwrap(), &[], &Params::new()).unwrap();
        let (addr, made) = (recipe.addr(), Blob::new("made"));
        let output = Output {
            addr: made.addr(),
            len: 4,
            cost: Duration::from_millis(5),
        };
        dag.insert(&[recipe]).await.unwrap();
        let record = Record {
            addr,
            resolved: None,
            output,
        };
        dag.record(&[record]).await.unwrap();
        let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
        let builder = builder.functions(FunctionRegistry::new());
        (builder.build().await.unwrap(), addr, made)
    }

    #[tokio::test]
    async fn whoever_could_compute_it_a_node_is_drawn_as_what_is_stored() {
        let (deriva, addr, made) = computed_elsewhere().await;
        let drawn = async || {
            let mut drawn = drawing(deriva.graph(addr).await.unwrap()).unwrap();
            let node = drawn.nodes.remove(0);
            (node.state, node.cost, node.group)
        };
        let cost = Some(Duration::from_millis(5));
        assert_eq!(drawn().await, (State::Lost, cost, "my.own/1".to_owned()));
        deriva.put_many(&[made]).await.unwrap();
        assert_eq!(drawn().await, (State::Present, cost, "my.own/1".to_owned()));
        deriva.dag().forget(&[addr]).await.unwrap();
        assert_eq!(drawn().await, (State::Absent, None, "my.own/1".to_owned()));
    }

    #[tokio::test]
    async fn what_is_not_complete_is_not_drawn() {
        let (deriva, addr, _) = computed_elsewhere().await;
        let above = Recipe::new(&"my.own/1".parse().unwrap(), &[addr], &Params::new()).unwrap();
        let above = deriva.dag().insert(&[above]).await.unwrap()[0];
        let part = deriva.graph(above).limit(1).await.unwrap();
        let error = drawing(part).unwrap_err();
        assert_eq!(
            (error.kind(), error.message(), error.context("limit")),
            (
                ErrorKind::Full,
                "the graph is too large to be drawn",
                Some("5000000")
            )
        );
        assert!(drawing(deriva.graph(above).await.unwrap()).is_ok());
    }
}
