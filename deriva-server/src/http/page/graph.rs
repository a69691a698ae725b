//! The graph below an address, drawn as the command draws it.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use deriva_draw::{Drawing, svg_zoomed};
use maud::{Markup, PreEscaped, html};

use super::layout::Page;
use super::query::Query;
use super::words::{grouped, link, short};
use super::{Answer, Pages};

/// Edges below the address that are followed.
const DEPTH: u32 = 8;
const DEEPEST: u32 = 1000;
/// Nodes that are looked up for a drawing.
const NODES: u32 = 5000;
/// More nodes than this are drawn in groups.
const DRAWN: usize = 200;
/// Sizes that are offered, in percent.
const ZOOMS: [u32; 6] = [25, 50, 75, 100, 150, 200];
/// Sizes that can be asked for.
const RANGE: (u32, u32) = (10, 400);

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(text): Path<String>,
    query: Query,
) -> Answer {
    let depth = query.number("depth", DEPTH, (0, DEEPEST))?;
    let zoom = query.number("zoom", 100, RANGE)?;
    let deriva = &pages.site.deriva;
    let addr = deriva.find(&text.parse()?).await?;
    // Nothing is drawn of what is not there.
    deriva.show(addr).await?;
    let graph = deriva.graph(addr).depth(depth).limit(NODES).await?;
    let (nodes, edges, left_out) = (graph.nodes.len(), graph.edges.len(), graph.left_out);
    let addrs: Vec<_> = graph.nodes.iter().map(|node| node.addr).collect();
    let mut drawing = Drawing::from(graph);
    for (node, addr) in drawing.nodes.iter_mut().zip(addrs) {
        node.link = Some(format!("/address/{addr}"));
    }
    let title = format!("deriva graph {}", addr.short());
    let picture = svg_zoomed(drawing, DRAWN, &title, f64::from(zoom) / 100.0);
    let at = |depth: u32, zoom: u32| {
        let (depth, zoom) = (depth.to_string(), zoom.to_string());
        link(
            &format!("/graph/{addr}"),
            &[("depth", &depth), ("zoom", &zoom)],
        )
    };
    let body = html! {
        p {
            "Below " (short(&addr)) ": " (grouped(nodes as u64)) " nodes and " (grouped(edges as u64)) " edges, "
            "inputs on the left. A box leads to the page of its address."
        }
        @if left_out > 0 {
            p.remark {
                (grouped(left_out)) " inputs are left out: at most " (depth) " edges down and " (grouped(NODES.into())) " nodes are looked at."
            }
        }
        nav.choices aria-label="Size" {
            "Size: "
            @for percent in ZOOMS {
                a href=(at(depth, percent)) aria-current=[(percent == zoom).then_some("true")] { (percent) " %" } " "
            }
        }
        nav.choices aria-label="Depth" {
            "Depth: "
            @for down in depths(depth) {
                a href=(at(down, zoom)) aria-current=[(down == depth).then_some("true")] { (down) } " "
            }
        }
        div.graph role="region" aria-label="The graph" tabindex="0" { (drawn(picture)) }
    };
    Ok(Page::new("Graph", body)
        .searched(addr.short())
        .into_response())
}

/// What `deriva-draw` made, which escapes all text that stands in it.
fn drawn(picture: String) -> Markup {
    PreEscaped(picture)
}

/// Depths to choose from, with the present one.
fn depths(depth: u32) -> Vec<u32> {
    let mut depths = vec![1, 2, 4, DEPTH, 16, 64, DEEPEST, depth];
    depths.sort_unstable();
    depths.dedup();
    depths
}
